package action

import (
	"maps"
	"slices"

	"trent/internal/api"
	"trent/internal/arn"
	"trent/internal/iam"
)

// Keys are the condition keys that an action brings to a decision, beside those
// that every action has (authz.Conditions): by name in lower case, with a
// function that reads the value off the request. sub is the rest of a key that
// names a part of the request, such as the tag of aws:RequestTag/tag. Functions are
// called only for keys that some policy names.
type Keys[In any] map[string]func(in *In, h []Held, sub string) iam.Value

// and joins lists of keys.
func (k Keys[In]) and(more Keys[In]) Keys[In] {
	all := maps.Clone(k)
	maps.Copy(all, more)
	return all
}

// ConditionKeys are the names of the keys that the resource's decision has of the
// action itself, in order.
func (r *Resource) ConditionKeys() []string { return slices.Sorted(maps.Keys(r.keys)) }

// Value is what a condition key says in one request; the zero Value where the
// action does not have it.
func (r *Resource) Value(in api.Input, h []Held, k iam.Key) iam.Value {
	read, ok := r.keys[k.Name]
	if !ok {
		return iam.Value{}
	}
	return read(in, h, k.Sub)
}

// said is the value of a member that was sent; one that was not is absent.
func said[S ~string](s S) iam.Value {
	if s == "" {
		return iam.Value{}
	}
	return iam.Text(string(s))
}

// or is the value of a member, or what it means where it was not sent.
func or[S ~string](s, byDefault S) iam.Value {
	if s == "" {
		s = byDefault
	}
	return iam.Text(string(s))
}

// requestAlias is kms:RequestAlias: the name of the alias by which the request
// names the key, if it does.
func requestAlias[In any](ref func(*In) string) Keys[In] {
	return Keys[In]{"kms:requestalias": func(in *In, _ []Held, _ string) iam.Value {
		if r := arn.ParseRef(ref(in)); r.IsAlias() {
			return iam.Text(r.Name)
		}
		return iam.Value{}
	}}
}

// contextKeys are the keys about an encryption context.
func contextKeys[In any](context func(*In, []Held) map[string]string) Keys[In] {
	return Keys[In]{
		"kms:encryptioncontext": func(in *In, h []Held, sub string) iam.Value {
			return pair(context(in, h), sub)
		},
		"kms:encryptioncontextkeys": func(in *In, h []Held, _ string) iam.Value {
			pairs := context(in, h)
			return iam.Texts(slices.Sorted(maps.Keys(pairs))).After(sortSteps * len(pairs))
		},
	}
}

// algorithm is kms:EncryptionAlgorithm: the default is evaluated though it was not sent.
func algorithm[In any](of func(*In) api.EncryptionAlgorithm) Keys[In] {
	return Keys[In]{"kms:encryptionalgorithm": func(in *In, _ []Held, _ string) iam.Value {
		return or(of(in), api.EncryptionAlgorithmSymmetricDefault)
	}}
}

// cryptographic are the keys of an action that uses a symmetric key under an
// encryption context.
func cryptographic[In any](ref func(*In) string, alg func(*In) api.EncryptionAlgorithm, context func(*In) map[string]string) Keys[In] {
	return requestAlias(ref).and(algorithm(alg)).and(contextKeys(func(in *In, _ []Held) map[string]string { return context(in) }))
}

// noAlgorithm is for actions that have no choice of algorithm.
func noAlgorithm[In any](*In) api.EncryptionAlgorithm { return "" }

// tagKeys are the keys about tags that are sent to be set; also as those of the
// resource, where the resource is still to be made.
func tagKeys[In any](tags func(*In) []api.Tag) Keys[In] {
	return Keys[In]{
		"aws:requesttag": func(in *In, _ []Held, sub string) iam.Value { return tagValue(tags(in), sub) },
		"aws:tagkeys": func(in *In, _ []Held, _ string) iam.Value {
			var names []string
			for _, t := range tags(in) {
				names = append(names, t.TagKey)
			}
			return iam.Texts(names)
		},
	}
}

func tagValue(tags []api.Tag, name string) iam.Value {
	pairs := make(map[string]string, len(tags))
	for _, t := range tags {
		pairs[t.TagKey] = t.TagValue
	}
	return pair(pairs, name)
}

// pair is the value of the pair whose name is sub without regard to case. Where
// several are, it has all their values: which of them a single-valued operator should
// take is not for us to guess, and it takes none (docs/policy-language.md).
func pair(pairs map[string]string, sub string) iam.Value {
	var values []string
	for name, value := range pairs {
		if iam.FoldsTo(name, sub) {
			values = append(values, value)
		}
	}
	value := iam.Texts(values)
	if len(values) == 1 {
		value = iam.Text(values[0])
	}
	return value.After(searchSteps * len(pairs))
}

// What it takes to look at one of many pairs, in steps of an evaluation.
const (
	searchSteps = 8
	sortSteps   = 16
)

// flag is a switch that was sent; one that was not is absent.
func flag(sent, on bool) iam.Value {
	if !sent {
		return iam.Value{}
	}
	return iam.Flag(on)
}
