package pipeline_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// in is the caller in another Region.
func (c caller) in(region string) caller { c.region = region; return c }

const london, tokyo = "eu-west-2", "ap-northeast-1"

// multi makes a multi-Region key, whose primary is in us-east-1, with replicas.
func (w *world) multi(members string, replicas ...string) (id string) {
	w.t.Helper()
	m := w.must(admin, "CreateKey", `{"MultiRegion":true`+members+`}`)["KeyMetadata"].(map[string]any)
	id = m["KeyId"].(string)
	if !strings.HasPrefix(id, "mrk-") || len(id) != 36 || m["MultiRegion"] != true {
		w.t.Errorf("%v", m)
	}
	for _, region := range replicas {
		w.must(admin, "ReplicateKey", `{"KeyId":"`+id+`","ReplicaRegion":"`+region+`"}`)
	}
	return id
}

// related are the Regions of a key as it tells of them: its type, the primary, the replicas.
func (w *world) related(c caller, id string) string {
	w.t.Helper()
	m, _ := w.describe(c, id)["MultiRegionConfiguration"].(map[string]any)
	out := fmt.Sprint(m["MultiRegionKeyType"], " ", m["PrimaryKey"].(map[string]any)["Region"])
	for _, r := range m["ReplicaKeys"].([]any) {
		region := r.(map[string]any)["Region"].(string)
		if r.(map[string]any)["Arn"] != "arn:aws:kms:"+region+":"+account+":key/"+id {
			w.t.Errorf("%v", r)
		}
		out += " " + region
	}
	return out
}

func (w *world) opens(c caller, id, blob string) {
	w.t.Helper()
	out := w.must(c, "Decrypt", `{"CiphertextBlob":"`+blob+`"}`)
	if out["Plaintext"] != "Q0FOQVJZLXBsYWludGV4dA==" || out["KeyId"] != "arn:aws:kms:"+c.region+":"+account+":key/"+id {
		w.t.Errorf("%v", out)
	}
}

