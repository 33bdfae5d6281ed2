package key

import (
	"encoding/hex"
	"slices"
	"time"

	"trent/internal/api"
	"trent/internal/fault"
)

// An Import is what is known of a material that somebody imported. It is immutable, so that
// records can share it.
type Import struct {
	Absent      bool   // it was deleted, or has expired and was cleared away
	ValidTo     Moment // Never: it does not expire
	Description string
}

// IsHere reports whether the material is there to be used. A date that has passed acts at that
// instant.
func (i *Import) IsHere(now time.Time) bool {
	return !i.Absent && (i.ValidTo == Never || now.Before(i.ValidTo.Time()))
}

// awaitsMaterial reports whether some material that the key needs is not there.
func (r *Record) awaitsMaterial(now time.Time) bool {
	return len(r.Materials) == 0 || slices.ContainsFunc(r.Materials, func(m Material) bool {
		return m.Imported != nil && !m.Imported.IsHere(now)
	})
}

// Find gives a material of the key, also the one that awaits rotation, or nil.
func (r *Record) Find(id MaterialID) *Material {
	for i := range r.Materials {
		if r.Materials[i].ID == id {
			return &r.Materials[i]
		}
	}
	if r.Pending != nil && r.Pending.ID == id {
		return r.Pending
	}
	return nil
}

// Holds reports whether an imported material has been imported into this very key and not been taken
// away.
func (r *Record) Holds(id MaterialID) bool {
	m := r.Find(id)
	return m != nil && m.Imported != nil && !m.Imported.Absent
}

// Expiry is the first date at which some imported material expires that is there, or Never.
func (r *Record) Expiry() Moment {
	first := Never
	for _, m := range r.AllMaterials() {
		if i := m.Imported; i != nil && !i.Absent && i.ValidTo != Never && (first == Never || i.ValidTo < first) {
			first = i.ValidTo
		}
	}
	return first
}

// ImportedUntil is the first date at which imported material expires that the key uses, or Never; and
// whether any is there.
func (r *Record) ImportedUntil(now time.Time) (first Moment, ok bool) {
	for _, m := range r.Materials {
		if m.Imported == nil || !m.Imported.IsHere(now) {
			continue
		}
		if until := m.Imported.ValidTo; !ok || first == Never || until != Never && until < first {
			first = until
		}
		ok = true
	}
	return first, ok
}

// AllMaterials are the materials of the key, with the one that awaits rotation.
func (r *Record) AllMaterials() []Material {
	if r.Pending == nil {
		return r.Materials
	}
	return append(slices.Clip(r.Materials), *r.Pending)
}

// Expire notes what has expired by now as not there any more, and gives the ids.
func (r *Record) Expire(now time.Time) (gone []MaterialID) {
	for _, m := range r.AllMaterials() {
		if i := m.Imported; i != nil && !i.Absent && !i.IsHere(now) {
			gone = append(gone, m.ID)
			r.Remove(m.ID)
		}
	}
	return gone
}

// Remove notes that an imported material is not there any more. What it was called stays.
func (r *Record) Remove(id MaterialID) {
	r.setImport(id, Import{Absent: true, Description: r.Find(id).Imported.Description})
}

// setImport replaces what is known of an import of a material that is known.
func (r *Record) setImport(id MaterialID, i Import) {
	if r.Pending != nil && r.Pending.ID == id {
		r.Pending = &Material{ID: id, Imported: &i}
		return
	}
	r.Find(id).Imported = &i
}

