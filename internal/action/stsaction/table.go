// Package stsaction is the table of STS, in the form of package action.
package stsaction

import (
	"context"

	"trent/internal/action"
	"trent/internal/api/query"
	"trent/internal/api/stsapi"
	"trent/internal/fault"
)

// Table returns every action of STS that Trent performs, by name.
func Table() map[string]*action.Entry {
	table := make(map[string]*action.Entry)
	for _, family := range [][]*action.Entry{assuming(), federating(), asking()} {
		for _, e := range family {
			table[e.Op.Name] = e
		}
	}
	return table
}

// NotYet lists the operations of the model that are answered with
// UnsupportedOperation, each with the reason.
func NotYet() map[string]string {
	return nil
}

func entry[In, Out any](a action.Action[In, Out]) *action.Entry {
	return action.Declare(stsapi.STS(), a)
}

// asking is the family of questions about who somebody is.
func asking() []*action.Entry {
	return []*action.Entry{
		entry(action.Action[stsapi.GetCallerIdentityInput, stsapi.GetCallerIdentityOutput]{
			Name:      "GetCallerIdentity", // needs no permission: it tells who signed
			Presigned: true,                // others find out by it who handed it to them
			Run:       getCallerIdentity,
		}),
		entry(action.Action[stsapi.GetAccessKeyInfoInput, stsapi.GetAccessKeyInfoOutput]{
			Name:  "GetAccessKeyInfo",
			Uses:  []action.Use[stsapi.GetAccessKeyInfoInput]{{Kind: action.OnAccount, Permit: "sts:GetAccessKeyInfo"}},
			Audit: []string{"AccessKeyId"},
			Run:   getAccessKeyInfo,
		}),
	}
}

func getCallerIdentity(_ context.Context, c *action.Call, _ *stsapi.GetCallerIdentityInput) (*stsapi.GetCallerIdentityOutput, error) {
	return &stsapi.GetCallerIdentityOutput{UserId: c.Caller.UniqueID, Account: c.Caller.Account, Arn: c.Caller.ARN}, nil
}

// getAccessKeyInfo knows long-term access keys, and the caller's own. Of other temporary
// ones nothing is stored.
func getAccessKeyInfo(_ context.Context, c *action.Call, in *stsapi.GetAccessKeyInfoInput) (*stsapi.GetAccessKeyInfoOutput, error) {
	if in.AccessKeyId == c.Caller.AccessKeyID {
		return &stsapi.GetAccessKeyInfoOutput{Account: c.Caller.Account}, nil
	}
	account, ok := c.Identities.AccountOfKey(in.AccessKeyId)
	if !ok {
		return nil, fault.New(query.ValidationError, "There is no long-term access key of this id. The account of temporary credentials is known only with their session token.")
	}
	return &stsapi.GetAccessKeyInfoOutput{Account: account}, nil
}
