// Package stsaction is the table of STS, in the form of package action.
package stsaction

import (
	"context"

	"trent/internal/action"
	"trent/internal/api/stsapi"
)

// Table returns every action of STS that Trent performs, by name.
func Table() map[string]*action.Entry {
	table := make(map[string]*action.Entry)
	for _, e := range []*action.Entry{
		entry(action.Action[stsapi.GetCallerIdentityInput, stsapi.GetCallerIdentityOutput]{
			Name: "GetCallerIdentity", // needs no permission: it tells who signed
			Run:  getCallerIdentity,
		}),
	} {
		table[e.Op.Name] = e
	}
	return table
}

// NotYet lists the operations of the model that are answered with
// UnsupportedOperation, each with the reason.
func NotYet() map[string]string {
	const sessions = "needs credentials of sessions"
	return map[string]string{
		"AssumeRole": sessions, "AssumeRoleWithWebIdentity": sessions, "GetSessionToken": sessions,
		"GetAccessKeyInfo": "needs the owners of access keys of all accounts",
	}
}

func entry[In, Out any](a action.Action[In, Out]) *action.Entry {
	return action.Declare(stsapi.STS(), a)
}

func getCallerIdentity(_ context.Context, c *action.Call, _ *stsapi.GetCallerIdentityInput) (*stsapi.GetCallerIdentityOutput, error) {
	return &stsapi.GetCallerIdentityOutput{UserId: c.Caller.UniqueID, Account: c.Caller.Account, Arn: c.Caller.ARN}, nil
}
