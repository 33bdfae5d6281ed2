package conformance

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"trent/internal/api"
)

// Cell is one outcome of an action.
type Cell struct {
	Action string
	Name   string // Success, the code of an error, or a state
	Shown  bool   // some step had this outcome, and none that should have had it had another
	Why    string // it is not shown because no request brings it about here
}

// Table is every outcome that the model has for every action.
type Table []Cell

// NewTable tells from results which outcomes there were.
func NewTable(results []Result) Table {
	shown, failed := map[[2]string]bool{}, map[[2]string]bool{}
	for _, r := range results {
		if r.Skipped || r.Cell == "" {
			continue
		}
		names := []string{r.Cell, r.Error}
		if r.Error == "" {
			names[1] = Success
		}
		for _, name := range names {
			shown[[2]string{r.Action, name}] = true
			if r.Failure != "" {
				failed[[2]string{r.Action, name}] = true
			}
		}
	}
	var t Table
	for _, op := range api.Operations() {
		for _, name := range cellsOf(op) {
			at := [2]string{op.Name, name}
			c := Cell{Action: op.Name, Name: name, Shown: shown[at] && !failed[at]}
			if !shown[at] {
				c.Why = why(op.Name, name)
			}
			t = append(t, c)
		}
	}
	return t
}

// cellsOf are the outcomes of an action: success, its errors, and the states that a key of it can
// be in.
func cellsOf(op *api.Operation) []string {
	names := []string{Success}
	for _, code := range op.Errors {
		names = append(names, string(code))
	}
	for _, s := range shapes() {
		if s.action != op.Name {
			continue
		}
		for i, state := range States() {
			if s.outcomes[i] != '-' {
				names = append(names, state)
			}
		}
	}
	return names
}

// Count is how many outcomes there are, how many of them were shown, and how many no request
// brings about.
func (t Table) Count() (all, shown, excused int) {
	for _, c := range t {
		switch {
		case c.Shown:
			shown++
		case c.Why != "":
			excused++
		}
	}
	return len(t), shown, excused
}

// Print writes a row for each action and the reasons for what is not shown.
func (t Table) Print(w io.Writer) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "ACTION\tSUCCESS\tERRORS\tSTATES\tMISSING")
	for _, op := range api.Operations() {
		var row, of [3]int
		var missing []string
		for _, c := range t {
			if c.Action != op.Name {
				continue
			}
			column := columnOf(c.Name)
			if c.Why != "" {
				continue
			}
			of[column]++
			if c.Shown {
				row[column]++
			} else {
				missing = append(missing, c.Name)
			}
		}
		fmt.Fprintf(tab, "%s\t%s\t%s\t%s\t%s\n", op.Name, part(row[0], of[0]), part(row[1], of[1]), part(row[2], of[2]), strings.Join(missing, " "))
	}
	if err := tab.Flush(); err != nil {
		return err
	}
	t.printReasons(w)
	all, shown, excused := t.Count()
	_, err := fmt.Fprintf(w, "\n%d of %d outcomes of %d actions shown; %d more cannot be brought about by a request\n", shown, all, len(api.Operations()), excused)
	return err
}

// printReasons lists what no request brings about, by its reason.
func (t Table) printReasons(w io.Writer) {
	cells := map[string][]string{}
	for _, c := range t {
		if c.Why != "" && !c.Shown {
			cells[c.Why] = append(cells[c.Why], c.Name)
		}
	}
	if len(cells) == 0 {
		return
	}
	fmt.Fprintln(w, "\nNot brought about:")
	for _, reason := range slices.Sorted(maps.Keys(cells)) {
		names := cells[reason]
		slices.Sort(names)
		fmt.Fprintf(w, "  %d × %s: %s\n", len(names), strings.Join(slices.Compact(names), ", "), reason)
	}
}

func columnOf(name string) int {
	switch {
	case name == Success:
		return 0
	case slices.Contains(States(), name):
		return 2
	}
	return 1
}

