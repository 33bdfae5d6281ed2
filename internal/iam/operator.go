package iam

import "strings"

// An operator is a condition operator in all its parts.
type operator struct {
	family  family
	order   order // of numbers and dates
	like    bool  // strings: with wildcards
	fold    bool  // strings: without regard to case
	negated bool
	set     set
	exists  bool // …IfExists
}

// A family is the type that an operator compares.
type family uint8

const (
	stringFamily family = iota + 1
	numericFamily
	dateFamily
	boolFamily
	binaryFamily
	ipFamily
	arnFamily
	nullFamily
)

// An order is what a comparison must come to.
type order uint8

const (
	equal order = iota
	less
	lessOrEqual
	greater
	greaterOrEqual
)

func (o order) holds(comparison int) bool {
	switch o {
	case less:
		return comparison < 0
	case lessOrEqual:
		return comparison <= 0
	case greater:
		return comparison > 0
	case greaterOrEqual:
		return comparison >= 0
	}
	return comparison == 0
}

// A set says how the several values of a request come to one verdict.
type set uint8

const (
	single set = iota // there must be one
	allValues
	anyValue
)

// parseOperator takes the name of an operator apart. Names are exact: AWS
// refuses stringEquals ("Invalid Condition type").
func parseOperator(name string) (operator, bool) {
	base, all := strings.CutPrefix(name, "ForAllValues:")
	base, some := strings.CutPrefix(base, "ForAnyValue:")
	base, exists := strings.CutSuffix(base, "IfExists")
	op, ok := baseOperator(base)
	switch {
	case all && some, op.family == nullFamily && (all || some || exists):
		return operator{}, false
	case all:
		op.set = allValues
	case some:
		op.set = anyValue
	}
	op.exists = exists
	return op, ok
}

// baseOperator is the table of operators (IAM User Guide, "Condition operators").
func baseOperator(name string) (operator, bool) {
	switch name {
	case "StringEquals":
		return operator{family: stringFamily}, true
	case "StringNotEquals":
		return operator{family: stringFamily, negated: true}, true
	case "StringEqualsIgnoreCase":
		return operator{family: stringFamily, fold: true}, true
	case "StringNotEqualsIgnoreCase":
		return operator{family: stringFamily, fold: true, negated: true}, true
	case "StringLike":
		return operator{family: stringFamily, like: true}, true
	case "StringNotLike":
		return operator{family: stringFamily, like: true, negated: true}, true
	case "Bool":
		return operator{family: boolFamily}, true
	case "BinaryEquals":
		return operator{family: binaryFamily}, true
	case "IpAddress":
		return operator{family: ipFamily}, true
	case "NotIpAddress":
		return operator{family: ipFamily, negated: true}, true
	case "ArnEquals", "ArnLike": // they behave identically
		return operator{family: arnFamily}, true
	case "ArnNotEquals", "ArnNotLike":
		return operator{family: arnFamily, negated: true}, true
	case "Null":
		return operator{family: nullFamily}, true
	}
	if comparison, ok := strings.CutPrefix(name, "Numeric"); ok {
		return orderOperator(numericFamily, comparison)
	}
	if comparison, ok := strings.CutPrefix(name, "Date"); ok {
		return orderOperator(dateFamily, comparison)
	}
	return operator{}, false
}

func orderOperator(f family, comparison string) (operator, bool) {
	switch comparison {
	case "Equals":
		return operator{family: f}, true
	case "NotEquals":
		return operator{family: f, negated: true}, true
	case "LessThan":
		return operator{family: f, order: less}, true
	case "LessThanEquals":
		return operator{family: f, order: lessOrEqual}, true
	case "GreaterThan":
		return operator{family: f, order: greater}, true
	case "GreaterThanEquals":
		return operator{family: f, order: greaterOrEqual}, true
	}
	return operator{}, false
}
