package arn_test

import (
	"strings"
	"testing"

	"trent/internal/arn"
)

// What has not the shape of an ARN is none: fields are compared whole, so each
// must be where it belongs.
func TestSEC_B06_Parse(t *testing.T) {
	long := "arn:aws:kms:us-east-1:111122223333:"
	for s, ok := range map[string]bool{
		"arn:aws:iam::111122223333:root":                        true,
		"arn:aws:s3:::bucket/*":                                 true,
		"arn:aws-us-gov:kms:us-gov-west-1:111122223333:alias/x": true,
		"arn:aws:kms:us-east-1:111122223333::":                  true,
		long + strings.Repeat("k", arn.MaxLen-len(long)):        true,
		long + strings.Repeat("k", arn.MaxLen-len(long)+1):      false,
		"":                                         false,
		"arn":                                      false,
		"arn:":                                     false,
		"ARN:aws:iam::111122223333:root":           false,
		" arn:aws:iam::111122223333:root":          false,
		"arn:aws:iam::111122223333":                false,
		"arn:aws:iam::111122223333:":               false,
		"arn::iam::111122223333:root":              false,
		"arn:aws:::111122223333:root":              false,
		"arn:aws:iam::111122223333:ro ot":          false,
		"arn:aws:iam::111122223333:root\n":         false,
		"arn:aws:iam::111122223333:root\x00":       false,
		"arn:aws:iam::111122223333:r\u00f6\u00f6t": false,
		"arn:aws:iam::111122223333:root\x7f":       false,
		"xarn:aws:iam::111122223333:root":          false,
		"arn:aws:kms:us-east-1:111122223333:key/1:arn:aws:iam::1:root": true,
	} {
		a, got := arn.Parse(s)
		if got != ok {
			t.Errorf("%.80q: %v", s, got)
		}
		if ok && a.String() != s {
			t.Errorf("%.80q came back as %.80q", s, a.String())
		}
	}
}

func TestIsAccount(t *testing.T) {
	for s, want := range map[string]bool{
		"111122223333": true, "000000000000": true, "": false, "11112222333": false, "1111222233334": false,
		"11112222333a": false, "-11122223333": false, " 11122223333": false, "11112222333\n": false, "１１１１": false,
	} {
		if got := arn.IsAccount(s); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
}

// A key id has one of two forms, byte by byte.
func TestIsKeyID(t *testing.T) {
	mrk := "mrk-" + strings.Repeat("0a", 16)
	for s, want := range map[string]bool{
		id: true, mrk: true, strings.ToUpper(id): true, "": false, id + "0": false, id[:35]: false, strings.Replace(id, "-", "0", 1): false,
		"g" + id[1:]: false, id[:35] + "/": false, mrk[:35]: false, mrk + "0": false, "MRK" + mrk[3:]: false, "mrk-" + id[:32]: false, "alias/" + id[:30]: false,
	} {
		if got := arn.IsKeyID(s); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
}
