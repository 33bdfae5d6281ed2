package pipeline_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"trent/internal/crypt"
	"trent/internal/secret"
)

// modelled is an imported key as somebody would write it down who has read the pages of the actions
// and not the code.
type modelled struct {
	materials []modelMaterial // that the key was rotated to, oldest first
	pending   *modelMaterial
	enabled   bool
	deletion  time.Time
	rotations int
}

type modelMaterial struct {
	n     int
	there bool
	until time.Time // the zero time: for good
}

func (m *modelMaterial) usable(now time.Time) bool {
	return m.there && (m.until.IsZero() || now.Before(m.until))
}

func (k *modelled) state(now time.Time) string {
	whole := len(k.materials) > 0
	for i := range k.materials {
		whole = whole && k.materials[i].usable(now)
	}
	switch {
	case !k.deletion.IsZero():
		return "PendingDeletion"
	case !whole:
		return "PendingImport"
	case !k.enabled:
		return "Disabled"
	}
	return "Enabled"
}

func (k *modelled) find(n int) *modelMaterial {
	for i := range k.materials {
		if k.materials[i].n == n {
			return &k.materials[i]
		}
	}
	if k.pending != nil && k.pending.n == n {
		return k.pending
	}
	return nil
}

const invalidState, incorrect = "KMSInvalidStateException", "IncorrectKeyMaterialException"

// importing gives the code that it is refused with, or does it.
func (k *modelled) importing(n int, as string, until, now time.Time) string {
	if !k.deletion.IsZero() {
		return invalidState
	}
	if as == "" && len(k.materials) == 0 {
		as = "NEW_KEY_MATERIAL"
	}
	before, known := k.state(now), k.find(n)
	if as == "NEW_KEY_MATERIAL" {
		switch {
		case known != nil && known != k.pending:
			return incorrect
		case known == nil && k.pending != nil:
			return invalidState
		case known == nil && len(k.materials) == 0:
			k.materials = append(k.materials, modelMaterial{n: n})
		case known == nil:
			k.pending = &modelMaterial{n: n}
		}
	} else if known == nil {
		return incorrect
	}
	m := k.find(n)
	m.there, m.until = true, until
	if before == "PendingImport" {
		was := k.enabled
		k.enabled = true
		if k.state(now) == "PendingImport" {
			k.enabled = was
		}
	}
	return ""
}

func (k *modelled) deleting(n int) string {
	m := k.find(n)
	switch {
	case m == nil:
		return "NotFoundException"
	case m == k.pending:
		k.pending = nil
	default:
		m.there = false
	}
	return ""
}

func (k *modelled) rotating(now time.Time) string {
	switch k.state(now) {
	case "Disabled":
		return "DisabledException"
	case "PendingDeletion", "PendingImport":
		return invalidState
	}
	switch {
	case k.rotations >= 25:
		return "LimitExceededException"
	case k.pending == nil || !k.pending.usable(now):
		return invalidState
	}
	k.materials, k.pending = append(k.materials, *k.pending), nil
	k.rotations++
	return ""
}

func (k *modelled) switching(on bool, now time.Time) string {
	if s := k.state(now); s == "PendingDeletion" || s == "PendingImport" {
		return invalidState
	}
	k.enabled = on
	return ""
}

func (k *modelled) scheduling(now time.Time) string {
	if !k.deletion.IsZero() {
		return invalidState
	}
	k.deletion = now.Add(30 * day)
	return ""
}

func (k *modelled) cancelling() string {
	if k.deletion.IsZero() {
		return invalidState
	}
	k.deletion, k.enabled = time.Time{}, false
	return ""
}

// Whatever is done to an imported key, in whichever order and with whatever time between, it is in
// the state, and has the materials, that the model says; and what it encrypted under any of them is
// decrypted whenever it is enabled.
func TestImportedMaterialAgreesWithModel(t *testing.T) {
	w := newImporting(t)
	rapid.Check(t, func(t *rapid.T) {
		id, _ := w.external("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
		k := &modelled{enabled: true}
		blobs := make(map[string]bool)
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			step := w.materialStep(t, id, k)
			if !k.deletion.IsZero() && !w.clock().Before(k.deletion) {
				return
			}
			w.agrees(t, step, id, k)
			if k.state(w.clock()) == "Enabled" && len(blobs) < 4 {
				blobs[w.encrypt(admin, id, "{}")] = true
			}
			for blob := range blobs {
				r := w.call(admin, "Decrypt", `{"CiphertextBlob":"`+blob+`"}`)
				if (r.status == 200) != (k.state(w.clock()) == "Enabled") || r.code == "AccessDeniedException" {
					t.Fatalf("after %s, in state %s: %d %s %s", step, k.state(w.clock()), r.status, r.code, r.message)
				}
			}
		}
	})
}

