package iam_test

import (
	"math/rand/v2"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"trent/internal/iam"
	"trent/internal/iam/iamtest"
)

// A document as these tests change it.
type doc struct {
	Version   string `json:",omitempty"`
	Statement []map[string]jsontext.Value
}

func (d doc) text() string {
	b, err := json.Marshal(d, json.Deterministic(true))
	if err != nil {
		panic(err)
	}
	return string(b)
}

// eachPolicy calls law with the well-formed policies of many drawn cases.
func eachPolicy(t *testing.T, law func(t *testing.T, r *rand.Rand, d doc, request *iam.Request, kind iam.PolicyKind)) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	for range 1_500 {
		c := iamtest.Generate(r)
		var texts []string
		var kinds []iam.PolicyKind
		if c.Key != nil {
			texts, kinds = append(texts, c.Key.Policy), append(kinds, iam.KeyPolicy)
		}
		if c.Trust != nil {
			texts, kinds = append(texts, *c.Trust), append(kinds, iam.TrustPolicy)
		}
		for _, text := range c.Identity {
			texts, kinds = append(texts, text), append(kinds, iam.IdentityPolicy)
		}
		for i, text := range texts {
			if _, err := iam.Parse(text); err == nil {
				law(t, r, readDoc(t, text), c.Request(), kinds[i])
			}
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
	}
}

func readDoc(t *testing.T, text string) doc {
	t.Helper()
	var raw struct {
		Version   string
		Statement jsontext.Value
	}
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		t.Fatal(err)
	}
	d := doc{Version: raw.Version}
	if raw.Statement.Kind() == '{' {
		raw.Statement = slices.Concat([]byte("["), raw.Statement, []byte("]"))
	}
	if err := json.Unmarshal(raw.Statement, &d.Statement); err != nil {
		t.Fatal(err)
	}
	return d
}

func outcome(t *testing.T, d doc, r *iam.Request, kind iam.PolicyKind) iam.Outcome {
	t.Helper()
	return evaluate(mustParse(t, d.text()), r, kind)
}

// One more statement never takes from what the others say: a Deny adds nothing
// but a deny, an Allow never denies.
func TestLawMoreStatements(t *testing.T) {
	eachPolicy(t, func(t *testing.T, r *rand.Rand, d doc, request *iam.Request, kind iam.PolicyKind) {
		before := outcome(t, d, request, kind)
		added := anyStatement(t, r, d.Version)
		for effect := range strings.SplitSeq("Allow Deny", " ") {
			added["Effect"] = jsontext.Value(`"` + effect + `"`)
			more := doc{d.Version, slices.Insert(slices.Clone(d.Statement), r.IntN(len(d.Statement)+1), added)}
			after := outcome(t, more, request, kind)
			grown := after.Deny == before.Deny && (!before.Allow || after.Allow) && (!before.Direct || after.Direct) && (!before.Delegates || after.Delegates)
			if effect == "Deny" {
				grown = (!before.Deny || after.Deny) && after.Allow == before.Allow && after.Direct == before.Direct && after.Delegates == before.Delegates
			}
			if !grown {
				t.Errorf("%s\nsays %+v, and with another %s %+v:\n%s", d.text(), before, effect, after, more.text())
			}
		}
	})
}

// anyStatement is the first of some well-formed policy of the version.
func anyStatement(t *testing.T, r *rand.Rand, version string) map[string]jsontext.Value {
	t.Helper()
	for {
		if c := iamtest.Generate(r); c.Key != nil {
			if p, err := iam.Parse(c.Key.Policy); err == nil && p.Version == version {
				return readDoc(t, c.Key.Policy).Statement[0]
			}
		}
	}
}

// What a document says does not depend on the order of statements, members and
// values, nor on a value being there twice, nor on a list of one being a list.
func TestLawOrder(t *testing.T) {
	eachPolicy(t, func(t *testing.T, r *rand.Rand, d doc, request *iam.Request, kind iam.PolicyKind) {
		before := outcome(t, d, request, kind)
		r.Shuffle(len(d.Statement), func(i, j int) { d.Statement[i], d.Statement[j] = d.Statement[j], d.Statement[i] })
		for _, s := range d.Statement {
			for name, value := range s {
				s[name] = shuffled(r, value)
			}
		}
		if after := outcome(t, d, request, kind); after != before {
			t.Errorf("%+v, and shuffled %+v:\n%s", before, after, d.text())
		}
	})
}

// shuffled changes the order of everything in a value, and repeats items.
func shuffled(r *rand.Rand, v jsontext.Value) jsontext.Value {
	switch v.Kind() {
	case '[':
		var items []jsontext.Value
		if json.Unmarshal(v, &items) != nil {
			panic("no list")
		}
		if len(items) > 0 && r.IntN(2) == 0 {
			items = append(items, items[r.IntN(len(items))])
		}
		r.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
		b, _ := json.Marshal(items)
		return b
	case '{':
		var members map[string]jsontext.Value
		if json.Unmarshal(v, &members) != nil {
			panic("no object")
		}
		names := make([]string, 0, len(members))
		for name := range members {
			names = append(names, name)
		}
		r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		out := jsontext.Value("{")
		for i, name := range names {
			if i > 0 {
				out = append(out, ',')
			}
			out, _ = jsontext.AppendQuote(out, name)
			out = append(append(out, ':'), shuffled(r, members[name])...)
		}
		return append(out, '}')
	}
	return v
}

