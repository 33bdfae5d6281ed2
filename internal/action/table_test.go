package action_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"trent/internal/action"
	"trent/internal/api"
	"trent/internal/fault"
	"trent/internal/key"
)

// Every operation of the model is performed, or refused with a reason in words;
// none is both, and nothing is in the table that the model does not have.
func TestEveryOperationIsSomewhere(t *testing.T) {
	table, notYet := action.Table(), action.NotYet()
	for _, op := range api.Operations() {
		_, now := table[op.Name]
		reason, later := notYet[op.Name]
		switch {
		case now == later:
			t.Errorf("%s: in the table %v, in NotYet %v", op.Name, now, later)
		case later && len(strings.Fields(reason)) < 2:
			t.Errorf("%s: %q is no reason", op.Name, reason)
		}
		delete(notYet, op.Name)
		delete(table, op.Name)
	}
	if len(table)+len(notYet) > 0 {
		t.Errorf("not in the model: %v %v", table, notYet)
	}
}

// TestSEC_G01: what an entry copies into the audit record is there, and is not
// secret. The generated code cannot give a sensitive member either.
func TestSEC_G01_AuditedMembersAreNotSensitive(t *testing.T) {
	for name, e := range action.Table() {
		for _, member := range e.Audit {
			i := slices.IndexFunc(e.Op.Members, func(m api.Member) bool { return m.Name == member })
			switch {
			case i < 0:
				t.Errorf("%s audits %s, which it does not have", name, member)
			case e.Op.Members[i].Sensitive || e.Op.Members[i].Kind == api.KindBlob:
				t.Errorf("%s audits %s", name, member)
			}
		}
	}
}

// Whatever names a resource is in the audit record, as what was asked for.
func TestIdentifiersAreAudited(t *testing.T) {
	for name, e := range action.Table() {
		for _, m := range e.Op.Members {
			if strings.HasSuffix(m.Name, "KeyId") || m.Name == "AliasName" {
				if !slices.Contains(e.Audit, m.Name) && m.Name != "XksKeyId" {
					t.Errorf("%s does not audit %s", name, m.Name)
				}
			}
		}
	}
}

// Reads cannot change anything, and everything else is protected from replay.
func TestSEC_A11_ChangesAreMarked(t *testing.T) {
	reads := []string{
		"Describe", "List", "Get", "Encrypt", "Decrypt", "ReEncrypt", "Generate",
		"Sign", "Verify", "DeriveSharedSecret", "Encapsulate", "Decapsulate",
	}
	for name, e := range action.Table() {
		isRead := slices.ContainsFunc(reads, func(p string) bool { return strings.HasPrefix(name, p) })
		if e.Mutates == isRead {
			t.Errorf("%s: Mutates is %v", name, e.Mutates)
		}
	}
}

func TestKeyStates(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	base := &key.Record{
		Kind: key.KindOf(api.KeySpecSymmetricDefault, api.KeyUsageEncryptDecrypt, api.OriginAWSKMS),
		ARN:  "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab", Enabled: true,
		Materials: []key.Material{{ID: key.MaterialID{1}}},
	}
	variant := func(alter func(*key.Record)) *key.Record { c := base.Clone(); alter(c); return c }
	records := []*key.Record{
		base,
		variant(func(r *key.Record) { r.Enabled = false }),
		variant(func(r *key.Record) { r.DeletionDate = key.MomentOf(now.Add(time.Hour)) }),
		variant(func(r *key.Record) { r.Materials = nil }),
		variant(func(r *key.Record) { r.External = &key.External{Unavailable: true} }),
	}
	for i, want := range []api.KeyState{api.KeyStateEnabled, api.KeyStateDisabled, api.KeyStatePendingDeletion, api.KeyStatePendingImport, api.KeyStateUnavailable} {
		if got := records[i].State(now); got != want {
			t.Fatalf("the record for %s is %s", want, got)
		}
	}
	answers := map[string]struct {
		code fault.Code
		text string
	}{
		"disabled":      {api.DisabledException, "is disabled."},
		"deleting":      {api.KMSInvalidStateException, "is pending deletion."},
		"deleting-long": {api.KMSInvalidStateException, "is pending deletion (or pending replica deletion)."},
		"not-deleting":  {api.KMSInvalidStateException, "is not pending deletion (or pending replica deletion)."},
		"importing":     {api.KMSInvalidStateException, "is pending import."},
		"unavailable":   {api.KMSInvalidStateException, "is unavailable."},
	}
	rows := readTable(t, "keystates.txt")
	for name, e := range action.Table() {
		rule, onKey := stateRule(e)
		row, listed := rows[name]
		if onKey != listed {
			t.Errorf("%s: is about a key %v, is in keystates.txt %v", name, onKey, listed)
			continue
		}
		for i, want := range row {
			if want == "-" {
				continue // testdata/keykinds.txt says what comes of it
			}
			err := rule.Check(records[i], now)
			if want == "ok" {
				if err != nil {
					t.Errorf("%s, %s: %v", name, records[i].State(now), err)
				}
				continue
			}
			a, known := answers[want]
			f := fault.From(err)
			if !known || err == nil || f.Code != a.code || f.Message != base.ARN+" "+a.text {
				t.Errorf("%s, %s: %v, want %s", name, records[i].State(now), err, want)
			}
		}
	}
}

// stateRule is the strictest rule of an entry's keys: those that are only named
// may be in any state.
func stateRule(e *action.Entry) (rule key.StateRule, onKey bool) {
	for _, u := range e.Uses {
		if u.Kind == action.OnKey || u.Kind == action.OnGrant {
			onKey = true
			if u.State != key.AnyState {
				rule = u.State
			}
		}
	}
	return rule, onKey
}

func TestPermissions(t *testing.T) {
	rows := readTable(t, "permissions.txt")
	for name, e := range action.Table() {
		row, ok := rows[name]
		if !ok {
			t.Errorf("%s is not in permissions.txt", name)
			continue
		}
		got := []string{"home", "id"}
		for _, u := range e.Uses {
			if u.Abroad {
				got[0] = "abroad"
			}
			if u.Kind == action.OnKey && u.Alias == action.AliasResolves && !hasAliasName(e) || name == "DeleteAlias" {
				got[1] = "alias"
			}
			on := map[action.Kind]string{action.OnAccount: "*", action.OnAlias: "alias", action.OnNewAlias: "alias", action.OnKey: "key", action.OnReplica: "key", action.OnGrant: "grant"}[u.Kind]
			if u.Permit.Name != "" && (u.When == nil || u.Kind == action.OnKey) {
				got = append(got, u.Permit.Name+"="+on)
			}
		}
		if !slices.Equal(got, row) {
			t.Errorf("%s: %v, want %v", name, got, row)
		}
		delete(rows, name)
	}
	for name := range rows {
		t.Errorf("%s is in permissions.txt and not in the table", name)
	}
}

func hasAliasName(e *action.Entry) bool {
	return slices.ContainsFunc(e.Op.Members, func(m api.Member) bool { return m.Name == "AliasName" })
}

// readTable reads a transcribed table: a name and what follows it, by line.
func readTable(t *testing.T, name string) map[string][]string {
	text, err := os.ReadFile("../../testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	rows := make(map[string][]string)
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 0 && !strings.HasPrefix(line, "#") {
			rows[f[0]] = f[1:]
		}
	}
	return rows
}
