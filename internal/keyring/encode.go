package keyring

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"trent/internal/api"
	"trent/internal/arn"
	"trent/internal/crypt"
	"trent/internal/key"
	"trent/internal/record"
	"trent/internal/store"
)

// The paths of records. What is in a path is the only clear text of a store.
func (at recordKey) keyPath() string {
	return "key/" + at.account + "/" + at.region + "/" + at.name
}

func (at recordKey) aliasPath() string {
	return "alias/" + at.account + "/" + at.region + "/" + strings.TrimPrefix(at.name, arn.AliasPrefix)
}

func materialPath(id crypt.MaterialID) string {
	return "material/" + base64.RawURLEncoding.EncodeToString(id[:])
}

// recordVersion is the first byte of every record's content.
const recordVersion = 1

// encodedKey is the content of a key's record. Account, Region and id are in
// its path, to which the content is sealed. Numbers are docs/spec/records.md's.
type encodedKey struct {
	Created        key.Moment       `cbor:"1,keyasint"`
	Description    string           `cbor:"2,keyasint,omitempty"`
	Spec           int              `cbor:"3,keyasint"` // index in specs
	Usage          int              `cbor:"4,keyasint"` // index in usages
	Origin         int              `cbor:"5,keyasint"` // index in origins
	MultiRegion    bool             `cbor:"6,keyasint,omitempty"`
	Enabled        bool             `cbor:"7,keyasint,omitempty"`
	DeletionDate   key.Moment       `cbor:"8,keyasint,omitempty"`
	DeletionWindow int32            `cbor:"9,keyasint,omitempty"`
	Materials      [][]byte         `cbor:"10,keyasint"`
	Aliases        []string         `cbor:"11,keyasint,omitempty"`
	Tags           []encodedTag     `cbor:"12,keyasint,omitempty"`
	Policy         string           `cbor:"13,keyasint,omitempty"` // absent: the default policy of the account
	Facts          []encodedFacts   `cbor:"14,keyasint,omitempty"` // of each material; absent: there are none of any
	Rotation       *encodedRotation `cbor:"15,keyasint,omitempty"`
	Pending        *encodedPending  `cbor:"16,keyasint,omitempty"`
	Regions        []string         `cbor:"17,keyasint,omitempty"`

	KeyStore    string `cbor:"30,keyasint,omitempty"`
	ExternalKey string `cbor:"31,keyasint,omitempty"`
}

// encodedFacts are what is known of a material beside its id.
type encodedFacts struct {
	_        struct{} `cbor:",toarray"`
	Rotated  key.Moment
	How      int // index in rotationTypes
	Imported *encodedImport
}

type encodedImport struct {
	_           struct{} `cbor:",toarray"`
	Absent      bool
	ValidTo     key.Moment
	Description string
}

// encodedPending is a material that awaits rotation.
type encodedPending struct {
	_        struct{} `cbor:",toarray"`
	ID       []byte
	Imported encodedImport
}

type encodedRotation struct {
	_      struct{} `cbor:",toarray"`
	Period int32
	Next   key.Moment
}

type encodedTag struct {
	_     struct{} `cbor:",toarray"`
	Key   string
	Value string
}

type encodedAlias struct {
	Target  string     `cbor:"1,keyasint"`
	Created key.Moment `cbor:"2,keyasint"`
	Updated key.Moment `cbor:"3,keyasint"`
}

// The numbers of enums on disk. Append only.
var (
	specs = []api.KeySpec{
		"", api.KeySpecSymmetricDefault,
		api.KeySpecHMAC224, api.KeySpecHMAC256, api.KeySpecHMAC384, api.KeySpecHMAC512,
		api.KeySpecRSA2048, api.KeySpecRSA3072, api.KeySpecRSA4096,
		api.KeySpecECCNISTP256, api.KeySpecECCNISTP384, api.KeySpecECCNISTP521, api.KeySpecECCSECGP256K1, api.KeySpecECCNISTEdwards25519,
		api.KeySpecMLDSA44, api.KeySpecMLDSA65, api.KeySpecMLDSA87,
		api.KeySpecMLKEM512, api.KeySpecMLKEM768, api.KeySpecMLKEM1024,
		api.KeySpecSM2,
	}

	usages = []api.KeyUsage{
		"", api.KeyUsageEncryptDecrypt,
		api.KeyUsageSignVerify, api.KeyUsageGenerateVerifyMac, api.KeyUsageKeyAgreement, api.KeyUsageEncapsulateDecapsulate,
	}

	origins = []api.Origin{"", api.OriginAWSKMS, api.OriginExternal, api.OriginExternalKeyStore}

	rotationTypes = []api.RotationType{"", api.RotationTypeAutomatic, api.RotationTypeOnDemand}
)

func (r *Ring) encodeRecord(rec *key.Record) ([]byte, error) {
	e := encodedKey{
		Created: rec.Created, Description: rec.Description,
		Spec: slices.Index(specs, rec.Spec), Usage: slices.Index(usages, rec.Usage), Origin: slices.Index(origins, rec.Origin),
		MultiRegion: rec.IsMultiRegion(), Regions: rec.Regions, Enabled: rec.Enabled,
		DeletionDate: rec.DeletionDate, DeletionWindow: rec.DeletionWindow, Aliases: rec.Aliases,
	}
	if e.Spec < 1 || e.Usage < 1 || e.Origin < 1 {
		return nil, fmt.Errorf("keyring: no number for %s, %s, %s", rec.Spec, rec.Usage, rec.Origin)
	}
	e.Materials, e.Facts = encodeMaterials(rec.Materials)
	if p := rec.Pending; p != nil {
		e.Pending = &encodedPending{ID: p.ID[:], Imported: *encodeImport(p.Imported)}
	}
	if rec.Rotation != (key.Rotation{}) {
		e.Rotation = &encodedRotation{Period: rec.Rotation.Period, Next: rec.Rotation.Next}
	}
	for _, t := range rec.Tags {
		e.Tags = append(e.Tags, encodedTag{Key: t.Key, Value: t.Value})
	}
	if rec.Policy.Source != key.DefaultPolicy(r.partition, rec.Account()) {
		e.Policy = rec.Policy.Source
	}
	if rec.External != nil {
		e.KeyStore, e.ExternalKey = rec.External.StoreID, rec.External.KeyID
	}
	return record.Encode(recordVersion, e)
}

