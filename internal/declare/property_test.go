package declare_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Whatever is declared, once it is applied there is nothing left to do; and so again
// after something else was declared about the same things in between.
func TestAppliedIsDone(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(rt, false)
		for range 2 {
			text := randomDeclaration(rt)
			made, err := w.try(text)
			if err != nil || made.Failure != "" {
				rt.Fatalf("%v %s\n%s", err, made.Progress(), text)
			}
			if left := w.apply(text, planOnly); len(left) > 0 {
				rt.Fatalf("left to do is %q after\n%s", left, text)
			}
		}
	})
}

// randomDeclaration draws a declaration about few names, which refer to each other.
// All that it refers to is in it.
func randomDeclaration(t *rapid.T) string {
	some := func(label string, names ...string) []string {
		var all []string
		for _, n := range names {
			if rapid.Bool().Draw(t, label+" "+n) {
				all = append(all, n)
			}
		}
		return all
	}
	pick := func(label string, of ...string) string { return rapid.SampledFrom(of).Draw(t, label) }
	policy := func(label string) string {
		return fmt.Sprintf(`{Version: 2012-10-17, Statement: [{Effect: %s, Action: "kms:%s", Resource: "*"}]}`,
			pick(label+" effect", "Allow", "Deny"), pick(label+" action", "Encrypt", "Decrypt", "*"))
	}
	tags := func(label string) string {
		var all []string
		for _, k := range some(label, "a", "b", "c") {
			all = append(all, k+": "+pick(label+k, "x", "y", "''"))
		}
		return "{" + strings.Join(all, ", ") + "}"
	}
	held := func(label string) string {
		var all []string
		for _, p := range some(label+" inline", "i", "j") {
			all = append(all, p+": "+policy(label+p))
		}
		attached := some(label+" attached", "policy/p", "policy/q", "aws:policy/AdministratorAccess")
		for i := range attached {
			attached[i] = `"` + attached[i] + `"`
		}
		return "policies: {" + strings.Join(all, ", ") + "}, attached: [" + strings.Join(attached, ", ") + "]"
	}
	boundary := func(label string) string {
		return pick(label, "", ", boundary: policy/p", ", boundary: none", `, boundary: "aws:policy/AdministratorAccess"`)
	}
	var b strings.Builder
	b.WriteString("version: 1\nregion: eu-central-1\naccounts:\n")
	for _, account := range []string{"111122223333", "222233334444"} {
		fmt.Fprintf(&b, "- id: %s\n  managedPolicies:\n", account)
		fmt.Fprintf(&b, "  - {name: p, document: %s}\n  - {name: q, document: %s}\n", policy("p"), policy("q"))
		b.WriteString("  groups:\n  - {name: g}\n  - {name: h, policies: {i: " + policy("h") + "}}\n")
		if rapid.Bool().Draw(t, "has a user") {
			fmt.Fprintf(&b, "  users:\n  - {name: u, path: %s, tags: %s, groups: [%s], %s%s}\n", pick("path", "/", "/team/"), tags("user"), strings.Join(some("groups", "g", "h"), ", "), held("u"), boundary("boundary"))
		}
		other := map[string]string{"111122223333": "222233334444", "222233334444": "111122223333"}[account]
		fmt.Fprintf(&b, "  roles:\n  - {name: r, tags: %s, %s%s, maxSession: %s, description: %s, trust: {Version: 2012-10-17, Statement: {Effect: Allow, Principal: {AWS: %q}, Action: sts:AssumeRole}}}\n",
			tags("role"), held("r"), boundary("role boundary"), pick("session", "3600", "7200"), pick("description", "x", "''"), "arn:aws:iam::"+other+":"+pick("trusts", "root", "role/r"))
		b.WriteString("  keys:\n")
		for _, k := range append(some("keys", "l"), "k") {
			fmt.Fprintf(&b, "  - alias: alias/%s\n    tags: %s\n    description: %s\n    enabled: true\n", k, tags("key"), pick("text", "one", "two", "''"))
			if rapid.Bool().Draw(t, "policy") {
				fmt.Fprintf(&b, "    policy: {Version: 2012-10-17, Statement: [{Effect: Allow, Principal: {AWS: 'arn:aws:iam::%s:root'}, Action: 'kms:*', Resource: '*'}, {Effect: Allow, Principal: {AWS: 'arn:aws:iam::%s:role/r'}, Action: %q, Resource: '*'}]}\n",
					account, other, pick("permission", "kms:Encrypt", "kms:Decrypt"))
			}
			b.WriteString("    grants:\n")
			for _, g := range []string{"one", "two"} {
				fmt.Fprintf(&b, "    - {name: %s, grantee: role/r, operations: [%s]%s%s}\n", g, strings.Join(append(some("operations", "Encrypt", "DescribeKey"), "Decrypt"), ", "),
					pick("retiring", "", ", retiring: role/r"), pick("constraint", "", ", constraint: {encryptionContextEquals: {a: b}}", ", constraint: {encryptionContextSubset: {a: c}}"))
			}
			b.WriteString("    aliases: [" + pick("moving", "alias/"+k+"2", "") + "]\n")
		}
	}
	return b.String()
}