// Admit notes that material of this id was imported as new, or as one that the key has had
// already. Which of the two is meant where nothing is said follows from whether there has been any.
// It refuses what the key cannot take, by the rules of ImportKeyMaterial.
func (r *Record) Admit(id MaterialID, as api.ImportType, i Import, now time.Time) error {
	known, fresh := r.Find(id), len(r.Materials) == 0
	if as == "" {
		as = api.ImportTypeExistingKeyMaterial
		if fresh {
			as = api.ImportTypeNewKeyMaterial
		}
	}
	isNew := as == api.ImportTypeNewKeyMaterial
	switch {
	case isNew && !fresh && !r.IsSymmetric(), isNew && known != nil && known != r.Pending, !isNew && known == nil:
		return ErrOtherMaterial(nil)
	case isNew && r.Pending != nil && known == nil:
		return fault.Newf(api.KMSInvalidStateException, "New key material (id: %x) cannot be imported into KMS key %s, because another key material (id: %x) is pending rotation.", id, r.ARN, r.Pending.ID)
	}
	awaited := r.awaitsMaterial(now)
	switch {
	case known != nil:
		r.setImport(id, i)
	case fresh:
		r.Materials = append(r.Materials, Material{ID: id, Imported: &i})
	default:
		r.Pending = &Material{ID: id, Imported: &i}
	}
	if awaited && !r.awaitsMaterial(now) {
		r.Enabled = true
	}
	return nil
}

// ErrOtherMaterial refuses imported material that is not what the key can take, for a cause that
// the caller is not told.
func ErrOtherMaterial(cause error) error {
	return fault.New(api.IncorrectKeyMaterialException, "").Because(cause)
}

// Named gives the id of a material of the key, also of the one that awaits rotation, by its 64
// hexadecimal digits.
func (r *Record) Named(digits string) (MaterialID, bool) {
	for _, m := range r.AllMaterials() {
		if hex.EncodeToString(m.ID[:]) == digits {
			return m.ID, true
		}
	}
	return MaterialID{}, false
}

// CanRotate reports whether the material that awaits rotation is there, here and in all related keys.
func (r *Record) CanRotate(now time.Time, related ...*Record) bool {
	ready := func(r *Record) bool { return r.Pending != nil && r.Pending.Imported.IsHere(now) }
	return ready(r) && !slices.ContainsFunc(related, func(o *Record) bool { return !ready(o) })
}

// RotateToPending makes the material that awaits rotation the current one. It fails where there is
// none, here or in a related key.
func (r *Record) RotateToPending(now time.Time, related ...*Record) error {
	if !r.CanRotate(now, related...) {
		return fault.New(api.KMSInvalidStateException, "No available key material pending rotation for the key: "+r.ARN+".")
	}
	r.Materials = append(r.Materials, Material{ID: r.Pending.ID, Rotated: MomentOf(now), How: api.RotationTypeOnDemand, Imported: r.Pending.Imported})
	r.Pending = nil
	return nil
}

// CheckWrapping reports a wrapping algorithm that cannot carry the key's material under a wrapping
// key of this size: a private key of RSA is longer than any OAEP takes, one of P-521 than OAEP of
// 2048 bits.
func CheckWrapping(r *Record, alg api.AlgorithmSpec, wrapping api.WrappingKeySpec) error {
	direct := alg == api.AlgorithmSpecRSAESOAEPSHA1 || alg == api.AlgorithmSpecRSAESOAEPSHA256
	_, isRSA := modulusSizes[r.Spec]
	bySM2 := alg == api.AlgorithmSpecSM2PKE
	switch {
	case bySM2 != (wrapping == api.WrappingKeySpecSM2):
		return fault.Newf(api.UnsupportedOperationException, "WrappingAlgorithm %s is not compatible with WrappingKeySpec %s.", alg, wrapping)
	case bySM2 && isRSA:
		return fault.Newf(api.UnsupportedOperationException, "Key material of key spec %s cannot be wrapped by %s with a wrapping key of spec %s.", r.Spec, alg, wrapping)
	case direct && isRSA, direct && r.Spec == api.KeySpecECCNISTP521 && wrapping == api.WrappingKeySpecRSA2048:
		return fault.Newf(api.UnsupportedOperationException, "Key material of key spec %s cannot be wrapped by %s with a wrapping key of spec %s.", r.Spec, alg, wrapping)
	}
	return nil
}
