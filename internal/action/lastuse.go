package action

import (
	"context"
	"slices"
	"time"

	"trent/internal/api"
	"trent/internal/iam"
	"trent/internal/key"
)

func lastUse() []*Entry {
	return []*Entry{
		entry(Action[api.GetKeyLastUsageInput, api.GetKeyLastUsageOutput]{
			Name: "GetKeyLastUsage",
			Uses: []Use[api.GetKeyLastUsageInput]{{
				Kind: OnKey, Permit: "kms:GetKeyLastUsage", Ref: func(in *api.GetKeyLastUsageInput) string { return in.KeyId },
				State: key.AnyState, Alias: AliasUnsupported, LastUse: true,
			}},
			Audit: []string{"KeyId"},
			Run:   getKeyLastUsage,
		}),
	}
}

// getKeyLastUsage tells when a key was used last. Uses are followed from the key's first day.
func getKeyLastUsage(_ context.Context, c *Call, _ *api.GetKeyLastUsageInput) (*api.GetKeyLastUsageOutput, error) {
	h := c.Held[0]
	created := h.Record.Created.Time()
	out := &api.GetKeyLastUsageOutput{KeyId: h.Record.ARN, TrackingStartDate: created, KeyCreationDate: created}
	if u := h.LastUse; !u.At.IsZero() {
		out.KeyLastUsage = &api.KeyLastUsageData{Operation: api.KeyLastUsageTrackingOperation(u.Operation), Timestamp: u.At, KmsRequestId: u.RequestID}
	}
	return out, nil
}

// tracked tells whether the model has the operation among those that are uses of a key.
func tracked(op *api.Operation) bool {
	name := api.KeyLastUsageTrackingOperation(op.Name)
	return slices.Contains(name.Values(), name)
}

// unused gives the one use of an action kms:TrailingDaysWithoutKeyUsage.
func unused[In any](uses []Use[In]) []Use[In] {
	u := &uses[0]
	u.LastUse = true
	u.Keys["kms:trailingdayswithoutkeyusage"] = func(_ *In, h []Held, _ string) iam.Value {
		return iam.Number(int64(h[0].Unused / (24 * time.Hour)))
	}
	return uses
}
