package pipeline_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// modelFamily is a multi-Region key in all its Regions, as somebody would write it down who has read the
// pages of the actions and not the code.
type modelFamily struct {
	regions   []string // the primary's first
	members   map[string]*modelMember
	rotations int
}

type modelMember struct {
	enabled  bool
	window   int       // days; zero: it is not to be deleted
	deletion time.Time // the zero time, and a window: it waits for its replicas
}

func (m *modelMember) state() string {
	switch {
	case m.window > 0 && m.deletion.IsZero():
		return "PendingReplicaDeletion"
	case m.window > 0:
		return "PendingDeletion"
	case !m.enabled:
		return "Disabled"
	}
	return "Enabled"
}

// unusable is the code with which a member is refused that cannot be used.
func (f *modelFamily) unusable(region string) string {
	m := f.members[region]
	switch {
	case m == nil:
		return "NotFoundException"
	case m.window > 0:
		return invalidState
	case !m.enabled:
		return "DisabledException"
	}
	return ""
}

const unsupported = "UnsupportedOperationException"

func (f *modelFamily) replicate(from, to string) string {
	if code := f.unusable(from); code != "" {
		return code
	}
	switch {
	case from != f.regions[0]:
		return unsupported
	case f.members[to] != nil:
		return "AlreadyExistsException"
	}
	f.regions = append(f.regions, to)
	f.members[to] = &modelMember{enabled: true}
	return ""
}

func (f *modelFamily) move(from, to string) string {
	isPrimary := from == f.regions[0]
	if f.members[from] != nil && isPrimary && f.members[to] == nil {
		return "NotFoundException"
	}
	if code := f.unusable(from); code != "" {
		return code
	}
	switch {
	case !isPrimary, from == to:
		return unsupported
	case f.members[to].window > 0:
		return invalidState
	}
	i := slices.Index(f.regions, to)
	f.regions[0], f.regions[i] = f.regions[i], f.regions[0]
	return ""
}

func (f *modelFamily) rotate(in string) string {
	if code := f.unusable(in); code != "" {
		return code
	}
	switch {
	case in != f.regions[0]:
		return unsupported
	case f.rotations == 25:
		return "LimitExceededException"
	}
	f.rotations++
	return ""
}

func (f *modelFamily) schedule(in string, now time.Time) string {
	m := f.members[in]
	switch {
	case m == nil:
		return "NotFoundException"
	case m.window > 0:
		return invalidState
	}
	m.window = 7
	if in != f.regions[0] || len(f.regions) == 1 {
		m.deletion = now.Add(7 * day)
	}
	return ""
}

func (f *modelFamily) cancel(in string) string {
	m := f.members[in]
	switch {
	case m == nil:
		return "NotFoundException"
	case m.window == 0:
		return invalidState
	}
	*m = modelMember{}
	return ""
}

func (f *modelFamily) enable(in string, on bool) string {
	m := f.members[in]
	switch {
	case m == nil:
		return "NotFoundException"
	case m.window > 0:
		return invalidState
	}
	m.enabled = on
	return ""
}

// sweep deletes who is to go by now.
func (f *modelFamily) sweep(now time.Time) {
	f.regions = slices.DeleteFunc(f.regions, func(region string) bool {
		m := f.members[region]
		gone := !m.deletion.IsZero() && !now.Before(m.deletion)
		if gone {
			delete(f.members, region)
		}
		return gone
	})
	if len(f.regions) == 1 {
		if m := f.members[f.regions[0]]; m.window > 0 && m.deletion.IsZero() {
			m.deletion = now.Add(time.Duration(m.window) * day)
		}
	}
}

