package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"

	"trent/internal/authz"
	"trent/internal/iam"
)

type policyCmd struct {
	Explain policyExplainCmd `cmd:"" help:"Tell why a principal may, or may not, do something with a key."`
	Lint    policyLintCmd    `cmd:"" help:"Warn of what is legal in a policy and dangerous. Asks no server."`
}

type policyExplainCmd struct {
	connection
	Principal string   `required:"" placeholder:"ARN" help:"User, role, session of a role, or root of an account."`
	Action    string   `required:"" placeholder:"NAME" help:"Permission, such as kms:Decrypt."`
	Key       string   `placeholder:"KEY" help:"Key, in any of the four forms."`
	Resource  string   `placeholder:"ARN" help:"Another resource of the account; default: the account as such."`
	Context   []string `sep:"none" placeholder:"KEY=VALUE" help:"Condition key that the request would have; repeatable, also for one key."`
}

// Run implements the command.
func (c *policyExplainCmd) Run(w *world) error {
	o, err := c.operator()
	if err != nil {
		return err
	}
	f := form("PrincipalArn", c.Principal, "ActionName", c.Action, "KeyId", c.Key, "ResourceArn", c.Resource, "Region", c.Region)
	if err := addContext(f, c.Context); err != nil {
		return err
	}
	var out struct {
		Result struct{ Explanation string } `xml:"ExplainDecisionResult"`
	}
	if err := o.call(w.ctx, "ExplainDecision", f, &out); err != nil {
		return err
	}
	var e authz.Explanation
	if err := json.Unmarshal([]byte(out.Result.Explanation), &e); err != nil {
		return fmt.Errorf("the answer is not what a server of this version says: %w", err)
	}
	if c.Output == "json" {
		return printJSON(w.stdout, e)
	}
	printExplanation(w.stdout, &e)
	return nil
}

// addContext puts condition keys into a form. A key that is given twice has two
// values.
func addContext(f url.Values, pairs []string) error {
	var names []string
	values := make(map[string][]string)
	for _, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return fmt.Errorf("--context %s: want KEY=VALUE, such as aws:SourceIp=10.0.0.1", pair)
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
		values[name] = append(values[name], value)
	}
	for i, name := range names {
		member := fmt.Sprintf("Context.member.%d.", i+1)
		f.Set(member+"Key", name)
		for j, v := range values[name] {
			f.Set(fmt.Sprintf("%sValues.member.%d", member, j+1), v)
		}
	}
	return nil
}

// printExplanation prints the decision, then each policy and each grant that had a
// say, with every statement: what matched, and what stood in the way where one
// thing did.
func printExplanation(w io.Writer, e *authz.Explanation) {
	if e.Allowed {
		fmt.Fprintln(w, "ALLOWED")
	} else {
		fmt.Fprintln(w, "DENIED")
		fmt.Fprintln(w, "  "+shown(e.Why))
	}
	for _, p := range e.Policies {
		fmt.Fprintf(w, "\n%s\n", p.Policy)
		for _, s := range p.Statements {
			printStatement(w, s)
		}
	}
	for _, g := range e.Grants {
		fmt.Fprintf(w, "\ngrant %s\n  ", g.ID)
		if g.Covers {
			fmt.Fprintln(w, "covers the request")
		} else {
			fmt.Fprintln(w, "does not cover the request: "+g.Because)
		}
	}
}

func printStatement(w io.Writer, s iam.Trace) {
	effect, name := "Allow", ""
	if s.Effect == iam.Deny {
		effect = "Deny"
	}
	if s.SID != "" {
		name = " " + shown(s.SID)
	}
	outcome := "does not match"
	switch {
	case s.Matched:
		outcome = "matches"
	case s.NearlyMatched:
		outcome = "nearly matches"
	}
	fmt.Fprintf(w, "  %d%s (%s) %s", s.Statement, name, effect, outcome)
	if len(s.Failed) > 0 {
		fmt.Fprintf(w, ": %s", strings.Join(s.Failed, ", "))
	}
	fmt.Fprintln(w)
	if slices.Contains(s.Failed, "Condition") || s.Matched {
		for _, c := range s.Conditions {
			had := "absent"
			if len(c.Had) > 0 {
				had = shown(strings.Join(c.Had, ", "))
			}
			fmt.Fprintf(w, "      %s %s: wants %s, has %s: %s\n", c.Operator, shown(c.Key), shown(strings.Join(c.Wanted, " or ")), had, c.Result)
		}
	}
	for _, d := range s.Diagnostics {
		fmt.Fprintf(w, "      cannot be told: %s\n", shown(d))
	}
}

type policyLintCmd struct {
	Files []string `arg:"" help:"Policy documents."`
	Kind  string   `default:"key" enum:"key,identity,trust" help:"Kind of policy: key, identity or trust."`
}

// Run implements the command. It fails if there is anything to say.
func (c *policyLintCmd) Run(w *world) error {
	kind := map[string]iam.PolicyKind{"key": iam.KeyPolicy, "identity": iam.IdentityPolicy, "trust": iam.TrustPolicy}[c.Kind]
	n := 0
	for _, file := range c.Files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		p, err := iam.Parse(string(text))
		if err == nil {
			err = iam.Check(p, kind)
		}
		if err != nil {
			fmt.Fprintf(w.stdout, "%s: refused: %v\n", file, err)
			n++
			continue
		}
		for _, f := range iam.Lint(p, kind) {
			where := fmt.Sprintf("statement %d", f.Statement)
			if f.SID != "" {
				where += " (" + shown(f.SID) + ")"
			}
			fmt.Fprintf(w.stdout, "%s: %s: %s: %s\n", file, where, f.Code, f.Text)
			n++
		}
	}
	switch n {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("1 finding")
	}
	return fmt.Errorf("%d findings", n)
}
