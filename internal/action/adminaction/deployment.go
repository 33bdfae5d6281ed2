package adminaction

import (
	"context"
	"encoding/base64"
	"errors"
	"math"

	"trent/internal/action"
	"trent/internal/api/adminapi"
	"trent/internal/fault"
)

// deployment is the family of how a deployment is, and of its own keys.
func deployment() []*action.Entry {
	return []*action.Entry{
		entry(action.Action[adminapi.DescribeDeploymentInput, adminapi.DescribeDeploymentOutput]{
			Name: "DescribeDeployment",
			Uses: operate[adminapi.DescribeDeploymentInput]("trent:DescribeDeployment"),
			Run:  describeDeployment,
		}),
		entry(action.Action[adminapi.StartRekeyInput, action.None]{
			Name:     "StartRekey",
			Uses:     operate[adminapi.StartRekeyInput]("trent:StartRekey"),
			Mutates:  true,
			Once:     true,
			Compound: true,
			Audit:    []string{"GiveUp", "DropOldNow"},
			Run:      startRekey,
		}),
		entry(action.Action[adminapi.DescribeRekeyInput, adminapi.DescribeRekeyOutput]{
			Name: "DescribeRekey",
			Uses: operate[adminapi.DescribeRekeyInput]("trent:DescribeRekey"),
			Run:  describeRekey,
		}),
		entry(action.Action[adminapi.ReadBackupInput, adminapi.ReadBackupOutput]{
			Name:  "ReadBackup",
			Uses:  operate[adminapi.ReadBackupInput]("trent:ReadBackup"),
			Audit: []string{"BackupId", "Page"},
			Run:   readBackup,
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

// startRekey says why it cannot begin: what it says is about roots of trust, which operators know.
func startRekey(ctx context.Context, c *action.Call, in *adminapi.StartRekeyInput) (*action.None, error) {
	if err := c.Decisions.Rekey(ctx, in.GiveUp, in.DropOldNow); err != nil {
		return nil, fault.New(adminapi.InvalidInput, err.Error())
	}
	return new(action.None), nil
}

func describeRekey(ctx context.Context, c *action.Call, _ *adminapi.DescribeRekeyInput) (*adminapi.DescribeRekeyOutput, error) {
	r, err := c.Decisions.Rekeying(ctx)
	if err != nil {
		return nil, err
	}
	if !r.UnderWay {
		return new(adminapi.DescribeRekeyOutput), nil
	}
	return &adminapi.DescribeRekeyOutput{
		UnderWay: true, Stage: shownStage(r.Stage), Done: count(r.Done), Total: count(r.Total), StartDate: r.Started, RetireDate: r.Retires,
	}, nil
}

// readBackup is for whoever may have a backup: it is encrypted, and opens with a root of trust alone.
func readBackup(ctx context.Context, c *action.Call, in *adminapi.ReadBackupInput) (*adminapi.ReadBackupOutput, error) {
	p, err := c.Decisions.ReadBackup(ctx, in.BackupId, in.Page)
	switch {
	case errors.Is(err, action.ErrNoBackup):
		return nil, fault.New(adminapi.InvalidInput, "There is no such backup, or it has gone on to another page. One that is not asked for within a minute is dropped, and each node has its own: begin anew.")
	case errors.Is(err, action.ErrBackups):
		return nil, fault.New(adminapi.LimitExceeded, "As many backups as may be at once are being read. One that is not asked for is dropped after a minute.")
	case err != nil:
		return nil, err
	}
	return &adminapi.ReadBackupOutput{BackupId: p.Backup, Data: base64.StdEncoding.EncodeToString(p.Data), IsLast: p.Last, Records: p.Records}, nil
}

func count(n uint64) int { return int(min(n, math.MaxInt32)) }

func shownStage(s action.RekeyStage) adminapi.RekeyStageType {
	switch s {
	case action.RekeySealing:
		return adminapi.RekeyStageTypeSealing
	case action.RekeyRetiring:
		return adminapi.RekeyStageTypeRetiring
	}
	return adminapi.RekeyStageTypePreparing
}
