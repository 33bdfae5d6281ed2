package main

import (
	"strings"
	"testing"

	"trent/internal/authz"
	"trent/internal/iam"
)

// What tenants wrote into policies and descriptions reaches an operator's terminal as
// text: it moves no cursor and makes up no line.
func TestOutputObeysNobody(t *testing.T) {
	const evil = "x\x1b[2J\nALLOWED\u202ey"
	var b strings.Builder
	printExplanation(&b, &authz.Explanation{Why: evil, Policies: []authz.PolicyTrace{{Policy: "key policy", Statements: []iam.Trace{{
		Statement: 1, SID: evil, Effect: iam.Allow, Failed: []string{"Condition"}, Diagnostics: []string{evil},
		Conditions: []iam.ConditionTrace{{Operator: "StringEquals", Key: "kms:EncryptionContext:" + evil, Wanted: []string{evil}, Had: []string{evil}, Result: "false"}},
	}}}}})
	explained := b.String()
	if err := printTable(&b, []string{"A", "B"}, [][]string{{evil, evil}}); err != nil {
		t.Fatal(err)
	}
	if err := printFacts(&b, []fact{{"A", evil}}); err != nil {
		t.Fatal(err)
	}
	if out := b.String(); strings.ContainsAny(out, "\x1b\u202e") || strings.Contains(out, "\nALLOWED") {
		t.Errorf("%q", out)
	}
	if n := strings.Count(explained, "\n"); n != 7 {
		t.Errorf("%d lines: %q", n, explained)
	}
}
