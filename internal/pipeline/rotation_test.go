package pipeline_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

const day = 24 * time.Hour

// about is a request about one key and nothing else.
func about(id string) string { return `{"KeyId":"` + id + `"}` }

// material is the id of the material that a key encrypts under.
func (w *world) material(id string) string {
	w.t.Helper()
	name, _ := w.must(admin, "DescribeKey", about(id))["KeyMetadata"].(map[string]any)["CurrentKeyMaterialId"].(string)
	return name
}

// generations keeps a ciphertext of each material that a key has had.
type generations struct {
	*world
	id    string
	blobs map[string]string // by material id
}

func (g *generations) keep() {
	g.t.Helper()
	g.blobs[g.material(g.id)] = g.encrypt(admin, g.id, `{"k":"v"}`)
}

// decrypt wants each of them opened, by the material that made it.
func (g *generations) decrypt(n int) {
	g.t.Helper()
	if len(g.blobs) != n {
		g.t.Fatalf("%d generations, want %d", len(g.blobs), n)
	}
	for name, blob := range g.blobs {
		out := g.must(admin, "Decrypt", `{"CiphertextBlob":"`+blob+`","EncryptionContext":{"k":"v"}}`)
		if out["KeyMaterialId"] != name || out["Plaintext"] != "Q0FOQVJZLXBsYWludGV4dA==" {
			g.t.Errorf("%s: %v", name, out)
		}
	}
}

// A key that has been rotated ten times, by the clock and on demand, decrypts what it encrypted
// under each of its materials, also after a restart; and lists them.
func TestTenRotations(t *testing.T) {
	w := newPopulated(t)
	id, arn := w.newKey(admin)
	g := &generations{w, id, make(map[string]string)}
	g.keep()
	w.must(admin, "EnableKeyRotation", `{"KeyId":"`+id+`","RotationPeriodInDays":90}`)
	var types []string
	for i := range 5 {
		w.pass(30 * day)
		if out := w.must(admin, "RotateKeyOnDemand", about(id)); out["KeyId"] != arn {
			t.Errorf("RotateKeyOnDemand: %v", out)
		}
		g.keep()
		w.pass(60*day - time.Minute)
		if swept := w.sweep(); len(swept.Rotated) != 0 {
			t.Fatalf("rotated early, the time number %d: %+v", i, swept)
		}
		w.pass(time.Minute)
		if swept := w.sweep(); len(swept.Rotated) != 1 || swept.Rotated[0].ARN != arn {
			t.Fatalf("rotation number %d: %+v", i, swept)
		}
		if swept := w.sweep(); len(swept.Rotated) != 0 {
			t.Fatalf("rotated twice: %+v", swept)
		}
		g.keep()
		types = append(types, "ON_DEMAND", "AUTOMATIC")
	}
	g.decrypt(11)
	w.restart()
	g.decrypt(11)

	list := w.must(admin, "ListKeyRotations", about(id))["Rotations"].([]any)
	var got []string
	for i, e := range list {
		m := e.(map[string]any)
		got = append(got, m["RotationType"].(string))
		state := "NON_CURRENT"
		if i == len(list)-1 {
			state = "CURRENT"
		}
		if m["KeyMaterialState"] != state || m["KeyId"] != arn || m["RotationDate"] == nil || g.blobs[m["KeyMaterialId"].(string)] == "" || m["ImportState"] != nil {
			t.Errorf("%v", m)
		}
	}
	if strings.Join(got, " ") != strings.Join(types, " ") {
		t.Errorf("the rotations are %v", got)
	}
	if all := w.must(admin, "ListKeyRotations", `{"KeyId":"`+id+`","IncludeKeyMaterial":"ALL_KEY_MATERIAL"}`)["Rotations"].([]any); len(all) != 11 || all[0].(map[string]any)["RotationDate"] != nil {
		t.Errorf("all materials: %v", all)
	}
	w.pages(id, 11)
}

// pages reads all materials three at a time.
func (w *world) pages(id string, n int) {
	w.t.Helper()
	seen, marker := 0, ""
	for {
		out := w.must(admin, "ListKeyRotations", `{"KeyId":"`+id+`","IncludeKeyMaterial":"ALL_KEY_MATERIAL","Limit":3`+marker+`}`)
		seen += len(out["Rotations"].([]any))
		if out["Truncated"] == false {
			break
		}
		marker = `,"Marker":"` + out["NextMarker"].(string) + `"`
		w.refused(w.call(admin, "ListKeyRotations", about(id)[:len(about(id))-1]+marker+`}`), "InvalidMarkerException", "")
	}
	if seen != n {
		w.t.Errorf("%d materials by pages, want %d", seen, n)
	}
}