// A statement with several actions, resources or principals is as many
// statements with one each.
func TestLawSplit(t *testing.T) {
	eachPolicy(t, func(t *testing.T, r *rand.Rand, d doc, request *iam.Request, kind iam.PolicyKind) {
		before := outcome(t, d, request, kind)
		for _, name := range []string{"Action", "Resource"} {
			d = split(t, d, name)
		}
		if after := outcome(t, d, request, kind); after != before {
			t.Errorf("%+v, and split %+v:\n%s", before, after, d.text())
		}
	})
}

func split(t *testing.T, d doc, name string) doc {
	t.Helper()
	out := doc{Version: d.Version}
	for _, s := range d.Statement {
		var items []jsontext.Value
		if s[name].Kind() != '[' || json.Unmarshal(s[name], &items) != nil || len(items) == 0 {
			out.Statement = append(out.Statement, s)
			continue
		}
		for _, item := range items {
			one := make(map[string]jsontext.Value)
			for k, v := range s {
				one[k] = v
			}
			one[name] = item
			out.Statement = append(out.Statement, one)
		}
	}
	return out
}

var conditionKey = regexp.MustCompile(`"(aws|kms|AWS|KMS):[A-Za-z:/]+": ?[^,}]`)

// The case of actions and condition keys says nothing.
func TestLawCase(t *testing.T) {
	turn := strings.ToUpper
	eachPolicy(t, func(t *testing.T, r *rand.Rand, d doc, request *iam.Request, kind iam.PolicyKind) {
		before := outcome(t, d, request, kind)
		if r.IntN(2) == 0 {
			turn = strings.ToLower
		}
		for _, s := range d.Statement {
			for _, name := range []string{"Action", "NotAction"} {
				if v, ok := s[name]; ok {
					s[name] = jsontext.Value(turn(plain(t, v)))
				}
			}
			if v, ok := s["Condition"]; ok {
				s["Condition"] = jsontext.Value(conditionKey.ReplaceAllStringFunc(plain(t, v), func(key string) string {
					i := strings.LastIndex(key, `"`)
					if i == len(key)-1 {
						i = strings.LastIndex(key[:i], `"`)
					}
					return turn(key[:i]) + key[i:]
				}))
			}
		}
		request.Action = iam.NewAction(turn(request.Action.Name))
		if after := outcome(t, d, request, kind); after != before {
			t.Errorf("%+v, and in another case %+v:\n%s", before, after, d.text())
		}
	})
}

// plain is a value without escapes that need not be.
func plain(t *testing.T, v jsontext.Value) string {
	t.Helper()
	v = slices.Clone(v)
	if err := v.Canonicalize(); err != nil {
		t.Fatal(err)
	}
	return string(v)
}

// Turned around, a statement denies what it allowed, and more: what cannot be
// told denies and does not allow.
func TestLawAllowImpliesDeny(t *testing.T) {
	eachPolicy(t, func(t *testing.T, r *rand.Rand, d doc, request *iam.Request, kind iam.PolicyKind) {
		for _, s := range d.Statement {
			s["Effect"] = jsontext.Value(`"Allow"`)
			allow := outcome(t, doc{d.Version, []map[string]jsontext.Value{s}}, request, kind)
			s["Effect"] = jsontext.Value(`"Deny"`)
			deny := outcome(t, doc{d.Version, []map[string]jsontext.Value{s}}, request, kind)
			if (allow.Allow || allow.Delegates) && !deny.Deny || allow.Deny || deny.Allow || deny.Direct || deny.Delegates || allow.Direct && !allow.Allow {
				t.Errorf("as Allow %+v, as Deny %+v: %v", allow, deny, s)
			}
		}
	})
}

// Explain says what Evaluate does, statement by statement.
func TestLawExplain(t *testing.T) {
	eachPolicy(t, func(t *testing.T, r *rand.Rand, d doc, request *iam.Request, kind iam.PolicyKind) {
		traces := mustParse(t, d.text()).Explain(request, kind)
		if len(traces) != len(d.Statement) {
			t.Fatalf("%d traces of %d statements", len(traces), len(d.Statement))
		}
		for i, trace := range traces {
			alone := outcome(t, doc{d.Version, d.Statement[i : i+1]}, request, kind)
			if trace.Matched != (alone != iam.Outcome{}) || trace.Matched && len(trace.Failed) > 0 || trace.NearlyMatched != (len(trace.Failed) == 1) {
				t.Errorf("%v\nsays %+v and is explained so: %+v", d.Statement[i], alone, trace)
			}
			if !trace.Matched && len(trace.Failed) == 0 {
				t.Errorf("%v: nothing stood in the way: %+v", d.Statement[i], trace)
			}
		}
	})
}

// A policy is what its Source says, and asking it changes nothing.
func TestLawSource(t *testing.T) {
	eachPolicy(t, func(t *testing.T, r *rand.Rand, d doc, request *iam.Request, kind iam.PolicyKind) {
		p := mustParse(t, d.text())
		first := evaluate(p, request, kind)
		iam.Lint(p, kind)
		p.Explain(request, kind)
		if again := mustParse(t, p.Source); !reflect.DeepEqual(again, p) || evaluate(p, request, kind) != first {
			t.Errorf("%s changed", d.text())
		}
	})
}
