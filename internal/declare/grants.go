package declare

import (
	"context"
	"maps"
	"slices"

	"trent/internal/action"
	"trent/internal/api"
)

// presentGrant is a grant as it is.
type presentGrant struct {
	GrantID     string `json:"GrantId"`
	Name        string
	Grantee     string               `json:"GranteePrincipal"`
	Retiring    string               `json:"RetiringPrincipal"`
	Operations  []api.GrantOperation `json:"Operations"`
	Constraints struct {
		EncryptionContextEquals map[string]string
		EncryptionContextSubset map[string]string
		SourceArn               string
	}
}

func (k *keyPlan) grants(ctx context.Context) error {
	if len(k.wanted.Grants) == 0 {
		return nil
	}
	now, err := k.presentGrants(ctx)
	if err != nil {
		return err
	}
	for i := range k.wanted.Grants {
		w := &k.wanted.Grants[i]
		is := false
		var others []string
		for _, g := range now {
			switch {
			case g.Name != w.Name:
			case !is && k.sameGrant(&g, w):
				is = true
			default:
				others = append(others, g.GrantID)
			}
		}
		k.grant(w, is, others)
	}
	return nil
}

// grant makes a grant, before those of its name that it replaces go.
func (k *keyPlan) grant(w *Grant, is bool, others []string) {
	effect := action.Creates
	if len(others) > 0 {
		effect = action.Updates
	}
	if is && len(others) == 0 {
		return
	}
	add(&k.planner.grants, effect, k.label, "grant "+w.Name, func(ctx context.Context) error {
		if !is {
			if err := k.call(ctx, "CreateGrant", k.grantRequest(w), nil); err != nil {
				return err
			}
		}
		for _, id := range others {
			if err := k.call(ctx, "RevokeGrant", map[string]any{"GrantId": id}, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

func (k *keyPlan) grantRequest(w *Grant) map[string]any {
	in := map[string]any{"Name": w.Name, "GranteePrincipal": k.courier.name(k.account, w.Grantee), "Operations": w.Operations}
	if w.Retiring != "" {
		in["RetiringPrincipal"] = k.courier.name(k.account, w.Retiring)
	}
	if len(w.Equals) > 0 {
		in["Constraints"] = map[string]any{"EncryptionContextEquals": mapOf(w.Equals)}
	}
	if len(w.Subset) > 0 {
		in["Constraints"] = map[string]any{"EncryptionContextSubset": mapOf(w.Subset)}
	}
	return in
}

func (k *keyPlan) sameGrant(g *presentGrant, w *Grant) bool {
	retiring := ""
	if w.Retiring != "" {
		retiring = k.courier.name(k.account, w.Retiring)
	}
	sorted := func(ops []api.GrantOperation) []api.GrantOperation { return slices.Sorted(slices.Values(ops)) }
	return g.Grantee == k.courier.name(k.account, w.Grantee) && g.Retiring == retiring &&
		slices.Equal(sorted(g.Operations), sorted(w.Operations)) &&
		maps.Equal(g.Constraints.EncryptionContextEquals, mapOf(w.Equals)) &&
		maps.Equal(g.Constraints.EncryptionContextSubset, mapOf(w.Subset)) && g.Constraints.SourceArn == ""
}

func mapOf(pairs []Pair) map[string]string {
	all := make(map[string]string)
	for _, p := range pairs {
		all[p.Key] = p.Value
	}
	return all
}

func (k *keyPlan) presentGrants(ctx context.Context) ([]presentGrant, error) {
	if k.fresh {
		return nil, nil
	}
	var all []presentGrant
	err := list(func(marker string) (string, error) {
		in := map[string]any{"Limit": 100}
		if marker != "" {
			in["Marker"] = marker
		}
		var page struct {
			Grants     []presentGrant
			NextMarker string
		}
		err := k.call(ctx, "ListGrants", in, &page)
		all = append(all, page.Grants...)
		return page.NextMarker, err
	})
	return all, err
}
