package main

import (
	"fmt"
	"net/url"
	"strconv"
	"time"
)

type accountCmd struct {
	Create accountCreateCmd `cmd:"" help:"Make an account, and an access key of its root user."`
	List   accountListCmd   `cmd:"" help:"List accounts."`
	Close  accountCloseCmd  `cmd:"" help:"Close an account: nobody can sign for it, and its keys are not there."`
	Reopen accountReopenCmd `cmd:"" help:"Open a closed account again; it is not shredded then."`
	Shred  accountShredCmd  `cmd:"" help:"Have a closed account shredded after some days: its keys are destroyed, and nothing of it can be read any more, ever."`
	Keep   accountKeepCmd   `cmd:"" help:"Have an account not be shredded after all. It stays closed."`
}

// account is an account as the API shows it.
type account struct {
	AccountID   string `xml:"AccountId" json:"AccountId"`
	AccountName string `xml:"AccountName"`
	Status      string `xml:"Status"`
	CreateDate  string `xml:"CreateDate"`
	CloseDate   string `xml:"CloseDate"`
	ShredDate   string `xml:"ShredDate"`
}

type accountCreateCmd struct {
	connection
	ID   string `arg:"" optional:"" help:"12 digits; default: drawn at random."`
	Name string `placeholder:"NAME" help:"What people call it."`
}

// Run implements the command.
func (c *accountCreateCmd) Run(w *world) error {
	o, err := c.operator()
	if err != nil {
		return err
	}
	var out struct {
		Result struct {
			Account         account
			AccessKeyID     string `xml:"AccessKeyId" json:"AccessKeyId"`
			SecretAccessKey string
		} `xml:"CreateAccountResult"`
	}
	if err := o.call(w.ctx, "CreateAccount", form("AccountId", c.ID, "AccountName", c.Name), &out); err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(w.stdout, out.Result)
	}
	err = printFacts(w.stdout, []fact{
		{"Account", out.Result.Account.AccountID},
		{"Name", out.Result.Account.AccountName},
		{"Root access key", out.Result.AccessKeyID},
		{"Secret", out.Result.SecretAccessKey},
	})
	fmt.Fprintln(w.stderr, "The secret is shown this once. Make a user with it (aws iam create-user), then delete the key.")
	return err
}

type accountListCmd struct{ connection }

// Run implements the command.
func (c *accountListCmd) Run(w *world) error {
	o, err := c.operator()
	if err != nil {
		return err
	}
	all := []account{}
	for marker := ""; ; {
		var out struct {
			Result struct {
				Accounts    []account `xml:"Accounts>member"`
				IsTruncated bool
				Marker      string
			} `xml:"ListAccountsResult"`
		}
		if err := o.call(w.ctx, "ListAccounts", form("Marker", marker), &out); err != nil {
			return err
		}
		all = append(all, out.Result.Accounts...)
		if marker = out.Result.Marker; !out.Result.IsTruncated {
			break
		}
	}
	if c.Output == "json" {
		return printJSON(w.stdout, all)
	}
	var rows [][]string
	for _, a := range all {
		rows = append(rows, []string{a.AccountID, a.AccountName, a.Status, dateOf(a.CreateDate), dateOf(a.CloseDate), dateOf(a.ShredDate)})
	}
	return printTable(w.stdout, []string{"ACCOUNT", "NAME", "STATUS", "CREATED", "CLOSED", "SHRED"}, rows)
}

// dateOf shows a date as all others are shown. One that is none is shown as it came.
func dateOf(xml string) string {
	t, err := time.Parse(time.RFC3339, xml)
	if err != nil {
		return shown(xml)
	}
	return date(&t)
}

type accountCloseCmd struct {
	connection
	ID string `arg:"" help:"12 digits."`
}

// Run implements the command.
func (c *accountCloseCmd) Run(w *world) error { return c.standing(w, "CloseAccount", c.ID) }

type accountReopenCmd struct {
	connection
	ID string `arg:"" help:"12 digits."`
}

// Run implements the command.
func (c *accountReopenCmd) Run(w *world) error { return c.standing(w, "ReopenAccount", c.ID) }

type accountShredCmd struct {
	connection
	ID   string `arg:"" help:"12 digits."`
	Days int    `default:"30" placeholder:"DAYS" help:"How long it can be kept or reopened yet: 7 to 30 days."`
}

// Run implements the command.
func (c *accountShredCmd) Run(w *world) error {
	o, err := c.operator()
	if err != nil {
		return err
	}
	var out struct {
		Result struct{ ShredDate string } `xml:"ShredAccountResult"`
	}
	if err := o.call(w.ctx, "ShredAccount", form("AccountId", c.ID, "PendingWindowInDays", strconv.Itoa(c.Days)), &out); err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(w.stdout, out.Result)
	}
	_, err = fmt.Fprintf(w.stdout, "The account %s is shredded at %s, unless it is kept (trent account keep %s) or reopened before.\n", c.ID, dateOf(out.Result.ShredDate), c.ID)
	return err
}

type accountKeepCmd struct {
	connection
	ID string `arg:"" help:"12 digits."`
}

// Run implements the command.
func (c *accountKeepCmd) Run(w *world) error { return c.standing(w, "KeepAccount", c.ID) }

func (c *connection) standing(w *world, action, id string) error {
	o, err := c.operator()
	if err != nil {
		return err
	}
	return o.call(w.ctx, action, form("AccountId", id), nil)
}

// form makes a form of names and values, without those that are empty.
func form(pairs ...string) url.Values {
	f := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			f.Set(pairs[i], pairs[i+1])
		}
	}
	return f
}
