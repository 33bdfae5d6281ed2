package key

import (
	"time"

	"trent/internal/api"
	"trent/internal/fault"
)

// State is a function of the record and the clock: a date that has passed acts
// at that instant, whether or not anything has swept since. That of the store which a key
// is in is part of the record, as it is found.
func (r *Record) State(now time.Time) api.KeyState {
	switch {
	case r.DeletionDate != Never:
		return api.KeyStatePendingDeletion
	case r.isAwaitingReplicas():
		return api.KeyStatePendingReplicaDeletion
	case r.awaitsMaterial(now):
		return api.KeyStatePendingImport
	case r.External != nil && r.External.Unavailable:
		return api.KeyStateUnavailable
	case !r.Enabled:
		return api.KeyStateDisabled
	}
	return api.KeyStateEnabled
}

// IsDeleting reports whether the key is to be deleted, now or later.
func (r *Record) IsDeleting() bool { return r.DeletionDate != Never || r.isAwaitingReplicas() }

// Gone reports whether the key's deletion date has passed. A key that is gone
// does not exist, for anyone, though its record may still await the sweeper.
func (r *Record) Gone(now time.Time) bool {
	return r.DeletionDate != Never && !now.Before(r.DeletionDate.Time())
}

// A StateRule says in which states an action may meet a key. Each is a row of
// the published table (testdata/keystates.txt), and names its refusals.
type StateRule int

// The rules.
const (
	AnyState     StateRule = iota // reads, policies, deleting an alias
	Usable                        // cryptography
	Grantable                     // grants, which a key may have before it can be used again
	Readable                      // its public half
	NotDeleting                   // tags, description, new aliases
	Manageable                    // enable, disable
	Schedulable                   // schedule a deletion
	DeletingOnly                  // cancel a deletion
	NewTarget                     // the key that an alias is moved to
	Rotatable                     // automatic rotation on and off
	RotatableNow                  // rotation on demand
	Importable                    // import of material
	Imported                      // its deletion
)

// Check refuses with the text of the table, or returns nil.
func (rule StateRule) Check(r *Record, now time.Time) error {
	switch state := r.State(now); rule {
	case Usable:
		return usable(r, state)
	case Grantable:
		if state == api.KeyStateUnavailable {
			return nil
		}
		return usable(r, state)
	case Readable:
		if state == api.KeyStateDisabled {
			return nil
		}
		return usable(r, state)
	case Importable, Imported:
		if err := CheckOrigin(r, api.OriginExternal); err != nil || rule == Imported {
			return err
		}
		return notDeleting(r, state, longPending)
	case RotatableNow:
		if state == api.KeyStatePendingImport {
			return invalidState(r, "is pending import.")
		}
		return rotatable(r, state)
	case Rotatable:
		return rotatable(r, state)
	case NotDeleting, Schedulable:
		return notDeleting(r, state, longPending)
	case NewTarget:
		return notDeleting(r, state, shortPending)
	case Manageable:
		if state == api.KeyStatePendingImport {
			return invalidState(r, "is pending import.")
		}
		return notDeleting(r, state, longPending)
	case DeletingOnly:
		if !r.IsDeleting() {
			return invalidState(r, "is not pending deletion (or pending replica deletion).")
		}
	}
	return nil
}

// The guide's text, and the shorter one that was measured where a key is used.
const (
	longPending  = "is pending deletion (or pending replica deletion)."
	shortPending = "is pending deletion."
)

func usable(r *Record, state api.KeyState) error {
	switch state {
	case api.KeyStateEnabled:
		return nil
	case api.KeyStateDisabled:
		return errDisabled(r)
	case api.KeyStatePendingDeletion:
		return invalidState(r, shortPending)
	case api.KeyStatePendingReplicaDeletion:
		return invalidState(r, longPending)
	case api.KeyStatePendingImport:
		return invalidState(r, "is pending import.")
	}
	return invalidState(r, "is unavailable.")
}

// rotatable leaves a key that awaits its material to the rules about origins.
func rotatable(r *Record, state api.KeyState) error {
	if state == api.KeyStateDisabled {
		return errDisabled(r)
	}
	return notDeleting(r, state, longPending)
}

func errDisabled(r *Record) error { return fault.New(api.DisabledException, r.ARN+" is disabled.") }

func notDeleting(r *Record, state api.KeyState, text string) error {
	switch state {
	case api.KeyStatePendingDeletion:
		return invalidState(r, text)
	case api.KeyStatePendingReplicaDeletion:
		return invalidState(r, longPending)
	}
	return nil
}

func invalidState(r *Record, text string) error {
	return fault.New(api.KMSInvalidStateException, r.ARN+" "+text)
}