// materialStep does something to the key and to the model, and wants the same answer.
func (w *world) materialStep(t *rapid.T, id string, k *modelled) string {
	now, n := w.clock(), rapid.IntRange(0, 3).Draw(t, "material")
	name, err := crypt.MaterialIDOf(id, secret.New(materialOf(byte(n))))
	if err != nil {
		t.Fatal(err)
	}
	step := rapid.SampledFrom([]string{
		"import", "import", "import", "delete", "rotate", "rotate", "ScheduleKeyDeletion", "CancelKeyDeletion", "EnableKey", "DisableKey", "pass", "sweep", "restart",
	}).Draw(t, "step")
	var got result
	var want string
	switch step {
	case "import":
		as, until, members := rapid.SampledFrom([]string{"", "NEW_KEY_MATERIAL", "EXISTING_KEY_MATERIAL"}).Draw(t, "as"), time.Time{}, noExpiry
		if days := rapid.IntRange(0, 3).Draw(t, "days"); days > 0 {
			until = now.Add(time.Duration(days) * day)
			members = validTo(until)
		}
		if as != "" {
			members += `,"ImportType":"` + as + `"`
		}
		if k.deletion.IsZero() {
			got = w.importInto(admin, id, materialOf(byte(n)), members)
		} else {
			got = w.sendImport(admin, id, "YQ==", "YQ==", members)
		}
		want = k.importing(n, as, until, now)
		step += fmt.Sprint(" ", n, " ", as, " until ", until)
	case "delete":
		got = w.call(admin, "DeleteImportedKeyMaterial", `{"KeyId":"`+id+`","KeyMaterialId":"`+crypt.HexID(name)+`"}`)
		want = k.deleting(n)
	case "rotate":
		got, want = w.call(admin, "RotateKeyOnDemand", about(id)), k.rotating(now)
	case "EnableKey", "DisableKey":
		got, want = w.call(admin, step, about(id)), k.switching(step == "EnableKey", now)
	case "ScheduleKeyDeletion":
		got, want = w.call(admin, step, about(id)), k.scheduling(now)
	case "CancelKeyDeletion":
		got, want = w.call(admin, step, about(id)), k.cancelling()
	case "pass":
		w.pass(time.Duration(rapid.IntRange(1, 40).Draw(t, "hours")) * time.Hour)
	case "sweep":
		w.sweep()
	case "restart":
		w.restart()
	}
	if got.code != want {
		t.Fatalf("%s: %d %s %s, want %q", step, got.status, got.code, got.message, want)
	}
	return step
}

// agrees compares what the key says of itself with the model.
func (w *world) agrees(t *rapid.T, step, id string, k *modelled) {
	now := w.clock()
	m := w.describe(admin, id)
	if m["KeyState"] != k.state(now) || m["Enabled"] != (k.state(now) == "Enabled") {
		t.Fatalf("after %s: %v, want %s", step, m["KeyState"], k.state(now))
	}
	names := make(map[any]int)
	for n := range 4 {
		name, err := crypt.MaterialIDOf(id, secret.New(materialOf(byte(n))))
		if err != nil {
			t.Fatal(err)
		}
		names[crypt.HexID(name)] = n
	}
	var got, want []string
	for _, e := range w.must(admin, "ListKeyRotations", `{"KeyId":"`+id+`","IncludeKeyMaterial":"ALL_KEY_MATERIAL"}`)["Rotations"].([]any) {
		r := e.(map[string]any)
		got = append(got, fmt.Sprint(names[r["KeyMaterialId"]], " ", r["KeyMaterialState"], " ", r["ImportState"], " ", r["ValidTo"]))
	}
	line := func(m *modelMaterial, state string) {
		imported, until := "PENDING_IMPORT", any(nil)
		if m.usable(now) {
			imported = "IMPORTED"
			if !m.until.IsZero() {
				until = float64(m.until.Unix())
			}
		}
		want = append(want, fmt.Sprint(m.n, " ", state, " ", imported, " ", until))
	}
	for i := range k.materials {
		line(&k.materials[i], map[bool]string{true: "CURRENT", false: "NON_CURRENT"}[i == len(k.materials)-1])
	}
	if k.pending != nil {
		line(k.pending, "PENDING_ROTATION")
	}
	if !slices.Equal(got, want) {
		t.Fatalf("after %s: %q, want %q", step, got, want)
	}
}
