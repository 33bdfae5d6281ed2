package main

import (
	"fmt"
	"net/url"
	"time"
)

type accountCmd struct {
	Create accountCreateCmd `cmd:"" help:"Make an account, and an access key of its root user."`
	List   accountListCmd   `cmd:"" help:"List accounts."`
	Close  accountCloseCmd  `cmd:"" help:"Close an account: nobody can sign for it, and its keys are not there."`
	Reopen accountReopenCmd `cmd:"" help:"Open a closed account again."`
}

// account is an account as the API shows it.
type account struct {
	AccountID   string `xml:"AccountId" json:"AccountId"`
	AccountName string `xml:"AccountName"`
	Status      string `xml:"Status"`
	CreateDate  string `xml:"CreateDate"`
	CloseDate   string `xml:"CloseDate"`
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
		rows = append(rows, []string{a.AccountID, a.AccountName, a.Status, dateOf(a.CreateDate), dateOf(a.CloseDate)})
	}
	return printTable(w.stdout, []string{"ACCOUNT", "NAME", "STATUS", "CREATED", "CLOSED"}, rows)
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
