package declare

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"trent/internal/action"
)

// A kind is one of users, groups and roles. IAM names its operations after them.
type kind struct{ word, noun string }

func (k kind) name() string { return k.noun + "Name" }

// present is an entity as it is.
type present struct {
	Path        string
	Description string
	MaxSession  int    `xml:"MaxSessionDuration"`
	Trust       string `xml:"AssumeRolePolicyDocument"`
	Boundary    string `xml:"PermissionsBoundary>PermissionsBoundaryArn"`
	Tags        []Pair `xml:"Tags>member"`
}

func (p *planner) entities(ctx context.Context, a *Account, fresh bool) error {
	for _, of := range []struct {
		kind  kind
		all   []Entity
		phase *[]step
	}{
		{kind{"group", "Group"}, a.Groups, &p.groups},
		{kind{"role", "Role"}, a.Roles, &p.roles},
		{kind{"user", "User"}, a.Users, &p.users},
	} {
		for i := range of.all {
			e := entity{planner: p, kind: of.kind, account: a.ID, wanted: &of.all[i], phase: of.phase}
			e.label = of.kind.word + " " + a.label() + "/" + e.wanted.Name
			if err := e.plan(ctx, fresh); err != nil {
				return fmt.Errorf("%s %s: %w", of.kind.word, e.wanted.Name, err)
			}
		}
	}
	return nil
}

// entity plans one user, group or role.
type entity struct {
	*planner
	kind           kind
	account, label string
	wanted         *Entity
	phase          *[]step
	fresh          bool
	now            present
}