// The status says what is set, and false while the key is to be deleted.
func TestRotationStatus(t *testing.T) {
	w := newPopulated(t)
	id, arn := w.newKey(admin)
	status := func(want string) {
		t.Helper()
		out := w.must(admin, "GetKeyRotationStatus", about(id))
		got := fmt.Sprint(out["KeyRotationEnabled"], " ", out["RotationPeriodInDays"])
		if next, ok := out["NextRotationDate"].(float64); ok {
			got += fmt.Sprint(" ", time.Unix(int64(next), 0).Sub(w.clock()))
		}
		if got != want || out["KeyId"] != arn || out["OnDemandRotationStartDate"] != nil {
			t.Errorf("got %q, want %q: %v", got, want, out)
		}
	}
	status("false <nil>")
	w.must(admin, "EnableKeyRotation", about(id))
	status("true 365 8760h0m0s")
	w.pass(10 * day)
	w.must(admin, "EnableKeyRotation", about(id)) // again: the date stays
	status("true 365 8520h0m0s")
	w.must(admin, "RotateKeyOnDemand", about(id)) // which does not move it either
	status("true 365 8520h0m0s")
	w.must(admin, "EnableKeyRotation", `{"KeyId":"`+id+`","RotationPeriodInDays":2560}`)
	status("true 2560 61440h0m0s")
	w.must(admin, "ScheduleKeyDeletion", about(id))
	status("false <nil>")
	w.must(admin, "CancelKeyDeletion", about(id))
	status("true 2560 61440h0m0s")
	w.must(admin, "EnableKey", about(id))
	w.must(admin, "DisableKeyRotation", about(id))
	status("false <nil>")
	for period, text := range map[string]string{
		"89":   "1 validation error detected: Value '89' at 'rotationPeriodInDays' failed to satisfy constraint: Member must have value greater than or equal to 90",
		"2561": "1 validation error detected: Value '2561' at 'rotationPeriodInDays' failed to satisfy constraint: Member must have value less than or equal to 2560",
	} {
		w.refused(w.call(admin, "EnableKeyRotation", `{"KeyId":"`+id+`","RotationPeriodInDays":`+period+`}`), "ValidationException", text)
	}
}

// A key that is disabled or to be deleted is not rotated; one that is overdue is, as soon as it is
// enabled again.
func TestDisabledKeysAreNotRotated(t *testing.T) {
	w := newPopulated(t)
	id, _ := w.newKey(admin)
	first := w.material(id)
	w.must(admin, "EnableKeyRotation", `{"KeyId":"`+id+`","RotationPeriodInDays":100}`)
	w.must(admin, "DisableKey", about(id))
	w.pass(80 * day)
	w.must(admin, "EnableKey", about(id))
	if w.material(id) != first {
		t.Error("rotated before it was due")
	}
	w.must(admin, "ScheduleKeyDeletion", about(id))
	w.pass(25 * day)
	if swept := w.sweep(); len(swept.Rotated) != 0 || w.material(id) != first {
		t.Errorf("rotated while it is to be deleted: %+v", swept)
	}
	w.must(admin, "CancelKeyDeletion", about(id))
	if swept := w.sweep(); len(swept.Rotated) != 0 || w.material(id) != first {
		t.Errorf("rotated while it is disabled: %+v", swept)
	}
	w.must(admin, "EnableKey", about(id))
	second := w.material(id)
	if second == first {
		t.Error("an overdue key is not rotated when it is enabled")
	}
	w.pass(100*day - time.Second)
	if swept := w.sweep(); len(swept.Rotated) != 0 {
		t.Errorf("the next rotation came early: %+v", swept)
	}
	w.pass(time.Second)
	if swept := w.sweep(); len(swept.Rotated) != 1 || w.material(id) == second {
		t.Errorf("the next rotation did not come: %+v", swept)
	}
}

// On demand a key is rotated 25 times and no more, and not when the clock is about to.
func TestOnDemandLimits(t *testing.T) {
	w := newPopulated(t)
	id, arn := w.newKey(admin)
	w.must(admin, "EnableKeyRotation", `{"KeyId":"`+id+`","RotationPeriodInDays":90}`)
	w.pass(90*day - 20*time.Minute)
	w.refused(w.call(admin, "RotateKeyOnDemand", about(id)), "ConflictException", "An automatic rotation of "+arn+" is due within 20 minutes.")
	w.pass(20 * time.Minute)
	w.sweep()
	for range 25 {
		w.must(admin, "RotateKeyOnDemand", about(id))
	}
	w.refused(w.call(admin, "RotateKeyOnDemand", about(id)), "LimitExceededException",
		"The on-demand rotations limit has been reached for the given keyId. No more on-demand rotations can be performed for this key: "+arn)
	w.must(admin, "ScheduleKeyDeletion", about(id))
	w.pass(31 * day)
	if swept := w.sweep(); len(swept.Deleted) != 1 {
		t.Errorf("a key with 27 materials is not deleted: %+v", swept)
	}
}

