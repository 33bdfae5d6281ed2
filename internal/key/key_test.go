package key_test

import (
	"testing"
	"time"

	"trent/internal/api"
	"trent/internal/arn"
	"trent/internal/fault"
	"trent/internal/key"
)

const id = "1234abcd-12ab-34cd-56ef-1234567890ab"

func record() *key.Record {
	r := &key.Record{
		Kind: key.KindOf(api.KeySpecSymmetricDefault, api.KeyUsageEncryptDecrypt, api.OriginAWSKMS),
		ARN:  arn.Key("aws", "us-east-1", "111122223333", id), Enabled: true,
	}
	r.SetMaterials(key.Material{ID: key.MaterialID{1}})
	return r
}

func TestPartsOfTheARN(t *testing.T) {
	mrk := "mrk-1234abcd12ab34cd56ef1234567890ab"
	for _, c := range []struct{ partition, region, account, id string }{
		{"aws", "us-east-1", "111122223333", id},
		{"aws-us-gov", "us-gov-west-1", "000000000000", mrk},
		{"aws-cn", "x", "999999999999", id},
	} {
		r := &key.Record{ARN: arn.Key(c.partition, c.region, c.account, c.id)}
		if r.Region() != c.region || r.Account() != c.account || r.ID() != c.id {
			t.Errorf("%s: %q %q %q", r.ARN, r.Region(), r.Account(), r.ID())
		}
	}
}

// A date acts at its instant, to the millisecond.
func TestGone(t *testing.T) {
	date := time.Date(2026, 11, 24, 12, 0, 0, int(5*time.Millisecond), time.UTC)
	r := record()
	if r.Gone(date) {
		t.Error("gone without a date")
	}
	r.DeletionDate = key.MomentOf(date)
	for d, want := range map[time.Duration]bool{-time.Millisecond: false, 0: true, time.Hour: true} {
		if r.Gone(date.Add(d)) != want {
			t.Errorf("%s after the date: gone is %v", d, !want)
		}
	}
	if key.MomentOf(time.Time{}) != key.Never || !key.Never.Time().IsZero() || !key.MomentOf(date).Time().Equal(date) {
		t.Error("a moment is not the time that it was made of")
	}
}

// A changed copy leaves the record as it was, materials included, however many.
func TestCloneSharesNothing(t *testing.T) {
	m := func(n byte) key.Material { return key.Material{ID: key.MaterialID{n}} }
	for _, ids := range [][]key.Material{nil, {m(1)}, {m(1), m(2), m(3)}} {
		r := record()
		r.SetMaterials(ids...)
		r.Tags, r.Aliases = []key.Tag{{Key: "a", Value: "b"}}, []string{"alias/a"}
		c := r.Clone()
		c.SetMaterials(append(ids, m(9))...)
		c.Tags[0].Value, c.Aliases[0] = "changed", "alias/changed"
		if len(r.Materials) != len(ids) || r.Has(key.MaterialID{9}) || r.Tags[0].Value != "b" || r.Aliases[0] != "alias/a" {
			t.Errorf("%d materials: the record changed with its copy", len(ids))
		}
		if current, ok := c.Current(); !ok || current != (key.MaterialID{9}) {
			t.Errorf("the current material is %v", current)
		}
	}
}

func TestUsageAndAlgorithm(t *testing.T) {
	r := record()
	if err := key.CheckUsage(r, api.KeyUsageEncryptDecrypt, "Encrypt"); err != nil {
		t.Error(err)
	}
	err := fault.From(key.CheckUsage(r, api.KeyUsageSignVerify, "Sign"))
	if err.Code != api.InvalidKeyUsageException || err.Message != r.ARN+" key usage is ENCRYPT_DECRYPT which is not valid for Sign." {
		t.Errorf("%v", err)
	}
	for alg, ok := range map[api.EncryptionAlgorithm]bool{"": true, api.EncryptionAlgorithmSymmetricDefault: true, "RSAES_OAEP_SHA_1": false} {
		if err := key.CheckEncryption(r, alg); (err == nil) != ok {
			t.Errorf("%q: %v", alg, err)
		}
	}
}