func (r *Ring) decodeRecord(at recordKey, content []byte, rev store.Rev) (*key.Record, error) {
	var e encodedKey
	if err := record.Decode(recordVersion, content, &e); err != nil {
		return nil, err
	}
	if e.Spec < 1 || e.Spec >= len(specs) || e.Usage < 1 || e.Usage >= len(usages) || e.Origin < 1 || e.Origin >= len(origins) {
		return nil, record.ErrVersion
	}
	if e.MultiRegion != (len(e.Regions) > 0) {
		return nil, record.ErrVersion
	}
	kind := key.KindOf(specs[e.Spec], usages[e.Usage], origins[e.Origin])
	if kind == nil {
		return nil, record.ErrVersion
	}
	rec := &key.Record{
		ARN:     arn.Key(r.partition, at.region, at.account, at.name),
		Created: e.Created, Description: e.Description,
		Kind:    kind,
		Regions: e.Regions, Enabled: e.Enabled,
		DeletionDate: e.DeletionDate, DeletionWindow: e.DeletionWindow,
		Aliases: e.Aliases, Rev: uint64(rev),
	}
	materials, err := decodeMaterials(e.Materials, e.Facts)
	if err != nil {
		return nil, err
	}
	rec.SetMaterials(materials...)
	if rec.Pending, err = decodePending(e.Pending); err != nil {
		return nil, err
	}
	if e.Rotation != nil {
		rec.Rotation = key.Rotation{Period: e.Rotation.Period, Next: e.Rotation.Next}
	}
	for _, t := range e.Tags {
		rec.Tags = append(rec.Tags, key.Tag{Key: t.Key, Value: t.Value})
	}
	if e.Policy == "" {
		e.Policy = key.DefaultPolicy(r.partition, rec.Account())
	}
	rec.Policy = r.policies.compiled(e.Policy)
	if rec.Origin == api.OriginExternalKeyStore {
		rec.External = &key.External{StoreID: e.KeyStore, KeyID: e.ExternalKey}
	}
	return rec, nil
}

// encodeMaterials gives the ids and, unless there are none of any, the facts.
func encodeMaterials(all []key.Material) (ids [][]byte, facts []encodedFacts) {
	known := false
	for i := range all {
		m := &all[i]
		ids = append(ids, m.ID[:])
		facts = append(facts, encodedFacts{Rotated: m.Rotated, How: slices.Index(rotationTypes, m.How), Imported: encodeImport(m.Imported)})
		known = known || !isPlain(m)
	}
	if !known {
		return ids, nil
	}
	return ids, facts
}

// isPlain reports whether there is nothing to know of a material but its id.
func isPlain(m *key.Material) bool { return *m == key.Material{ID: m.ID} }

func decodeMaterials(ids [][]byte, facts []encodedFacts) ([]key.Material, error) {
	if len(facts) > 0 && len(facts) != len(ids) {
		return nil, errors.New("keyring: decode: there are not as many facts as materials")
	}
	all := make([]key.Material, len(ids))
	for i, id := range ids {
		if len(id) != len(crypt.MaterialID{}) {
			return nil, errMaterialID
		}
		all[i].ID = crypt.MaterialID(id)
		if len(facts) == 0 {
			continue
		}
		f := &facts[i]
		if f.How < 0 || f.How >= len(rotationTypes) {
			return nil, record.ErrVersion
		}
		all[i].Rotated, all[i].How, all[i].Imported = f.Rotated, rotationTypes[f.How], decodeImport(f.Imported)
	}
	return all, nil
}

var errMaterialID = errors.New("keyring: decode: a material id of the wrong length")

func encodeImport(i *key.Import) *encodedImport {
	if i == nil {
		return nil
	}
	return &encodedImport{Absent: i.Absent, ValidTo: i.ValidTo, Description: i.Description}
}

func decodeImport(e *encodedImport) *key.Import {
	if e == nil {
		return nil
	}
	return &key.Import{Absent: e.Absent, ValidTo: e.ValidTo, Description: e.Description}
}

func decodePending(e *encodedPending) (*key.Material, error) {
	if e == nil {
		return nil, nil
	}
	if len(e.ID) != len(crypt.MaterialID{}) {
		return nil, errMaterialID
	}
	return &key.Material{ID: crypt.MaterialID(e.ID), Imported: decodeImport(&e.Imported)}, nil
}

func (r *Ring) decodeAlias(at recordKey, content []byte, rev store.Rev) (*key.Alias, error) {
	var e encodedAlias
	if err := record.Decode(recordVersion, content, &e); err != nil {
		return nil, err
	}
	return &key.Alias{
		Region: strings.Clone(at.region), Account: strings.Clone(at.account), Name: strings.Clone(at.name),
		ARN: arn.Alias(r.partition, at.region, at.account, at.name), TargetID: e.Target,
		Created: e.Created, Updated: e.Updated, Rev: uint64(rev),
	}, nil
}