func (e *entity) plan(ctx context.Context, fresh bool) error {
	e.fresh = fresh
	if !fresh {
		var got result[struct {
			User, Group, Role *present
		}]
		err := e.iam(ctx, e.account, "Get"+e.kind.noun, &got, e.kind.name(), e.wanted.Name)
		switch {
		case refusedAs(err, "NoSuchEntity"):
			e.fresh = true
		case err != nil:
			return err
		}
		for _, is := range []*present{got.Is.User, got.Is.Group, got.Is.Role} {
			if is != nil {
				e.now = *is
			}
		}
	}
	if e.fresh {
		e.create()
	} else if err := e.change(); err != nil {
		return err
	}
	for _, part := range []func(context.Context) error{e.groups, e.inline, e.attached, e.accessKeys, e.fixedKeys} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// note is add for this entity, with one request.
func (e *entity) note(phase *[]step, effect action.Effect, aspect, operation string, pairs ...string) {
	add(phase, effect, e.label, aspect, func(ctx context.Context) error {
		return e.iam(ctx, e.account, operation, nil, append(pairs, e.kind.name(), e.wanted.Name)...)
	})
}

// nobody is the trust of a role whose own may name somebody who has yet to be made.
const nobody = `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":"sts:AssumeRole"}}`

// create makes the entity with its boundary: it never is without.
func (e *entity) create() {
	w := e.wanted
	pairs := given("Path", w.Path)
	if w.Boundary != "" && w.Boundary != Unbounded {
		pairs = append(pairs, "PermissionsBoundary", e.courier.name(e.account, w.Boundary))
	}
	pairs = append(pairs, tagPairs(w.Tags)...)
	if e.kind.word == "role" {
		trust := w.Trust
		if namesPrincipals(trust) {
			trust = nobody
			e.putTrust(action.Updates)
		}
		pairs = append(pairs, "AssumeRolePolicyDocument", trust)
		if w.Description != nil {
			pairs = append(pairs, given("Description", *w.Description)...)
		}
		if w.MaxSession > 0 {
			pairs = append(pairs, "MaxSessionDuration", strconv.Itoa(w.MaxSession))
		}
	}
	e.note(e.phase, action.Creates, "", "Create"+e.kind.noun, pairs...)
}

func (e *entity) putTrust(effect action.Effect) {
	e.note(&e.trusts, effect, "trust", "UpdateAssumeRolePolicy", "PolicyDocument", e.wanted.Trust)
}

// change alters what an entity has of its own. The boundary is set before the
// policies that it is to bound.
func (e *entity) change() error {
	w := e.wanted
	if w.Path != "" && w.Path != e.now.Path {
		if e.kind.word == "role" {
			return fmt.Errorf("it is there under the path %s, which cannot be changed: say so in the declaration, or delete it", e.now.Path)
		}
		e.note(e.phase, action.Updates, "path", "Update"+e.kind.noun, "NewPath", w.Path)
	}
	e.changeBoundary()
	e.changeTags()
	if e.kind.word != "role" {
		return nil
	}
	if w.Description != nil && *w.Description != e.now.Description {
		e.note(e.phase, action.Updates, "description", "UpdateRole", "Description", *w.Description)
	}
	if w.MaxSession > 0 && w.MaxSession != e.now.MaxSession {
		e.note(e.phase, action.Updates, "maxSession", "UpdateRole", "MaxSessionDuration", strconv.Itoa(w.MaxSession))
	}
	if !sameDocument(plain(e.now.Trust), w.Trust) {
		e.putTrust(action.Updates)
	}
	return nil
}

func (e *entity) changeBoundary() {
	wanted := e.wanted.Boundary
	switch {
	case wanted == "":
	case wanted == Unbounded && e.now.Boundary != "":
		e.note(e.phase, action.Removes, "boundary", "Delete"+e.kind.noun+"PermissionsBoundary")
	case wanted == Unbounded:
	default:
		if arn := e.courier.name(e.account, wanted); arn != e.now.Boundary {
			e.note(e.phase, action.Updates, "boundary", "Put"+e.kind.noun+"PermissionsBoundary", "PermissionsBoundary", arn)
		}
	}
}

func (e *entity) changeTags() {
	if e.kind.word == "group" { // has none
		return
	}
	set, gone := tagDifference(e.now.Tags, e.wanted.Tags, strings.EqualFold)
	// First what goes: there may be room for no more.
	if len(gone) > 0 {
		e.note(e.phase, action.Removes, "tags "+strings.Join(gone, ", "), "Untag"+e.kind.noun, members("TagKeys", gone)...)
	}
	if len(set) > 0 {
		e.note(e.phase, action.Updates, "tags "+tagKeys(set), "Tag"+e.kind.noun, tagPairs(set)...)
	}
}

// tagDifference is what must be set, and the keys that must go.
func tagDifference(now, wanted []Pair, same func(a, b string) bool) (set []Pair, gone []string) {
	find := func(all []Pair, key string) (string, bool) {
		for _, t := range all {
			if same(t.Key, key) {
				return t.Value, true
			}
		}
		return "", false
	}
	for _, t := range wanted {
		if v, ok := find(now, t.Key); !ok || v != t.Value {
			set = append(set, t)
		}
	}
	for _, t := range now {
		if _, ok := find(wanted, t.Key); !ok {
			gone = append(gone, t.Key)
		}
	}
	slices.Sort(gone)
	return set, gone
}

func tagKeys(tags []Pair) string {
	var keys []string
	for _, t := range tags {
		keys = append(keys, t.Key)
	}
	return strings.Join(keys, ", ")
}

func tagPairs(tags []Pair) []string {
	var pairs []string
	for i, t := range tags {
		pairs = append(pairs, fmt.Sprintf("Tags.member.%d.Key", i+1), t.Key, fmt.Sprintf("Tags.member.%d.Value", i+1), t.Value)
	}
	return pairs
}

// names reads a list of IAM about this entity.
func (e *entity) names(ctx context.Context, operation string, of func(*listed) []string) ([]string, error) {
	if e.fresh {
		return nil, nil
	}
	var all []string
	err := list(func(marker string) (string, error) {
		var page result[listed]
		err := e.iam(ctx, e.account, operation, &page, given(e.kind.name(), e.wanted.Name, "Marker", marker, "MaxItems", "1000")...)
		all = append(all, of(&page.Is)...)
		return page.Is.Marker, err
	})
	return all, err
}

// listed is what the lists about an entity hold.
type listed struct {
	Inline   []string `xml:"PolicyNames>member"`
	Attached []string `xml:"AttachedPolicies>member>PolicyArn"`
	Groups   []string `xml:"Groups>member>GroupName"`
	Keys     []string `xml:"AccessKeyMetadata>member>AccessKeyId"`
	Marker   string
}

func (e *entity) groups(ctx context.Context) error {
	if e.kind.word != "user" {
		return nil
	}
	now, err := e.names(ctx, "ListGroupsForUser", func(l *listed) []string { return l.Groups })
	if err != nil {
		return err
	}
	in := func(all []string, name string) bool {
		return slices.ContainsFunc(all, func(other string) bool { return strings.EqualFold(other, name) })
	}
	for _, g := range now {
		if !in(e.wanted.Groups, g) {
			e.note(e.phase, action.Removes, "group "+g, "RemoveUserFromGroup", "GroupName", g)
		}
	}
	for _, g := range e.wanted.Groups {
		if !in(now, g) {
			e.note(e.phase, action.Creates, "group "+g, "AddUserToGroup", "GroupName", g)
		}
	}
	return nil
}

func (e *entity) inline(ctx context.Context) error {
	now, err := e.names(ctx, "List"+e.kind.noun+"Policies", func(l *listed) []string { return l.Inline })
	if err != nil {
		return err
	}
	for _, name := range now {
		if !slices.ContainsFunc(e.wanted.Policies, func(w Named) bool { return w.Name == name }) {
			e.note(e.phase, action.Removes, "policy "+name, "Delete"+e.kind.noun+"Policy", "PolicyName", name)
		}
	}
	for _, w := range e.wanted.Policies {
		effect := action.Creates
		if slices.Contains(now, w.Name) {
			var text result[struct{ PolicyDocument string }]
			if err := e.iam(ctx, e.account, "Get"+e.kind.noun+"Policy", &text, e.kind.name(), e.wanted.Name, "PolicyName", w.Name); err != nil {
				return err
			}
			if sameDocument(plain(text.Is.PolicyDocument), w.Document) {
				continue
			}
			effect = action.Updates
		}
		e.note(e.phase, effect, "policy "+w.Name, "Put"+e.kind.noun+"Policy", "PolicyName", w.Name, "PolicyDocument", w.Document)
	}
	return nil
}

func (e *entity) attached(ctx context.Context) error {
	now, err := e.names(ctx, "ListAttached"+e.kind.noun+"Policies", func(l *listed) []string { return l.Attached })
	if err != nil {
		return err
	}
	var wanted []string
	for _, short := range e.wanted.Attached {
		if arn := e.courier.name(e.account, short); !slices.Contains(wanted, arn) {
			wanted = append(wanted, arn)
		}
	}
	for _, arn := range missing(now, wanted) {
		e.note(e.phase, action.Removes, "attached "+arn, "Detach"+e.kind.noun+"Policy", "PolicyArn", arn)
	}
	for _, arn := range missing(wanted, now) {
		e.note(e.phase, action.Creates, "attached "+arn, "Attach"+e.kind.noun+"Policy", "PolicyArn", arn)
	}
	return nil
}
