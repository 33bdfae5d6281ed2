package iam

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// A stored policy names users, roles and sessions by their unique ids, so that
// whoever is created later under the name of a deleted one inherits nothing.
// Bind and Unbind translate the document, and leave each other byte of it as
// it is.

// Bind replaces the ARNs of users, roles and role sessions in Principal and
// NotPrincipal by unique ids. resolve is given such an ARN and returns AIDA…,
// AROA…, or AROA…:SESSION. An ARN of nobody, and an id in place of an ARN, as
// in the policy of a deleted principal that is saved again, give
// ErrInvalidPrincipal.
func Bind(text string, resolve func(arn string) (id string, ok bool)) (string, error) {
	if _, err := Parse(text); err != nil {
		return "", err
	}
	return rewritePrincipals(text, func(value string) (string, error) {
		if _, isID := compileUniqueID(value); isID {
			return "", ErrInvalidPrincipal
		}
		p, _ := compileAWS(value)
		if p.form != byUserARN && p.form != byRoleARN && p.form != bySessionARN {
			return value, nil
		}
		id, found := resolve(value)
		bound, isID := compileUniqueID(id)
		if !found || !isID || bound.form != idOf(p.form) {
			return "", ErrInvalidPrincipal
		}
		return id, nil
	})
}

// idOf is the form of the id that belongs to a form of ARN.
func idOf(f principalForm) principalForm {
	switch f {
	case byUserARN:
		return byUserID
	case byRoleARN:
		return byRoleID
	}
	return bySessionID
}

// Unbind puts the ARNs back for reading. lookup is given an id as Bind stored
// it; one that it does not know stays. What is no policy document is returned
// as it is.
func Unbind(text string, lookup func(id string) (arn string, ok bool)) string {
	if _, err := Parse(text); err != nil {
		return text
	}
	out, err := rewritePrincipals(text, func(value string) (string, error) {
		if _, isID := compileUniqueID(value); isID {
			if arn, found := lookup(value); found {
				return arn, nil
			}
		}
		return value, nil
	})
	if err != nil {
		return text
	}
	return out
}

// rewritePrincipals passes each value of {"AWS": …} in a Principal or
// NotPrincipal through rewrite. The text is known to parse.
func rewritePrincipals(text string, rewrite func(value string) (string, error)) (string, error) {
	d := jsontext.NewDecoder(strings.NewReader(text))
	var out []byte
	copied := 0 // of text, into out
	for d.PeekKind() != 0 {
		if d.PeekKind() != '"' {
			if _, err := d.ReadToken(); err != nil {
				return "", err
			}
			continue
		}
		quoted, err := d.ReadValue()
		if err != nil {
			return "", err
		}
		if !namesPrincipal(d) {
			continue
		}
		end := int(d.InputOffset())
		out = append(out, text[copied:end-len(quoted)]...)
		if out, err = rewriteQuoted(out, quoted, rewrite); err != nil {
			return "", err
		}
		copied = end
	}
	return string(append(out, text[copied:]...)), nil
}

// rewriteQuoted appends a string as it was, or as rewrite wants it.
func rewriteQuoted(out []byte, quoted jsontext.Value, rewrite func(string) (string, error)) ([]byte, error) {
	value, err := jsontext.AppendUnquote(nil, quoted)
	if err != nil {
		return nil, err
	}
	changed, err := rewrite(string(value))
	if err != nil {
		return nil, err
	}
	if changed == string(value) {
		return append(out, quoted...), nil
	}
	return jsontext.AppendQuote(out, changed)
}

// namesPrincipal reports whether the string just read is at
// /Statement[/i]/[Not]Principal/AWS[/j]. The member's name itself, AWS, is
// there too, and is no ARN.
func namesPrincipal(d *jsontext.Decoder) bool {
	rest, ok := strings.CutPrefix(string(d.StackPointer()), "/Statement/")
	if first, behind, _ := strings.Cut(rest, "/"); allDigits(first) {
		rest = behind
	}
	element, rest, _ := strings.Cut(rest, "/")
	kind, _, _ := strings.Cut(rest, "/")
	return ok && (element == "Principal" || element == "NotPrincipal") && kind == "AWS"
}
