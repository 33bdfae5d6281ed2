package iamaction

import (
	"errors"
	"strings"

	"trent/internal/api/iamapi"
	"trent/internal/api/query"
	"trent/internal/fault"
	"trent/internal/iam"
	"trent/internal/identity"
)

const validationError = query.ValidationError

func noSuch(kind, name string) error {
	return fault.Newf(iamapi.NoSuchEntity, "The %s with name %s cannot be found.", kind, name)
}

func exists(kind, name string) error {
	return fault.Newf(iamapi.EntityAlreadyExists, "%s with name %s already exists.", kind, name)
}

// conflict says what stands in the way of a deletion.
func conflict(what string) error {
	return fault.New(iamapi.DeleteConflict, "Cannot delete entity, must "+what+" first.")
}

// The quotas of IAM on one account ("IAM and AWS STS quotas"). All identities are
// held in memory, those of every tenant.
const (
	maxUsersPerAccount    = 5000
	maxGroupsPerAccount   = 300
	maxRolesPerAccount    = 1000
	maxPoliciesPerAccount = 1500
)

// within refuses one more where there are as many as there may be.
func within(name string, have, quota int) error {
	if have >= quota {
		return overQuota(name, quota)
	}
	return nil
}

func overQuota(name string, quota int) error {
	return fault.Newf(iamapi.LimitExceeded, "Cannot exceed quota for %s: %d", name, quota)
}

func invalidInput(message string) error { return fault.New(iamapi.InvalidInput, message) }

// badPolicy says why a document is no policy of the kind that was asked for.
func badPolicy(err error) error {
	text := "Syntax errors in policy. (" + strings.TrimPrefix(err.Error(), iam.ErrMalformed.Error()+": ") + ")"
	unknown, isUnknown := errors.AsType[identity.UnknownPrincipal](err)
	switch {
	case isUnknown:
		text = `Invalid principal in policy: "AWS":"` + string(unknown) + `"`
	case errors.Is(err, iam.ErrInvalidPrincipal):
		text = "Policy contains a statement with one or more invalid principals."
	case errors.Is(err, iam.ErrHasPrincipal):
		text = "Policy document should not specify a principal."
	case errors.Is(err, iam.ErrNoPrincipal):
		text = "Missing required field Principal"
	case errors.Is(err, iam.ErrHasResource):
		text = "Has prohibited field Resource"
	case errors.Is(err, iam.ErrIncomplete):
		text = "Policy statement must contain actions and resources."
	}
	return fault.New(iamapi.MalformedPolicyDocument, text)
}
