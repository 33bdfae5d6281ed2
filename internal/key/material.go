package key

import (
	"slices"
	"time"

	"trent/internal/api"
)

// A MaterialID names one material of one key: 32 bytes that are also in the
// header of each ciphertext made under it.
type MaterialID = [32]byte

// A Material is what a key's record tells of one of its materials.
type Material struct {
	ID MaterialID
	// Rotated is when a rotation made it the current one, and How which kind of
	// rotation that was. The first material has neither.
	Rotated Moment
	How     api.RotationType
	// Imported is what is known of it where the key's origin is EXTERNAL, and nil elsewhere.
	Imported *Import
}

// Rotation is how the clock rotates a key. The zero value: it does not.
type Rotation struct {
	Period int32 // days
	Next   Moment
}

// Of automatic rotation, in days (EnableKeyRotation).
const DefaultRotationPeriod = 365

// MaxOnDemandRotations is how often one key can be rotated on demand (a quota of AWS KMS).
const MaxOnDemandRotations = 25

// SetMaterials copies materials, oldest first.
func (r *Record) SetMaterials(all ...Material) {
	r.Materials = append(r.first[:0:1], all...)
}

// Current is the material that encrypts, and whether there is one.
func (r *Record) Current() (MaterialID, bool) {
	if len(r.Materials) == 0 {
		return MaterialID{}, false
	}
	return r.Materials[len(r.Materials)-1].ID, true
}

// Has reports whether id is a material that the key encrypts or has encrypted under.
func (r *Record) Has(id MaterialID) bool {
	return slices.ContainsFunc(r.Materials, func(m Material) bool { return m.ID == id })
}

// SetRotation makes the clock rotate the key every so many days, the first time after as many.
// A period that it has already leaves the date as it is.
func (r *Record) SetRotation(days int32, now time.Time) {
	if r.Rotation.Period != days {
		r.Rotation = Rotation{Period: days, Next: after(now, days)}
	}
}

// Rotate makes another material the current one. The next date of the clock's rotations follows
// one of them, and no other.
func (r *Record) Rotate(id MaterialID, how api.RotationType, now time.Time) {
	r.Materials = append(r.Materials, Material{ID: id, Rotated: MomentOf(now), How: how})
	if how == api.RotationTypeAutomatic {
		r.Rotation.Next = after(now, r.Rotation.Period)
	}
}

func after(now time.Time, days int32) Moment {
	return MomentOf(now.Add(time.Duration(days) * 24 * time.Hour))
}

// NextRotation is when the clock rotates the key, or Never. While the key is disabled or to
// be deleted it does not, and never a replica, which follows its primary.
func (r *Record) NextRotation() Moment {
	if !r.Enabled || r.IsDeleting() || r.IsReplica() {
		return Never
	}
	return r.Rotation.Next
}

// RotationDue reports whether the clock is to rotate the key now.
func (r *Record) RotationDue(now time.Time) bool {
	next := r.NextRotation()
	return next != Never && !now.Before(next.Time())
}

// OnDemandRotations counts those that there have been.
func (r *Record) OnDemandRotations() int {
	n := 0
	for _, m := range r.Materials {
		if m.How == api.RotationTypeOnDemand {
			n++
		}
	}
	return n
}