// Whatever is done to a multi-Region key, in whichever Regions, all of its keys agree with the model and so
// with each other, and each that is enabled decrypts what any of them ever encrypted.
func TestMultiRegionKeysAgreeWithModel(t *testing.T) {
	all := []string{"us-east-1", london, tokyo, "us-west-2"}
	w := newPopulated(t)
	rapid.Check(t, func(t *rapid.T) {
		f := &modelFamily{regions: []string{all[0]}, members: map[string]*modelMember{all[0]: {enabled: true}}}
		id, blobs := w.multi(""), make(map[string]bool)
		for range rapid.IntRange(5, 40).Draw(t, "steps") {
			step := w.familyStep(t, id, all, f)
			if len(f.regions) == 0 {
				return
			}
			for _, region := range all {
				w.memberAgrees(t, step, admin.in(region), id, f)
			}
			for _, region := range f.regions {
				if f.unusable(region) == "" && len(blobs) < 6 {
					blobs[w.encrypt(admin.in(region), id, "{}")] = true
				}
			}
			for blob := range blobs {
				for _, region := range f.regions {
					r := w.call(admin.in(region), "Decrypt", `{"CiphertextBlob":"`+blob+`"}`)
					if r.code != f.unusable(region) {
						t.Fatalf("after %s, in %s: %d %s %s", step, region, r.status, r.code, r.message)
					}
				}
			}
		}
	})
}

func (w *world) familyStep(t *rapid.T, id string, all []string, f *modelFamily) string {
	step := rapid.SampledFrom([]string{
		"ReplicateKey", "ReplicateKey", "UpdatePrimaryRegion", "RotateKeyOnDemand", "ScheduleKeyDeletion", "ScheduleKeyDeletion", "ScheduleKeyDeletion",
		"CancelKeyDeletion", "EnableKey", "DisableKey", "pass", "pass", "pass", "restart",
	}).Draw(t, "step")
	in, other := rapid.SampledFrom(all).Draw(t, "in"), rapid.SampledFrom(all).Draw(t, "other")
	if rapid.Bool().Draw(t, "in the primary's") {
		in = f.regions[0]
	}
	body, want := about(id), ""
	switch step {
	case "ReplicateKey":
		body, want = `{"KeyId":"`+id+`","ReplicaRegion":"`+other+`"}`, f.replicate(in, other)
	case "UpdatePrimaryRegion":
		body, want = `{"KeyId":"`+id+`","PrimaryRegion":"`+other+`"}`, f.move(in, other)
	case "RotateKeyOnDemand":
		want = f.rotate(in)
	case "ScheduleKeyDeletion":
		body, want = `{"KeyId":"`+id+`","PendingWindowInDays":7}`, f.schedule(in, w.clock())
	case "CancelKeyDeletion":
		want = f.cancel(in)
	case "EnableKey", "DisableKey":
		want = f.enable(in, step == "EnableKey")
	case "pass":
		w.pass(time.Duration(rapid.IntRange(1, 8).Draw(t, "days")) * day)
		w.sweep()
		f.sweep(w.clock())
		return step
	case "restart":
		w.restart()
		return step
	}
	if got := w.call(admin.in(in), step, body); got.code != want {
		t.Fatalf("%s in %s to %s: %d %s %s, want %q", step, in, other, got.status, got.code, got.message, want)
	}
	return step + " in " + in + " to " + other
}

// memberAgrees compares what one of the keys says with the model.
func (w *world) memberAgrees(t *rapid.T, step string, c caller, id string, f *modelFamily) {
	m := f.members[c.region]
	if m == nil {
		if r := w.call(c, "DescribeKey", about(id)); r.code != "NotFoundException" {
			t.Fatalf("after %s, in %s: there is a key: %v", step, c.region, r)
		}
		return
	}
	kind := map[bool]string{true: "PRIMARY ", false: "REPLICA "}[c.region == f.regions[0]]
	if got, want := w.related(c, id), kind+strings.Join(f.regions, " "); got != want {
		t.Fatalf("after %s, in %s: %s, want %s", step, c.region, got, want)
	}
	got := w.describe(c, id)
	if got["KeyState"] != m.state() || (got["DeletionDate"] != nil) != !m.deletion.IsZero() || (got["PendingDeletionWindowInDays"] != nil) != (m.state() == "PendingReplicaDeletion") {
		t.Fatalf("after %s, in %s: %v, want %s", step, c.region, got, m.state())
	}
	if n := len(w.must(c, "ListKeyRotations", about(id))["Rotations"].([]any)); n != f.rotations {
		t.Fatalf("after %s, in %s: %s", step, c.region, fmt.Sprint(n, " rotations, want ", f.rotations))
	}
}
