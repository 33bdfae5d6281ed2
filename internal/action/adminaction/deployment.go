package adminaction

import (
	"context"

	"trent/internal/action"
	"trent/internal/api/adminapi"
)

// deployment is the family of how a server is.
func deployment() []*action.Entry {
	return []*action.Entry{
		entry(action.Action[adminapi.DescribeDeploymentInput, adminapi.DescribeDeploymentOutput]{
			Name: "DescribeDeployment",
			Uses: operate[adminapi.DescribeDeploymentInput]("trent:DescribeDeployment"),
			Run:  describeDeployment,
		}),
	}
}

func describeDeployment(_ context.Context, c *action.Call, _ *adminapi.DescribeDeploymentInput) (*adminapi.DescribeDeploymentOutput, error) {
	out := new(adminapi.DescribeDeploymentOutput)
	for _, v := range c.Decisions.Vitals() {
		out.Vitals = append(out.Vitals, adminapi.Vital{Kind: v.Kind, Name: v.Name, InOrder: v.OK, CheckDate: v.Checked, LastInOrder: v.GoodAt, Problem: v.Problem})
	}
	return out, nil
}
