package main

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
)

// maxRanges is how many ranges of characters are compared one by one. A class
// such as all letters of Unicode has hundreds.
const maxRanges = 32

// matcher makes the function that matches the whole of a value with the
// pattern of its shape. Nearly all patterns are one repeated character class,
// for which a loop does; the others become regular expressions.
func (e *emitter) matcher(s *shape) {
	ranges, least, ok := repeatedClass(goSyntax(s.goPattern))
	switch {
	case !ok && s.Sensitive:
		panic("no matcher for a secret of shape " + s.Name)
	case !ok || len(ranges) > maxRanges:
		whole := `\A(?:` + goSyntax(s.goPattern) + `)\z`
		regexp.MustCompile(whole) // fail now, not on the first request
		e.p("\nvar pattern%s = sync.OnceValue(func() *regexp.Regexp {", upperFirst(s.Name))
		e.p("return regexp.MustCompile(%s)\n})", quoted(whole))
		e.p("\nfunc match%s(s string) bool { return pattern%s().MatchString(s) }", upperFirst(s.Name), upperFirst(s.Name))
	case ranges[len(ranges)-1] < 0x80:
		typ := "string"
		if s.Sensitive {
			typ = "[]byte"
		}
		e.p("\nfunc match%s(s %s) bool {", upperFirst(s.Name), typ)
		e.p("for i := range len(s) {\nswitch c := s[i]; {\ncase %s:\ndefault:\nreturn false\n}\n}", inRanges(ranges))
		e.p("return len(s) >= %d\n}", least)
	default:
		e.p("\nfunc match%s(s string) bool {", upperFirst(s.Name))
		e.p("for _, c := range s {\nswitch {\ncase %s:\ndefault:\nreturn false\n}\n}", inRanges(ranges))
		e.p("return len(s) >= %d\n}", least)
	}
}

// goSyntax translates what Java writes differently: \uXXXX, and \s, which has
// the vertical tab there. (\s occurs inside classes only.)
func goSyntax(pattern string) string {
	pattern = strings.ReplaceAll(pattern, `\s`, `\t-\r\x20`)
	for {
		before, after, found := strings.Cut(pattern, `\u`)
		if !found {
			return pattern
		}
		pattern = before + `\x{` + after[:4] + `}` + after[4:]
	}
}

// repeatedClass takes [class]+ and [class]*, anchored or not, apart. Every
// pattern has to match the whole value, so anchors say nothing.
func repeatedClass(pattern string) (ranges []rune, least int, ok bool) {
	re, err := syntax.Parse(strings.TrimSuffix(strings.TrimPrefix(pattern, "^"), "$"), syntax.Perl)
	if err != nil || re.Op != syntax.OpPlus && re.Op != syntax.OpStar || re.Sub[0].Op != syntax.OpCharClass {
		return nil, 0, false
	}
	if re.Op == syntax.OpPlus {
		least = 1
	}
	return re.Sub[0].Rune, least, true
}

// inRanges is the list of conditions of c being in one of the ranges.
func inRanges(ranges []rune) string {
	var list []string
	for i := 0; i < len(ranges); i += 2 {
		lo, hi := ranges[i], ranges[i+1]
		switch lo {
		case hi:
			list = append(list, fmt.Sprintf("c == %q", lo))
		case 0:
			list = append(list, fmt.Sprintf("c <= %q", hi))
		default:
			list = append(list, fmt.Sprintf("%q <= c && c <= %q", lo, hi))
		}
	}
	return strings.Join(list, ", ")
}
