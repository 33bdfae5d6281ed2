package adminaction_test

import (
	"slices"
	"testing"

	"trent/internal/action"
	"trent/internal/action/adminaction"
	"trent/internal/api"
	"trent/internal/api/adminapi"
)

// Every operation of the model is performed; and what dev mode alone has is not there
// without it.
func TestEveryOperationIsThere(t *testing.T) {
	dev, use := adminaction.Table(true), adminaction.Table(false)
	for _, op := range adminapi.Operations() {
		e, ok := dev[op.Name]
		if !ok {
			t.Errorf("%s is not performed", op.Name)
			continue
		}
		if _, there := use[op.Name]; there == e.Dev {
			t.Errorf("%s: of dev mode alone %v, there without it %v", op.Name, e.Dev, there)
		}
	}
	if len(dev) != len(adminapi.Operations()) || len(use) != len(dev)-2 {
		t.Errorf("%d and %d operations", len(dev), len(use))
	}
}

// TestSEC_B09: every operation asks for the permission of its own name, of principals of
// the first account.
func TestSEC_B09_PermissionsAreOfTheirOwnName(t *testing.T) {
	for name, e := range adminaction.Table(true) {
		if len(e.Uses) != 1 || e.Uses[0].Permit.Name != "trent:"+name || !e.Uses[0].Operator || e.Uses[0].Kind != action.OnAccount {
			t.Errorf("%s asks for %+v", name, e.Uses)
		}
	}
}

// TestSEC_G01: what goes into the audit is there, and no secret; a secret is there as a
// hash, if at all.
func TestSEC_G01_AuditedMembers(t *testing.T) {
	for name, e := range adminaction.Table(true) {
		for _, audited := range e.Audit {
			if !slices.ContainsFunc(e.Op.Members, func(m api.Member) bool { return m.Name == audited && !m.Sensitive }) {
				t.Errorf("%s audits %s, which is not there or is sensitive", name, audited)
			}
		}
		for _, d := range e.Digests {
			if slices.Contains(e.Audit, d.Name) || slices.ContainsFunc(e.Op.Members, func(m api.Member) bool { return m.Name == d.Name }) {
				t.Errorf("%s: the digest %s has the name of a member", name, d.Name)
			}
		}
	}
}

// TestSEC_A11: what reads is marked as reading, and everything else cannot be replayed.
func TestSEC_A11_ChangesAreMarked(t *testing.T) {
	reads := []string{"ListAccounts", "ExplainDecision", "DescribeDeployment", "DescribeRekey", "ReadBackup"}
	for name, e := range adminaction.Table(true) {
		if e.Mutates == slices.Contains(reads, name) {
			t.Errorf("%s: mutates %v", name, e.Mutates)
		}
		if e.Compound && !e.Once {
			t.Errorf("%s is done before it is committed, and may be sent twice", name)
		}
	}
}