// kindRows are the columns of testdata/keykinds.txt.
func kindRows(t *testing.T) (columns []string, rows map[string][]string) {
	text, err := os.ReadFile("../../testdata/keykinds.txt")
	if err != nil {
		t.Fatal(err)
	}
	rows = make(map[string][]string)
	var last string
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); strings.HasPrefix(line, "#") {
			last = line
		} else if len(f) > 1 {
			rows[f[0]] = f[1:]
		}
	}
	return strings.Fields(last)[1:], rows
}

// What actions about material answer for each kind of key is what the table says.
func TestKeyKinds(t *testing.T) {
	columns, rows := kindRows(t)
	for action, row := range rows {
		for i, column := range columns {
			w := newImporting(t)
			for _, id := range w.ofKind(column) {
				arn, origin := w.arnOf(id), w.describe(admin, id)["Origin"].(string)
				r := w.call(admin, action, w.aboutMaterial(action, id))
				refusal := map[string]struct{ code, text string }{
					"unsupported":   {"UnsupportedOperationException", ""},
					"origin":        {"UnsupportedOperationException", arn + " origin is " + origin + " which is not valid for this operation."},
					"importing":     {"KMSInvalidStateException", arn + " is pending import."},
					"deleting-long": {"KMSInvalidStateException", arn + " is pending deletion (or pending replica deletion)."},
					"none-pending":  {"KMSInvalidStateException", "No available key material pending rotation for the key: " + arn + "."},
				}
				switch want, known := refusal[row[i]]; {
				case known:
					w.refused(r, want.code, want.text)
				case row[i] != "ok":
					t.Fatalf("%s of %s: what is %q", action, column, row[i])
				case r.status != 200:
					t.Errorf("%s of %s: %s %s", action, column, r.code, r.message)
				}
			}
		}
	}
}

// aboutMaterial is a request of an action about a key; one to import brings the material of ofKind.
func (w *world) aboutMaterial(action, id string) string {
	w.t.Helper()
	parameters := `{"KeyId":"` + id + `","WrappingAlgorithm":"RSAES_OAEP_SHA_256","WrappingKeySpec":"RSA_2048"}`
	switch action {
	case "GetParametersForImport":
		return parameters
	case "ImportKeyMaterial":
		got := w.call(admin, "GetParametersForImport", parameters)
		if got.status != 200 { // refused for the same reason
			return `{"KeyId":"` + id + `","ImportToken":"YQ==","EncryptedKeyMaterial":"YQ==",` + noExpiry + `}`
		}
		wrapped := wrap(w.t, "RSAES_OAEP_SHA_256", decode64(w.t, got.body["PublicKey"]), materialOf(0))
		return `{"KeyId":"` + id + `","ImportToken":"` + got.body["ImportToken"].(string) + `","EncryptedKeyMaterial":"` + wrapped + `",` + noExpiry + `}`
	}
	return about(id)
}

// ofKind makes keys of a column.
func (w *world) ofKind(column string) []string {
	w.t.Helper()
	external := func(spec, usage string) string {
		id, _ := w.external(spec, usage)
		w.imported(admin, id, materialOf(0), noExpiry)
		return id
	}
	switch column {
	case "symmetric":
		id, _ := w.newKey(admin)
		return []string{id}
	case "asymmetric":
		signer, _, _ := w.makeKey("ECC_NIST_P256", "SIGN_VERIFY")
		mac, _, _ := w.makeKey("HMAC_256", "GENERATE_VERIFY_MAC")
		return []string{signer, mac}
	case "imported":
		return []string{external("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")}
	case "imported-mac":
		return []string{external("HMAC_256", "GENERATE_VERIFY_MAC")}
	case "awaiting":
		id, _ := w.external("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
		return []string{id}
	case "deleting":
		id := external("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
		w.must(admin, "ScheduleKeyDeletion", about(id))
		return []string{id}
	}
	w.t.Fatalf("which kind is %q", column)
	return nil
}

// Two sweeps at once rotate a key once.
func TestRotationIsConditional(t *testing.T) {
	w := newPopulated(t)
	id, _ := w.newKey(admin)
	w.must(admin, "EnableKeyRotation", `{"KeyId":"`+id+`","RotationPeriodInDays":90}`)
	w.pass(90 * day)
	done := make(chan int)
	for range 4 {
		go func() {
			swept, err := w.ring.Sweep(t.Context(), w.clock(), w.clock())
			if err != nil {
				t.Error(err)
			}
			done <- len(swept.Rotated)
		}()
	}
	n := 0
	for range 4 {
		n += <-done
	}
	if n != 1 {
		t.Errorf("rotated %d times", n)
	}
	if list := w.must(admin, "ListKeyRotations", about(id))["Rotations"].([]any); len(list) != 1 {
		t.Errorf("%v", list)
	}
}