// A key made in one Region and replicated to others decrypts there what it encrypted here, and the other
// way round; each of them has its own policy, tags, aliases, description and state.
func TestMultiRegionKeys(t *testing.T) {
	w := newPopulated(t)
	id := w.multi(`,"Description":"one","Tags":[{"TagKey":"t","TagValue":"v"}]`)
	arn := w.arnOf(id)
	if got := w.related(admin, id); got != "PRIMARY us-east-1" {
		t.Error(got)
	}
	blob := w.encrypt(admin, id, "{}")
	if r := w.call(admin.in(london), "Decrypt", `{"CiphertextBlob":"`+blob+`"}`); r.code != "AccessDeniedException" {
		t.Errorf("before there is a replica: %v", r)
	}
	w.pass(time.Hour)
	out := w.must(admin, "ReplicateKey", `{"KeyId":"`+id+`","ReplicaRegion":"`+london+`","Description":"two","Tags":[{"TagKey":"r","TagValue":"x"}]}`)
	m := out["ReplicaKeyMetadata"].(map[string]any)
	if m["Arn"] != "arn:aws:kms:"+london+":"+account+":key/"+id || m["Description"] != "two" || m["CreationDate"] == w.describe(admin, id)["CreationDate"] || fmt.Sprint(out["ReplicaTags"]) != "[map[TagKey:r TagValue:x]]" || !strings.Contains(out["ReplicaPolicy"].(string), "key-default-1") {
		t.Errorf("%v", out)
	}
	w.must(admin, "ReplicateKey", `{"KeyId":"`+arn+`","ReplicaRegion":"`+tokyo+`"}`)
	for region, want := range map[string]string{"us-east-1": "PRIMARY", london: "REPLICA", tokyo: "REPLICA"} {
		c := admin.in(region)
		if got := w.related(c, id); got != want+" us-east-1 "+london+" "+tokyo {
			t.Errorf("%s: %s", region, got)
		}
		w.opens(c, id, blob)
		w.opens(admin, id, w.encrypt(c, id, "{}"))
		w.opens(admin.in(tokyo), id, w.encrypt(c, id, "{}"))
	}
	w.must(admin.in(london), "CreateAlias", `{"AliasName":"alias/two","TargetKeyId":"`+id+`"}`)
	w.refused(w.call(admin, "DescribeKey", about("alias/two")), "NotFoundException", "Alias arn:aws:kms:us-east-1:111122223333:alias/two is not found.")
	w.must(admin, "DisableKey", about(id))
	w.opens(admin.in(london), id, blob)
	w.refused(w.call(admin, "Decrypt", `{"CiphertextBlob":"`+blob+`"}`), "DisabledException", arn+" is disabled.")
	policy, _ := json.Marshal(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"kms:*","Resource":"*"},{"Effect":"Deny","Principal":"*","Action":"kms:Decrypt","Resource":"*"}]}`)
	w.must(admin.in(tokyo), "PutKeyPolicy", `{"KeyId":"`+id+`","Policy":`+string(policy)+`}`)
	if r := w.call(admin.in(tokyo), "Decrypt", `{"CiphertextBlob":"`+blob+`"}`); r.code != "AccessDeniedException" {
		t.Errorf("the policy of one Region: %v", r)
	}
	w.opens(admin.in(london), id, blob)
	w.restart()
	w.opens(admin.in(london), id, blob)
	if w.related(admin.in(london), id) != "REPLICA us-east-1 "+london+" "+tokyo {
		t.Error("after a restart")
	}
}

// The primary's rotations, by the clock and on demand, reach its replicas at once, which cannot be rotated
// themselves.
func TestMultiRegionRotation(t *testing.T) {
	w := newPopulated(t)
	id := w.multi("", london)
	here, there := &generations{w, id, make(map[string]string)}, admin.in(london)
	same := func() {
		t.Helper()
		if got := w.describe(there, id)["CurrentKeyMaterialId"]; got != w.material(id) {
			t.Errorf("the replica has the material %v, the primary %v", got, w.material(id))
		}
		here.keep()
		for _, blob := range here.blobs {
			w.must(there, "Decrypt", `{"CiphertextBlob":"`+blob+`","EncryptionContext":{"k":"v"}}`)
		}
	}
	same()
	w.must(admin, "EnableKeyRotation", `{"KeyId":"`+id+`","RotationPeriodInDays":90}`)
	if out := w.must(there, "GetKeyRotationStatus", about(id)); out["KeyRotationEnabled"] != true || out["RotationPeriodInDays"] != 90.0 {
		t.Errorf("%v", out)
	}
	replica := "arn:aws:kms:" + london + ":" + account + ":key/" + id
	for _, action := range []string{"EnableKeyRotation", "DisableKeyRotation", "RotateKeyOnDemand"} {
		w.refused(w.call(there, action, about(id)), "UnsupportedOperationException", replica+" is not a multi-region primary key.")
	}
	w.must(admin, "RotateKeyOnDemand", about(id))
	same()
	w.must(there, "DisableKey", about(id))
	w.pass(90 * day)
	if swept := w.sweep(); len(swept.Rotated) != 1 || swept.Rotated[0].Region() != "us-east-1" {
		t.Errorf("%+v", swept)
	}
	w.must(there, "EnableKey", about(id))
	same()
	if n := len(w.must(there, "ListKeyRotations", about(id))["Rotations"].([]any)); n != 2 {
		t.Errorf("the replica lists %d rotations", n)
	}
	w.must(admin, "UpdatePrimaryRegion", `{"KeyId":"`+id+`","PrimaryRegion":"`+london+`"}`)
	w.pass(90 * day)
	if swept := w.sweep(); len(swept.Rotated) != 1 || swept.Rotated[0].Region() != london {
		t.Errorf("after the primary moved: %+v", swept)
	}
	same()
	w.must(admin.in(london), "DisableKey", about(id))
	w.pass(91 * day)
	w.sweep()
	w.must(admin.in(london), "EnableKey", about(id)) // overdue
	same()
	if len(here.blobs) != 5 {
		t.Errorf("%d generations", len(here.blobs))
	}
}

// The primary moves to where a replica is, and only by who may do that in both Regions.
func TestUpdatePrimaryRegion(t *testing.T) {
	w := newPopulated(t)
	id := w.multi("", london, tokyo)
	move := func(c caller, to string) result {
		return w.call(c, "UpdatePrimaryRegion", `{"KeyId":"`+id+`","PrimaryRegion":"`+to+`"}`)
	}
	w.refused(move(admin.in(london), tokyo), "UnsupportedOperationException", "arn:aws:kms:"+london+":"+account+":key/"+id+" is not a multi-region primary key.")
	w.refused(move(admin, "us-east-1"), "UnsupportedOperationException", w.arnOf(id)+" is the primary key already.")
	w.refused(move(admin, "us-west-2"), "NotFoundException", "Key 'arn:aws:kms:us-west-2:"+account+":key/"+id+"' does not exist")
	single, singleARN := w.newKey(admin)
	w.refused(w.call(admin, "UpdatePrimaryRegion", `{"KeyId":"`+single+`","PrimaryRegion":"`+london+`"}`), "UnsupportedOperationException", singleARN+" is not a multi-region primary key.")
	onlyHere := user(account, "app", allow("kms:*"), `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"kms:UpdatePrimaryRegion","Resource":"*","Condition":{"StringNotEquals":{"aws:RequestedRegion":"us-east-1"}}}}`)
	if r := move(onlyHere, london); r.code != "AccessDeniedException" || !strings.Contains(r.message, london) {
		t.Errorf("%v", r)
	}
	w.must(admin.in(london), "ScheduleKeyDeletion", about(id))
	w.refused(move(admin, london), "KMSInvalidStateException", "arn:aws:kms:"+london+":"+account+":key/"+id+" is pending deletion (or pending replica deletion).")
	w.must(admin.in(london), "CancelKeyDeletion", about(id))
	if r := move(admin, london); r.status != 200 || r.body != nil {
		t.Errorf("%v", r)
	}
	for _, region := range []string{"us-east-1", london, tokyo} {
		want := map[bool]string{true: "PRIMARY", false: "REPLICA"}[region == london] + " " + london + " us-east-1 " + tokyo
		if got := w.related(admin.in(region), id); got != want {
			t.Errorf("%s: %s, want %s", region, got, want)
		}
	}
	w.refused(w.call(admin, "ReplicateKey", `{"KeyId":"`+id+`","ReplicaRegion":"us-west-2"}`), "UnsupportedOperationException", w.arnOf(id)+" is not a multi-region primary key.")
}

// What replicating refuses, and who may do it.
func TestReplicateKeyRefusals(t *testing.T) {
	w := newPopulated(t)
	w.hasRegion = func(region string) bool { return region != "us-west-2" }
	w.layRoad()
	id := w.multi("", london)
	to := func(c caller, region, members string) result {
		return w.call(c, "ReplicateKey", `{"KeyId":"`+id+`","ReplicaRegion":"`+region+`"`+members+`}`)
	}
	w.refused(to(admin, london, ""), "AlreadyExistsException", "The key arn:aws:kms:"+london+":"+account+":key/"+id+" already exists.")
	w.refused(to(admin, "us-east-1", ""), "AlreadyExistsException", "The key "+w.arnOf(id)+" already exists.")
	w.refused(to(admin, "us-west-2", ""), "ValidationException", "The Region us-west-2 is none of this deployment's.")
	w.refused(to(admin, tokyo, `,"Tags":[{"TagKey":"aws:x","TagValue":""}]`), "TagException", "Tags beginning with aws: are reserved")
	w.refused(to(admin, tokyo, `,"Policy":"{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"kms:Encrypt\",\"Resource\":\"*\"}}"`), "MalformedPolicyDocumentException", "The new key policy will not allow you to update the key policy in the future.")
	single, singleARN := w.newKey(admin)
	w.refused(w.call(admin, "ReplicateKey", `{"KeyId":"`+single+`","ReplicaRegion":"`+tokyo+`"}`), "UnsupportedOperationException", singleARN+" is not a multi-region primary key.")
	w.must(admin, "DisableKey", about(id))
	w.refused(to(admin, tokyo, ""), "DisabledException", w.arnOf(id)+" is disabled.")
	w.must(admin, "EnableKey", about(id))
	for what, c := range map[string]caller{
		"another ReplicaRegion":              user(account, "app", allow("kms:*"), `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"kms:ReplicateKey","Resource":"*","Condition":{"StringEquals":{"kms:ReplicaRegion":"`+tokyo+`"}}}}`),
		"no CreateKey":                       user(account, "app", allow("kms:ReplicateKey")),
		"no CreateKey in that Region":        user(account, "app", allow("kms:*"), `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"kms:CreateKey","Resource":"*","Condition":{"StringEquals":{"aws:RequestedRegion":"`+tokyo+`"}}}}`),
		"no CreateKey of replicas":           user(account, "app", allow("kms:*"), `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"kms:CreateKey","Resource":"*","Condition":{"StringEquals":{"kms:MultiRegionKeyType":"REPLICA"}}}}`),
		"no TagResource, and there are some": user(account, "app", allow("kms:*"), `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"kms:TagResource","Resource":"arn:aws:kms:`+tokyo+`:*:key/*"}}`),
	} {
		if r := to(c, tokyo, `,"Tags":[{"TagKey":"a","TagValue":"b"}]`); r.code != "AccessDeniedException" {
			t.Errorf("%s: %d %s %s", what, r.status, r.code, r.message)
		}
	}
	if r := to(user(account, "app", allow("kms:*")), tokyo, `,"Tags":[{"TagKey":"a","TagValue":"b"}]`); r.status != 200 {
		t.Errorf("%v", r)
	}
	condition := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:*","Resource":"*","Condition":{"StringEquals":{"kms:MultiRegionKeyType":"%s"},"Bool":{"kms:MultiRegion":"true"}}}}`
	for region, kind := range map[string]string{"us-east-1": "PRIMARY", tokyo: "REPLICA"} {
		w.must(user(account, "app", fmt.Sprintf(condition, kind)).in(region), "DescribeKey", about(id))
		other := map[string]string{"PRIMARY": "REPLICA", "REPLICA": "PRIMARY"}[kind]
		if r := w.call(user(account, "app", fmt.Sprintf(condition, other)).in(region), "DescribeKey", about(id)); r.code != "AccessDeniedException" {
			t.Errorf("%s as %s: %v", region, other, r)
		}
	}
}

