package iamaction_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"trent/internal/action"
	"trent/internal/action/iamaction"
	"trent/internal/action/stsaction"
	"trent/internal/api"
	"trent/internal/api/iamapi"
	"trent/internal/api/stsapi"
)

// Every operation of the models is performed, or refused with a reason in words.
func TestEveryOperationIsSomewhere(t *testing.T) {
	for _, c := range []struct {
		operations []*api.Operation
		table      map[string]*action.Entry
		notYet     map[string]string
	}{
		{iamapi.Operations(), iamaction.Table(), iamaction.NotYet()},
		{stsapi.Operations(), stsaction.Table(), stsaction.NotYet()},
	} {
		for _, op := range c.operations {
			_, now := c.table[op.Name]
			reason, later := c.notYet[op.Name]
			switch {
			case now == later:
				t.Errorf("%s: in the table %v, in NotYet %v", op.Name, now, later)
			case later && len(strings.Fields(reason)) < 2:
				t.Errorf("%s: %q is no reason", op.Name, reason)
			}
			delete(c.notYet, op.Name)
			delete(c.table, op.Name)
		}
		if len(c.table)+len(c.notYet) > 0 {
			t.Errorf("not in the model: %v %v", c.table, c.notYet)
		}
	}
}

// TestSEC_B09: every operation of IAM asks for the permission of its own name, on
// something, and for no other, but that to tag where it is sent tags.
func TestSEC_B09_PermissionsAreOfTheirOwnName(t *testing.T) {
	for name, e := range iamaction.Table() {
		if len(e.Uses) == 0 {
			t.Errorf("%s needs no permission", name)
		}
		for i, u := range e.Uses {
			tags := i > 0 && u.When != nil && u.Permit.Name == strings.Replace("iam:"+name, "Create", "Tag", 1)
			if (u.Permit.Name != "iam:"+name || u.When != nil) && !tags {
				t.Errorf("%s asks for %q", name, u.Permit.Name)
			}
			if (u.Kind == action.OnEntity) != (u.Entity != nil) || u.Kind != action.OnEntity && u.Kind != action.OnAccount {
				t.Errorf("%s is about no entity and not about the account", name)
			}
		}
	}
}

// TestSEC_A11: reads cannot change anything, everything else is protected from
// replay, and what gives a secret away wholly.
func TestSEC_A11_ChangesAreMarked(t *testing.T) {
	for name, e := range iamaction.Table() {
		isRead := strings.HasPrefix(name, "Get") || strings.HasPrefix(name, "List")
		if e.Mutates == isRead {
			t.Errorf("%s: Mutates is %v", name, e.Mutates)
		}
		secret := slices.ContainsFunc(e.Op.OutputMembers, func(m api.Member) bool { return m.Sensitive }) && e.Mutates
		if e.Once != secret {
			t.Errorf("%s: Once is %v, its answer has a secret: %v", name, e.Once, secret)
		}
	}
}

// TestSEC_G01: what an entry copies into the audit record is there, and is not
// secret; and all that names something is copied.
func TestSEC_G01_AuditedMembers(t *testing.T) {
	for name, e := range iamaction.Table() {
		members := make(map[string]api.Member)
		for _, m := range e.Op.Members {
			members[m.Name] = m
		}
		for _, a := range e.Audit {
			if m, ok := members[a]; !ok || m.Sensitive {
				t.Errorf("%s audits %s, which is secret or not there", name, a)
			}
		}
		for _, m := range slices.Sorted(maps.Keys(members)) {
			if (strings.HasSuffix(m, "Name") || strings.HasSuffix(m, "Arn") || strings.HasSuffix(m, "Document")) && !slices.Contains(e.Audit, m) {
				t.Errorf("%s does not audit %s", name, m)
			}
		}
	}
}