func part(shown, of int) string {
	if of == 0 {
		return "-"
	}
	return fmt.Sprintf("%d/%d", shown, of)
}

// why says why no request brings an outcome about; empty: one could.
func why(action, name string) string {
	for _, e := range excuses() {
		if e.name == name && (len(e.actions) == 0 || slices.Contains(e.actions, action)) {
			return e.why
		}
	}
	return ""
}

type excuse struct {
	name    string
	actions []string // none: every action
	why     string
}

const (
	noVPC = "there are no VPC endpoint services"
	noHSM = "there are no CloudHSM clusters"
)

func excuses() []excuse {
	return []excuse{
		{string(api.KMSInternalException), nil, "a fault of the server's own"},
		{string(api.DependencyTimeoutException), nil, "takes a store that does not answer"},
		{string(api.KeyUnavailableException), nil, "a key that cannot be used is in a state that says why"},
		{string(api.KMSInvalidStateException), []string{"DeleteAlias", "GetKeyPolicy", "ListGrants", "ListKeyPolicies", "PutKeyPolicy", "RetireGrant", "RevokeGrant"},
			"no state stands in the way of the action"},
		{string(api.DisabledException), []string{"GetPublicKey"}, "as measured, a disabled key tells its public half"},
		{string(api.InvalidKeyUsageException), []string{"GetPublicKey"}, "every usage with a public half has one to tell"},
		{string(api.InvalidArnException), []string{"DescribeKey", "GetPublicKey", "CreateKey"}, "an identifier that is not well-formed is NotFoundException or ValidationException"},
		{string(api.InvalidAliasNameException), nil, "as measured, such a name is ValidationException"},
		{string(api.NotFoundException), []string{"ListRetirableGrants"}, "who retires nothing has an empty list"},
		{string(api.UnsupportedOperationException), []string{"PutKeyPolicy"}, "any key has a policy that can be put"},
		{string(api.LimitExceededException), []string{"CreateGrant"}, "takes 50,000 grants on a key"},
		{string(api.LimitExceededException), []string{"CreateKey", "EnableKey", "ReplicateKey"}, "there is no quota on keys"},
		{string(api.LimitExceededException), []string{"TagResource"}, "as measured, too many tags are TagException"},
		{string(api.KMSInvalidStateException), []string{"DeleteImportedKeyMaterial", "GetKeyRotationStatus", "ListKeyRotations"}, "no state stands in the way of the action"},
		{string(api.UnsupportedOperationException), []string{"ListKeyRotations"}, "a key that cannot be rotated has an empty list"},
		{string(api.CustomKeyStoreInvalidStateException), []string{"GenerateRandom"}, "only a CloudHSM key store would make the bytes"},
		{string(api.CustomKeyStoreInvalidStateException), []string{"ConnectCustomKeyStore"}, "takes a store whose proxy has failed"},
		{string(api.XksProxyInvalidResponseException), nil, "takes a proxy that answers wrongly"},
		{string(api.XksProxyUriEndpointInUseException), nil, "only VPC endpoint services must not share an endpoint"},
		{string(api.XksProxyVpcEndpointServiceInUseException), nil, noVPC},
		{string(api.XksProxyVpcEndpointServiceInvalidConfigurationException), nil, noVPC},
		{string(api.CloudHsmClusterInUseException), nil, noHSM},
		{string(api.CloudHsmClusterNotActiveException), nil, noHSM},
		{string(api.CloudHsmClusterNotRelatedException), nil, noHSM},
		{string(api.CloudHsmClusterInvalidConfigurationException), nil, noHSM},
		{string(api.CloudHsmClusterNotFoundException), []string{"UpdateCustomKeyStore"}, noHSM},
		{string(api.IncorrectTrustAnchorException), nil, noHSM},
		{string(api.ConflictException), []string{"RotateKeyOnDemand"}, "takes an automatic rotation that is due in minutes"},
	}
}
