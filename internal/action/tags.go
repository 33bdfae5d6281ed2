package action

import (
	"context"
	"slices"
	"strings"

	"trent/internal/api"
	"trent/internal/fault"
	"trent/internal/iam"
	"trent/internal/key"
)

// tags is the family of labels on keys.
func tags() []*Entry {
	return []*Entry{
		entry(Action[api.TagResourceInput, None]{
			Name:    "TagResource",
			Uses:    manageUnder("kms:TagResource", key.NotDeleting, func(in *api.TagResourceInput) string { return in.KeyId }, tagKeys(func(in *api.TagResourceInput) []api.Tag { return in.Tags })),
			Rules:   func(in *api.TagResourceInput) error { return checkTags(in.Tags) },
			Mutates: true,
			Audit:   []string{"KeyId", "Tags"},
			Run:     tagResource,
		}),
		entry(Action[api.UntagResourceInput, None]{
			Name: "UntagResource",
			Uses: manageUnder("kms:UntagResource", key.NotDeleting, func(in *api.UntagResourceInput) string { return in.KeyId }, Keys[api.UntagResourceInput]{
				"aws:tagkeys": func(in *api.UntagResourceInput, _ []Held, _ string) iam.Value { return iam.Texts(in.TagKeys) },
			}),
			Rules:   untagRules,
			Mutates: true,
			Audit:   []string{"KeyId", "TagKeys"},
			Run: func(_ context.Context, c *Call, in *api.UntagResourceInput) (*None, error) {
				return c.change(c.Held[0].Record, func(r *key.Record) {
					r.Tags = slices.DeleteFunc(r.Tags, func(t key.Tag) bool { return slices.Contains(in.TagKeys, t.Key) })
				})
			},
		}),
		entry(Action[api.ListResourceTagsInput, api.ListResourceTagsOutput]{
			Name:  "ListResourceTags",
			Uses:  manage("kms:ListResourceTags", key.AnyState, func(in *api.ListResourceTagsInput) string { return in.KeyId }),
			Audit: []string{"KeyId", "Limit"},
			Run:   listResourceTags,
		}),
	}
}

func checkTags(tags []api.Tag) error {
	seen := make(map[string]bool, len(tags))
	for _, t := range tags {
		if err := checkTagKey(t.TagKey); err != nil {
			return err
		}
		if seen[t.TagKey] {
			return fault.New(api.TagException, "Duplicate tag keys")
		}
		seen[t.TagKey] = true
	}
	if len(tags) > key.MaxTags {
		return fault.New(api.TagException, "Too many tags")
	}
	return nil
}

func checkTagKey(k string) error {
	if len(k) >= 4 && strings.EqualFold(k[:4], "aws:") {
		return fault.New(api.TagException, "Tags beginning with aws: are reserved")
	}
	return nil
}

func untagRules(in *api.UntagResourceInput) error {
	for _, k := range in.TagKeys {
		if err := checkTagKey(k); err != nil {
			return err
		}
	}
	return nil
}

// tagResource gives new values to tags that are there and adds the others.
func tagResource(_ context.Context, c *Call, in *api.TagResourceInput) (*None, error) {
	was := c.Held[0].Record
	tags := slices.Clone(was.Tags)
	for _, t := range in.Tags {
		i := slices.IndexFunc(tags, func(o key.Tag) bool { return o.Key == t.TagKey })
		if i < 0 {
			tags = append(tags, key.Tag{Key: t.TagKey, Value: t.TagValue})
		} else {
			tags[i].Value = t.TagValue
		}
	}
	if len(tags) > key.MaxTags {
		return nil, fault.New(api.TagException, "Too many tags")
	}
	return c.change(was, func(r *key.Record) { r.Tags = tags })
}

func listResourceTags(_ context.Context, c *Call, in *api.ListResourceTagsInput) (*api.ListResourceTagsOutput, error) {
	rec := c.Held[0].Record
	list := c.listName("ListResourceTags", rec.ID())
	after, err := c.Lists.OpenMarker(list, in.Marker)
	if err != nil {
		return nil, err
	}
	all := slices.Clone(rec.Tags)
	slices.SortFunc(all, func(a, b key.Tag) int { return strings.Compare(a.Key, b.Key) })
	all = slices.DeleteFunc(all, func(t key.Tag) bool { return in.Marker != "" && t.Key <= after })
	n := limit(in.Limit, 50, 50)
	out := &api.ListResourceTagsOutput{Truncated: len(all) > n}
	for _, t := range all[:min(n, len(all))] {
		out.Tags = append(out.Tags, api.Tag{TagKey: t.Key, TagValue: t.Value})
	}
	if out.Truncated {
		out.NextMarker = c.Lists.SealMarker(list, all[n-1].Key)
	}
	return out, nil
}