// A primary with replicas waits for them to be deleted, and then for its own period; what the keys had in
// common goes with the last of them.
func TestDeletionOfMultiRegionKeys(t *testing.T) {
	w := newPopulated(t)
	id := w.multi("", london)
	blob, there := w.encrypt(admin, id, "{}"), admin.in(london)
	out := w.must(admin, "ScheduleKeyDeletion", `{"KeyId":"`+id+`","PendingWindowInDays":10}`)
	if out["KeyState"] != "PendingReplicaDeletion" || out["DeletionDate"] != nil || out["PendingWindowInDays"] != 10.0 {
		t.Errorf("%v", out)
	}
	m := w.describe(admin, id)
	if m["KeyState"] != "PendingReplicaDeletion" || m["DeletionDate"] != nil || m["PendingDeletionWindowInDays"] != 10.0 || m["Enabled"] != false {
		t.Errorf("%v", m)
	}
	long := w.arnOf(id) + " is pending deletion (or pending replica deletion)."
	for _, action := range []string{"EnableKey", "DisableKey", "ScheduleKeyDeletion", "EnableKeyRotation", "RotateKeyOnDemand"} {
		w.refused(w.call(admin, action, about(id)), "KMSInvalidStateException", long)
	}
	w.refused(w.call(admin, "Decrypt", `{"CiphertextBlob":"`+blob+`"}`), "KMSInvalidStateException", long)
	w.refused(w.call(admin, "ReplicateKey", `{"KeyId":"`+id+`","ReplicaRegion":"`+tokyo+`"}`), "KMSInvalidStateException", long)
	w.opens(there, id, blob)
	w.must(admin, "CancelKeyDeletion", about(id))
	if state := w.describe(admin, id)["KeyState"]; state != "Disabled" {
		t.Errorf("the state is %v", state)
	}
	w.must(admin, "ScheduleKeyDeletion", `{"KeyId":"`+id+`","PendingWindowInDays":10}`)
	w.pass(100 * day)
	w.sweep()
	w.opens(there, id, blob)

	w.must(there, "ScheduleKeyDeletion", `{"KeyId":"`+id+`","PendingWindowInDays":7}`)
	w.pass(7*day + time.Minute)
	if swept := w.sweep(); len(swept.Deleted) != 1 {
		t.Errorf("%+v", swept)
	}
	if r := w.call(there, "DescribeKey", about(id)); r.code != "NotFoundException" {
		t.Errorf("%v", r)
	}
	m = w.describe(admin, id)
	if m["KeyState"] != "PendingDeletion" || m["DeletionDate"] != float64(w.clock().Add(10*day).Unix()) || m["PendingDeletionWindowInDays"] != nil || w.related(admin, id) != "PRIMARY us-east-1" {
		t.Errorf("%v", m)
	}
	w.must(admin, "CancelKeyDeletion", about(id))
	w.must(admin, "EnableKey", about(id))
	w.opens(admin, id, blob)
	w.must(admin, "ReplicateKey", `{"KeyId":"`+id+`","ReplicaRegion":"`+london+`"}`)
	w.opens(there, id, blob)
	w.must(there, "ScheduleKeyDeletion", `{"KeyId":"`+id+`","PendingWindowInDays":7}`)
	w.must(admin, "ScheduleKeyDeletion", `{"KeyId":"`+id+`","PendingWindowInDays":7}`)
	w.pass(8 * day)
	w.sweep()
	w.pass(8 * day)
	w.sweep()
	recs, err := w.store.List(t.Context(), "material/", "", 10, true)
	if err != nil || len(recs) != 0 {
		t.Errorf("what is left of the materials: %v %v", recs, err)
	}
	if r := w.call(admin, "Decrypt", `{"CiphertextBlob":"`+blob+`"}`); r.code != "AccessDeniedException" {
		t.Errorf("%v", r)
	}
}

