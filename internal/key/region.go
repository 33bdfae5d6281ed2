package key

import (
	"slices"
	"strings"
	"time"

	"trent/internal/api"
	"trent/internal/fault"
)

// MaxRegions is in how many Regions a multi-Region key can be: all of its keys change in one batch of
// the store.
const MaxRegions = 32

// IsMultiRegion reports whether the key has, or can have, related keys in other Regions.
func (r *Record) IsMultiRegion() bool { return len(r.Regions) > 0 }

// IsPrimary reports whether it is the one of its related keys that decides what they share.
func (r *Record) IsPrimary() bool { return r.IsMultiRegion() && r.Regions[0] == r.Region() }

// IsReplica reports whether another key decides.
func (r *Record) IsReplica() bool { return r.IsMultiRegion() && !r.IsPrimary() }

// MultiRegionKeyType is PRIMARY or REPLICA for a multi-Region key, and empty for others.
func (r *Record) MultiRegionKeyType() api.MultiRegionKeyType {
	switch {
	case r.IsPrimary():
		return api.MultiRegionKeyTypePrimary
	case r.IsReplica():
		return api.MultiRegionKeyTypeReplica
	}
	return ""
}

// ARNIn is the ARN of the related key in another Region.
func (r *Record) ARNIn(region string) string {
	return strings.Replace(r.ARN, ":"+r.Region()+":", ":"+region+":", 1)
}

// ARNs are those of the key and of its related keys, the key's own first.
func (r *Record) ARNs() []string {
	all := []string{r.ARN}
	for _, region := range r.Regions {
		if region != r.Region() {
			all = append(all, r.ARNIn(region))
		}
	}
	return all
}

// CheckPrimary reports a key that cannot be replicated.
func CheckPrimary(r *Record) error {
	if !r.IsPrimary() {
		return fault.New(api.UnsupportedOperationException, r.ARN+" is not a multi-region primary key.")
	}
	return nil
}

// CheckDecides reports a key that another one decides for.
func CheckDecides(r *Record) error {
	if r.IsReplica() {
		return CheckPrimary(r)
	}
	return nil
}

// Follow takes over from a related key what both share: in which Regions they are, their materials,
// and how they rotate. What was imported in this Region stays so.
func (r *Record) Follow(decides *Record) {
	own := func(m Material) Material {
		if m.Imported == nil {
			return m
		}
		i := &Import{Absent: true, Description: m.Imported.Description}
		if mine := r.Find(m.ID); mine != nil {
			i = mine.Imported
		}
		m.Imported = i
		return m
	}
	var materials []Material
	for _, m := range decides.Materials {
		materials = append(materials, own(m))
	}
	var pending *Material
	if decides.Pending != nil {
		m := own(*decides.Pending)
		pending = &m
	}
	r.SetMaterials(materials...)
	r.Pending, r.Rotation, r.Regions = pending, decides.Rotation, slices.Clone(decides.Regions)
}

// Leave notes that the related key in a Region is gone. A primary that was only waiting for its
// last replica begins to wait for its own deletion.
func (r *Record) Leave(region string, now time.Time) {
	r.Regions = slices.DeleteFunc(slices.Clone(r.Regions), func(in string) bool { return in == region })
	if r.isAwaitingReplicas() && len(r.Regions) == 1 {
		r.DeletionDate = after(now, r.DeletionWindow)
	}
}

// isAwaitingReplicas reports whether the key is to be deleted once its replicas are.
func (r *Record) isAwaitingReplicas() bool { return r.DeletionWindow > 0 && r.DeletionDate == Never }

// ScheduleDeletion makes the key go after so many days, of a primary counted from when its last
// replica goes.
func (r *Record) ScheduleDeletion(days int32, now time.Time) {
	r.DeletionWindow = days
	if !r.IsPrimary() || len(r.Regions) == 1 {
		r.DeletionDate = after(now, days)
	}
}

// MovePrimary makes the related key of another Region the one that decides.
func (r *Record) MovePrimary(region string) {
	i := slices.Index(r.Regions, region)
	r.Regions = slices.Clone(r.Regions)
	r.Regions[0], r.Regions[i] = r.Regions[i], r.Regions[0]
}
