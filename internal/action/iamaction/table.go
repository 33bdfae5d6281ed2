// Package iamaction is the table of IAM: every operation of it that Trent
// performs, declared once, in a file per family, in the form of package action.
// Each asks for the permission of its own name on the ARN of what it touches;
// identity policies alone decide. The functions read the View of the call, and
// wish for changes of it.
package iamaction

import (
	"trent/internal/action"
	"trent/internal/api"
	"trent/internal/api/iamapi"
	"trent/internal/iam"
)

// Table returns every action of IAM that Trent performs, by name.
func Table() map[string]*action.Entry {
	table := make(map[string]*action.Entry)
	for _, family := range [][]*action.Entry{
		users(), accessKeys(), groups(), members(), roles(), inline(), attachments(), boundaries(),
		policies(), versions(), providers(), tags(), accounts(), absent(),
	} {
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
	e := action.Declare(iamapi.IAM(), a)
	e.Condition = func(c *action.Call, in api.Input, resource string, k iam.Key) iam.Value {
		return conditionKey(a.Name, c, in, resource, k)
	}
	return e
}