// Imported material is imported into each Region, new material into the primary first; and taken away from
// one Region it stays in the others.
func TestMultiRegionImports(t *testing.T) {
	w := newImporting(t)
	there := admin.in(london)
	id := w.multi(`,"Origin":"EXTERNAL"`)
	w.refused(w.call(admin, "ReplicateKey", `{"KeyId":"`+id+`","ReplicaRegion":"`+london+`"}`), "KMSInvalidStateException", w.arnOf(id)+" is pending import.")
	first := w.imported(admin, id, materialOf(0), noExpiry)
	w.must(admin, "ReplicateKey", `{"KeyId":"`+id+`","ReplicaRegion":"`+london+`"}`)
	blob := w.encrypt(admin, id, "{}")
	replica := "arn:aws:kms:" + london + ":" + account + ":key/" + id
	pending := func() {
		t.Helper()
		w.refused(w.call(there, "Decrypt", `{"CiphertextBlob":"`+blob+`"}`), "KMSInvalidStateException", replica+" is pending import.")
	}
	pending()
	w.refused(w.importInto(there, id, materialOf(1), noExpiry), "IncorrectKeyMaterialException", "")
	w.refused(w.importInto(there, id, materialOf(0), noExpiry+`,"ImportType":"NEW_KEY_MATERIAL"`), "UnsupportedOperationException", replica+" is not a multi-region primary key.")
	if name := w.imported(there, id, materialOf(0), validTo(w.clock().Add(5*day))); name != first {
		t.Errorf("one material is named %s and %s", first, name)
	}
	w.opens(there, id, blob)

	second := w.imported(admin, id, materialOf(1), noExpiry+`,"ImportType":"NEW_KEY_MATERIAL"`)
	states := func(c caller, want ...string) {
		t.Helper()
		var got []string
		for _, e := range w.must(c, "ListKeyRotations", `{"KeyId":"`+id+`","IncludeKeyMaterial":"ALL_KEY_MATERIAL"}`)["Rotations"].([]any) {
			m := e.(map[string]any)
			got = append(got, fmt.Sprint(map[any]int{first: 1, second: 2}[m["KeyMaterialId"]], " ", m["ImportState"], " ", m["KeyMaterialState"]))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	states(admin, "1 IMPORTED CURRENT", "2 IMPORTED PENDING_MULTI_REGION_IMPORT_AND_ROTATION")
	states(there, "1 IMPORTED CURRENT", "2 PENDING_IMPORT PENDING_MULTI_REGION_IMPORT_AND_ROTATION")
	w.refused(w.call(admin, "RotateKeyOnDemand", about(id)), "KMSInvalidStateException", "No available key material pending rotation for the key: "+w.arnOf(id)+".")
	w.imported(there, id, materialOf(1), noExpiry+`,"KeyMaterialId":"`+second+`"`)
	states(admin, "1 IMPORTED CURRENT", "2 IMPORTED PENDING_ROTATION")
	states(there, "1 IMPORTED CURRENT", "2 IMPORTED PENDING_ROTATION")
	w.must(admin, "RotateKeyOnDemand", about(id))
	states(there, "1 IMPORTED NON_CURRENT", "2 IMPORTED CURRENT")
	w.opens(there, id, w.encrypt(admin, id, "{}"))
	w.opens(admin, id, w.encrypt(there, id, "{}"))

	w.pass(5*day + time.Minute) // the first expires there, and stays here
	pending()
	w.opens(admin, id, blob)
	if swept := w.sweep(); len(swept.Expired) != 1 {
		t.Errorf("%+v", swept)
	}
	w.restart()
	w.opens(admin, id, blob)
	w.must(admin, "DeleteImportedKeyMaterial", `{"KeyId":"`+id+`","KeyMaterialId":"`+first+`"}`)
	w.refused(w.call(admin, "Decrypt", `{"CiphertextBlob":"`+blob+`"}`), "KMSInvalidStateException", w.arnOf(id)+" is pending import.")
	w.imported(there, id, materialOf(0), noExpiry)
	w.restart()
	w.opens(there, id, blob)
	w.imported(admin, id, materialOf(0), noExpiry)
	w.must(there, "DeleteImportedKeyMaterial", `{"KeyId":"`+id+`","KeyMaterialId":"`+first+`"}`)
	w.restart()
	w.opens(admin, id, blob)

	w.imported(admin, id, materialOf(2), noExpiry+`,"ImportType":"NEW_KEY_MATERIAL"`)
	third := w.must(admin, "ListKeyRotations", `{"KeyId":"`+id+`","IncludeKeyMaterial":"ALL_KEY_MATERIAL"}`)["Rotations"].([]any)[2].(map[string]any)["KeyMaterialId"].(string)
	w.must(there, "DeleteImportedKeyMaterial", `{"KeyId":"`+id+`","KeyMaterialId":"`+third+`"}`) // which was not there
	w.must(admin, "DeleteImportedKeyMaterial", `{"KeyId":"`+id+`","KeyMaterialId":"`+third+`"}`)
	states(admin, "1 IMPORTED NON_CURRENT", "2 IMPORTED CURRENT")
	states(there, "1 PENDING_IMPORT NON_CURRENT", "2 IMPORTED CURRENT")

	// A replica that goes leaves what the primary has, and takes away what it had alone.
	w.must(admin, "DeleteImportedKeyMaterial", `{"KeyId":"`+id+`","KeyMaterialId":"`+second+`"}`)
	w.must(there, "ScheduleKeyDeletion", `{"KeyId":"`+id+`","PendingWindowInDays":7}`)
	w.pass(8 * day)
	w.sweep()
	w.restart()
	w.imported(admin, id, materialOf(1), noExpiry)
	w.opens(admin, id, blob)
}

// Two requests that change the same family of keys at once both happen, one after the other.
func TestRelatedKeysChangeTogether(t *testing.T) {
	w := newPopulated(t)
	id := w.multi("", london, tokyo)
	done := make(chan result)
	for range 3 {
		go func() { done <- w.call(admin, "RotateKeyOnDemand", about(id)) }()
		go func() {
			done <- w.call(admin.in(tokyo), "UpdateKeyDescription", `{"KeyId":"`+id+`","Description":"d"}`)
		}()
	}
	for range 6 {
		if r := <-done; r.status != 200 {
			t.Errorf("%v", r)
		}
	}
	for _, region := range []string{"us-east-1", london, tokyo} {
		if n := len(w.must(admin.in(region), "ListKeyRotations", about(id))["Rotations"].([]any)); n != 3 {
			t.Errorf("%s: %d rotations", region, n)
		}
	}
	if w.describe(admin.in(tokyo), id)["Description"] != "d" {
		t.Error("a change of one Region is lost")
	}
}

// A key can be in 32 Regions, in which it is still changed as one; and in no more.
func TestMostRegions(t *testing.T) {
	w := newImporting(t)
	replicate := func(id string, n int) result {
		return w.call(admin, "ReplicateKey", fmt.Sprintf(`{"KeyId":"%s","ReplicaRegion":"aa-test-%d"}`, id, n))
	}
	id := w.multi("")
	w.must(admin, "EnableKeyRotation", `{"KeyId":"`+id+`","RotationPeriodInDays":90}`)
	for n := range 31 {
		if r := replicate(id, n); r.status != 200 {
			t.Fatalf("number %d: %v", n, r)
		}
	}
	w.refused(replicate(id, 31), "LimitExceededException", "A multi-Region key can be in 32 Regions.")
	w.must(admin, "RotateKeyOnDemand", about(id))
	w.pass(90 * day)
	if swept := w.sweep(); len(swept.Rotated) != 1 {
		t.Errorf("%+v", swept)
	}
	w.must(admin, "UpdatePrimaryRegion", `{"KeyId":"`+id+`","PrimaryRegion":"aa-test-7"}`)
	last := admin.in("aa-test-30")
	w.opens(last, id, w.encrypt(admin, id, "{}"))
	w.must(last, "ScheduleKeyDeletion", about(id))
	w.pass(31 * day)
	if swept := w.sweep(); len(swept.Deleted) != 1 {
		t.Errorf("%+v", swept)
	}
	if got := w.related(admin, id); strings.Contains(got, "aa-test-30") || !strings.HasPrefix(got, "REPLICA aa-test-7 ") {
		t.Error(got)
	}

	imported := w.multi(`,"Origin":"EXTERNAL"`)
	w.imported(admin, imported, materialOf(0), noExpiry)
	for n := range 31 {
		if r := replicate(imported, n); r.status != 200 {
			t.Fatalf("number %d: %v", n, r)
		}
	}
	w.imported(last, imported, materialOf(0), validTo(w.clock().Add(day)))
	w.imported(admin, imported, materialOf(1), noExpiry+`,"ImportType":"NEW_KEY_MATERIAL"`)
	w.pass(2 * day)
	if swept := w.sweep(); len(swept.Expired) != 1 {
		t.Errorf("%+v", swept)
	}
	w.must(admin, "DeleteImportedKeyMaterial", about(imported))
}
