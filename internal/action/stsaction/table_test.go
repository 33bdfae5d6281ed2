package stsaction_test

import (
	"slices"
	"strings"
	"testing"

	"trent/internal/action/stsaction"
	"trent/internal/api"
	"trent/internal/api/stsapi"
)

// Every operation of the model is performed, or refused with a reason in words.
func TestEveryOperationIsSomewhere(t *testing.T) {
	table, notYet := stsaction.Table(), stsaction.NotYet()
	for _, op := range stsapi.Operations() {
		_, now := table[op.Name]
		reason, later := notYet[op.Name]
		if now == later || later && len(strings.Fields(reason)) < 2 {
			t.Errorf("%s: in the table %v, in NotYet %q", op.Name, now, reason)
		}
		delete(notYet, op.Name)
		delete(table, op.Name)
	}
	if len(table)+len(notYet) > 0 {
		t.Errorf("not in the model: %v %v", table, notYet)
	}
}

// TestSEC_G01: what an entry copies into the audit record is there, and is not secret.
func TestSEC_G01_AuditedMembersAreNotSensitive(t *testing.T) {
	for name, e := range stsaction.Table() {
		for _, member := range e.Audit {
			i := slices.IndexFunc(e.Op.Members, func(m api.Member) bool { return m.Name == member })
			if i < 0 || e.Op.Members[i].Sensitive {
				t.Errorf("%s audits %s", name, member)
			}
		}
	}
}

// TestSEC_A11: a signed request that gives out credentials cannot be sent again later.
func TestSEC_A11_CredentialsOnce(t *testing.T) {
	for name, e := range stsaction.Table() {
		givesSecrets := slices.ContainsFunc(e.Op.OutputMembers, func(m api.Member) bool { return m.Sensitive })
		signed := name != "AssumeRoleWithWebIdentity" // which has no signature that could be remembered
		if want := givesSecrets && signed; e.Mutates != want {
			t.Errorf("%s: Mutates %v", name, e.Mutates)
		}
	}
}
