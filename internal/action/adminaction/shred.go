package adminaction

import (
	"context"
	"time"

	"trent/internal/action"
	"trent/internal/api/adminapi"
	"trent/internal/fault"
	"trent/internal/identity"
)

// shredding is the family of accounts whose keys are destroyed. It happens in the sweep, when the date has come
// and the clock is believed.
func shredding() []*action.Entry {
	return []*action.Entry{
		entry(action.Action[adminapi.ShredAccountInput, adminapi.ShredAccountOutput]{
			Name:    "ShredAccount",
			Uses:    operate[adminapi.ShredAccountInput]("trent:ShredAccount"),
			Mutates: true,
			Audit:   []string{"AccountId", "PendingWindowInDays"},
			Run:     shredAccount,
		}),
		entry(action.Action[adminapi.KeepAccountInput, action.None]{
			Name:    "KeepAccount",
			Uses:    operate[adminapi.KeepAccountInput]("trent:KeepAccount"),
			Mutates: true,
			Audit:   []string{"AccountId"},
			Run:     keepAccount,
		}),
	}
}

// defaultWindow is how many days pass before an account is shredded, as with keys.
const defaultWindow = 30

// shredAccount answers again with the date that there is, where the account is to be shredded already: a
// date is not moved but by keeping the account first.
func shredAccount(_ context.Context, c *action.Call, in *adminapi.ShredAccountInput) (*adminapi.ShredAccountOutput, error) {
	a, err := existing(c, in.AccountId)
	switch {
	case err != nil:
		return nil, err
	case a.IsShredded():
		return nil, shredded(a)
	case a.IsOpen():
		return nil, fault.Newf(adminapi.InvalidInput, "The account %s is open. Close it first, and see that nobody misses it.", a.ID)
	case !a.ShredDate().IsZero():
		return &adminapi.ShredAccountOutput{ShredDate: a.ShredDate()}, nil
	}
	days := in.PendingWindowInDays
	if days == 0 {
		days = defaultWindow
	}
	at := c.Now.Add(time.Duration(days) * 24 * time.Hour)
	c.WishIdentity(identity.ScheduleShredding(a.ID, at))
	return &adminapi.ShredAccountOutput{ShredDate: at}, nil
}

func keepAccount(_ context.Context, c *action.Call, in *adminapi.KeepAccountInput) (*action.None, error) {
	a, err := existing(c, in.AccountId)
	switch {
	case err != nil:
		return nil, err
	case a.IsShredded():
		return nil, shredded(a)
	case !a.ShredDate().IsZero():
		c.WishIdentity(identity.Keep(a.ID))
	}
	return nil, nil
}

func shredded(a *identity.Account) error {
	return fault.Newf(adminapi.InvalidInput, "The account %s was shredded at %s: its keys are gone, and nothing of it can be brought back.", a.ID, a.ShredDate().UTC().Format(time.RFC3339))
}
