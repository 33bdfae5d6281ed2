package adminaction

import (
	"context"

	"trent/internal/action"
	"trent/internal/api/adminapi"
)

// declarations is the family of states that are wished for as a whole.
func declarations() []*action.Entry {
	return []*action.Entry{
		entry(action.Action[adminapi.ApplyDeclarationInput, adminapi.ApplyDeclarationOutput]{
			Name:     "ApplyDeclaration",
			Uses:     operate[adminapi.ApplyDeclarationInput]("trent:ApplyDeclaration"),
			Mutates:  true,
			Once:     true,
			Compound: true,
			Audit:    []string{"PlanOnly"},
			Digests: []action.Digest[adminapi.ApplyDeclarationInput]{
				{Name: "DocumentSha256", Of: func(in *adminapi.ApplyDeclarationInput) []byte { return in.Document.Expose() }},
			},
			Run: applyDeclaration,
		}),
	}
}

// applyDeclaration answers with what was done also where a change failed: access
// keys may have been made by then, and are shown this once.
func applyDeclaration(ctx context.Context, c *action.Call, in *adminapi.ApplyDeclarationInput) (*adminapi.ApplyDeclarationOutput, error) {
	done, err := c.Decisions.Declare(ctx, in.Document, in.PlanOnly)
	if err != nil {
		return nil, err
	}
	out := &adminapi.ApplyDeclarationOutput{Failure: done.Failure}
	for _, change := range done.Changes {
		out.Changes = append(out.Changes, adminapi.DeclaredChange{
			Effect: shownEffect(change.Effect), Entity: change.Entity, Aspect: change.Aspect, Done: change.Done,
		})
	}
	for _, k := range done.AccessKeys {
		out.AccessKeys = append(out.AccessKeys, adminapi.DeclaredAccessKey{
			AccountId: k.Account, UserName: k.User, AccessKeyId: k.ID, SecretAccessKey: k.Secret, OtherAccessKeyId: k.Other, File: k.File,
		})
	}
	return out, nil
}

func shownEffect(e action.Effect) adminapi.Effect {
	switch e {
	case action.Creates:
		return adminapi.EffectCreate
	case action.Removes:
		return adminapi.EffectRemove
	}
	return adminapi.EffectUpdate
}
