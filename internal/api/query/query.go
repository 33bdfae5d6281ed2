// Package query is what the generated code of services that speak the query
// protocol is put together from (AWS query protocol of Smithy): a request is a
// form, an answer is XML. Forms are read strictly: a parameter that is there
// twice, a list with a gap, bad UTF-8 and anything beyond the bounds are refused.
// Parameters that the model does not have are passed over, as newer clients may
// send them.
package query

import (
	"trent/internal/api"
	"trent/internal/fault"
)

// Input is the request of an operation.
type Input interface {
	api.Input
	// UnmarshalForm reads the members from a form, of which it keeps nothing.
	UnmarshalForm(*Form) error
}

// Output is the answer of an operation.
type Output interface {
	// AppendXML appends the members, without an element around them.
	AppendXML(dst []byte) []byte
}

// Codes of what is wrong with a form ("Common errors" of the IAM and STS
// references).
const (
	InvalidAction         fault.Code = "InvalidAction"
	InvalidParameterValue fault.Code = "InvalidParameterValue"
	MalformedQueryString  fault.Code = "MalformedQueryString"
	MissingAction         fault.Code = "MissingAction"
	NoSuchVersion         fault.Code = "NoSuchVersion"
	ValidationError       fault.Code = "ValidationError"
)
