package server

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"trent/internal/config"
	"trent/internal/identity"
	"trent/internal/rekey"
	"trent/internal/store"
)

// TestSEC_E15: a dry run names whatever a restore would undo, the worst first, and nothing else.
func TestSEC_E15_DryRunNamesWhatIsUndone(t *testing.T) {
	s, cred := deployment(t, nil)
	url, stop := answering(t, s)
	keys := make(map[string]string) // names to ids
	named := make(map[string]string)
	create := func(name string) {
		keys[name] = keyIDOf(t, called(t, url, cred, "CreateKey", `{}`))
		named[keys[name]] = name
	}
	on := func(action, name, more string) {
		called(t, url, cred, action, `{"KeyId":"`+keys[name]+`"`+more+`}`)
	}
	grant := `,"GranteePrincipal":"arn:aws:iam::111122223333:root","Operations":["Decrypt"]`
	for _, name := range []string{"same", "rotated", "disabled", "enabled", "scheduled", "cancelled", "deleted", "policy", "described", "granted", "retagged"} {
		create(name)
	}
	on("DisableKey", "enabled", "")
	on("ScheduleKeyDeletion", "cancelled", `,"PendingWindowInDays":7`)
	on("CreateGrant", "granted", grant)
	called(t, url, cred, "CreateAlias", `{"AliasName":"alias/gone","TargetKeyId":"`+keys["same"]+`"}`)
	called(t, url, cred, "CreateAlias", `{"AliasName":"alias/moved","TargetKeyId":"`+keys["same"]+`"}`)
	for _, id := range []string{"444455556666", "777788889999"} {
		if err := s.users.CreateAccount(t.Context(), id, "", time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	c := config.Store{Dir: s.files.dir}
	path := backupOf(t, c, s.raw)

	create("made")
	on("RotateKeyOnDemand", "rotated", "")
	on("DisableKey", "disabled", "")
	on("EnableKey", "enabled", "")
	on("ScheduleKeyDeletion", "scheduled", `,"PendingWindowInDays":7`)
	on("CancelKeyDeletion", "cancelled", "")
	on("PutKeyPolicy", "policy", `,"Policy":"{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:iam::111122223333:root\"},\"Action\":\"kms:*\",\"Resource\":\"*\",\"Sid\":\"new\"}}"`)
	on("UpdateKeyDescription", "described", `,"Description":"new"`)
	on("TagResource", "retagged", `,"Tags":[{"TagKey":"a","TagValue":"b"}]`)
	on("RevokeGrant", "granted", `,"GrantId":"`+theGrant(t, s)+`"`)
	on("CreateGrant", "granted", grant)
	called(t, url, cred, "DeleteAlias", `{"AliasName":"alias/gone"}`)
	called(t, url, cred, "UpdateAlias", `{"AliasName":"alias/moved","TargetKeyId":"`+keys["described"]+`"}`)
	called(t, url, cred, "CreateAlias", `{"AliasName":"alias/new","TargetKeyId":"`+keys["same"]+`"}`)
	if err := s.users.Commit(t.Context(), s.users.View(), []identity.Change{identity.Close("777788889999", time.Now())}, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.users.CreateAccount(t.Context(), "222233334444", "", time.Now()); err != nil {
		t.Fatal(err)
	}
	stop()
	closed(t, s)
	past(t, c, store.Batch{Delete: []string{"key/111122223333/us-east-1/" + keys["deleted"]}})

	r, err := CompareBackup(t.Context(), c, path)
	if err != nil || complaint(r.Report) != nil {
		t.Fatalf("%+v, %v", r, err)
	}
	const arn = "arn:aws:kms:us-east-1:111122223333:key/"
	got := make(map[string][]string)
	for _, e := range r.Effects {
		for _, name := range e.Names {
			for id, key := range named {
				name = strings.ReplaceAll(strings.ReplaceAll(name, arn+id, key), id, key)
			}
			if id, of, ok := strings.Cut(name, " of granted"); ok && len(id) == 64 {
				name = "a grant of granted" + of
			}
			got[e.What] = append(got[e.What], name)
		}
		slices.Sort(got[e.What])
	}
	want := map[string][]string{
		headings[rotationUndone]:    {"rotated"},
		headings[keyGone]:           {"made"},
		headings[deletionAgain]:     {"cancelled"},
		headings[deletionCancelled]: {"scheduled"},
		headings[keyBack]:           {"deleted"},
		headings[keyOn]:             {"disabled"},
		headings[keyOff]:            {"enabled"},
		headings[accountOpen]:       {"account 777788889999"},
		headings[grantBack]:         {"a grant of granted to arn:aws:iam::111122223333:root"},
		headings[grantGone]:         {"a grant of granted to arn:aws:iam::111122223333:root"},
		headings[policyOld]:         {"policy"},
		headings[aliasOther]:        {"alias/moved of 111122223333 in us-east-1, for same in the place of described"},
		headings[identityGone]:      {"account 222233334444"},
		headings[aliasBack]:         {"alias/gone of 111122223333 in us-east-1"},
		headings[aliasGone]:         {"alias/new of 111122223333 in us-east-1"},
		headings[otherChanged]:      {"described", "retagged", "same"}, // those with other aliases too
	}
	for _, what := range slices.Sorted(maps.Keys(want)) {
		if !slices.Equal(got[what], want[what]) {
			t.Errorf("%s: %q, not %q", what, got[what], want[what])
		}
		delete(got, what)
	}
	if len(got) > 0 {
		t.Errorf("and there are %q", got)
	}
	if r.Effects[0].What != headings[rotationUndone] || r.Effects[1].What != headings[keyGone] {
		t.Errorf("what cannot be made good does not stand first: %q", r.Effects)
	}
}

// theGrant is the id of the only grant.
func theGrant(t *testing.T, s *Server) string {
	t.Helper()
	for path := range stored(t, s.raw) {
		if strings.HasPrefix(path, "grant/") {
			return path[strings.LastIndexByte(path, '/')+1:]
		}
	}
	t.Fatal("there is no grant")
	return ""
}

// A restore into nothing undoes nothing; and a backup of another deployment has nothing to do with
// a store.
func TestDryRunElsewhere(t *testing.T) {
	c := tenanted(t)
	path := backedUp(t, c)
	r, err := CompareBackup(t.Context(), elsewhere(t, c), path)
	if err != nil || !r.Vacant || len(r.Effects) > 0 {
		t.Errorf("into nothing: %+v, %v", r, err)
	}
	if r, err := CompareBackup(t.Context(), c, path); err != nil || r.Vacant || len(r.Effects) > 0 {
		t.Errorf("of the same state: %+v, %v", r.Effects, err)
	}
	other := initDir(t)
	other.Roots = []string{"file", "file:" + filesOf(c).root}
	if _, err := CompareBackup(t.Context(), other, path); err == nil || !strings.Contains(err.Error(), "is of another deployment") {
		t.Errorf("of another deployment: %v", err)
	}
}

// New root keys change every record and nothing that matters: a backup from before them, from while they are
// brought in, and from after them, all open with the same root of trust and would undo nothing.
func TestBackupsAcrossNewRootKeys(t *testing.T) {
	n, _ := rekeyWorld(t)
	c := config.Store{Dir: n.files.dir}
	paths := []string{backupOf(t, c, n.raw)}
	if err := n.rekey.Start(t.Context(), n.rootAtHand(t), nil, false); err != nil {
		t.Fatal(err)
	}
	paths = append(paths, backupOf(t, c, n.raw))
	if _, err := n.rekey.Work(t.Context()); err != nil {
		t.Fatal(err)
	}
	paths = append(paths, backupOf(t, c, n.raw))
	later := time.Now().Add(rekey.Grace + time.Hour)
	n.rekey.Now = func() time.Time { return later }
	if retired, err := n.rekey.Work(t.Context()); err != nil || !retired {
		t.Fatalf("%t, %v", retired, err)
	}
	paths = append(paths, backupOf(t, c, n.raw))
	locators, err := locatorsOf(c)
	if err != nil {
		t.Fatal(err)
	}
	for i, path := range paths {
		to := elsewhere(t, c)
		restored(t, to, path, "")
		wantSound(t, to)
		o, err := openBackup(t.Context(), c, path)
		if err != nil {
			t.Fatal(err)
		}
		u, err := unseal(t.Context(), n.raw, n.files, locators, discard())
		if err != nil {
			t.Fatal(err)
		}
		if found, err := compareStores(t.Context(), n.raw, u, o); err != nil || len(found) > 0 {
			t.Errorf("backup %d would change %q (%v)", i, found, err)
		}
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	}
}
