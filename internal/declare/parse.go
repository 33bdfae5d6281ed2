package declare

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"trent/internal/api"
	"trent/internal/arn"
	"trent/internal/crypt"
	"trent/internal/grant"
	"trent/internal/iam"
	"trent/internal/secret"
)

// version is the one that this package knows.
const version = "1"

// Names as the models of KMS and IAM have them. They are checked before anything is
// changed, so that a typing error cannot leave half a declaration applied.
var (
	accountAlias  = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{1,61}[a-z0-9])$`)
	entityName    = regexp.MustCompile(`^[\w+=,.@-]{1,128}$`)
	shortName     = regexp.MustCompile(`^[\w+=,.@-]{1,64}$`) // of users and roles
	entityPath    = regexp.MustCompile(`^(/|/[!-~]{1,510}/)$`)
	keyAlias      = regexp.MustCompile(`^alias/[a-zA-Z0-9/_-]{1,250}$`)
	grantName     = regexp.MustCompile(`^[a-zA-Z0-9:/_-]{1,256}$`)
	regionName    = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)
	uuid          = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	fixedID       = regexp.MustCompile(`^[A-Z0-9]{16,128}$`)
	principalName = regexp.MustCompile(`^(arn:[!-~]+|(user|role)/[!-~]+)$`)
	policyName    = regexp.MustCompile(`^(arn:[!-~]+|(aws:)?policy/[!-~]+)$`)
)

// Parse reads a declaration. The error tells of everything that is wrong, a line for
// each, and quotes no value.
func Parse(text []byte) (*Declaration, error) {
	top, err := document(text)
	if err != nil {
		return nil, err
	}
	r := new(reader)
	// The version comes first: what follows may mean something else in the next one.
	if top.Kind != yaml.MappingNode || len(top.Content) < 2 || top.Content[0].Value != "version" {
		return nil, fmt.Errorf("line %d: a declaration begins with version: 1", top.Line)
	}
	if top.Content[1].Value != version {
		return nil, fmt.Errorf("line %d: this is a declaration of a version that is not known: the one that is known is %s", top.Content[1].Line, version)
	}
	f := r.fields(top, "the declaration", "version", "region", "accounts")
	region := r.named(f["region"], "region", regionName, "such as eu-central-1")
	d := new(Declaration)
	seen := make(map[string]bool)
	for _, n := range r.items(f["accounts"], "accounts") {
		a := r.account(n, region)
		if a.ID != "" && seen[a.ID] {
			r.refuse(n, "account %s is there twice: put all of it into one", a.ID)
		}
		seen[a.ID] = true
		d.Accounts = append(d.Accounts, a)
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	d.fixedAt = r.fixedAt
	return d, nil
}

// named is text of a certain form.
func (r *reader) named(n *yaml.Node, what string, form *regexp.Regexp, hint string) string {
	t := r.text(n, what)
	if n != nil && n.Kind == yaml.ScalarNode && n.ShortTag() != "!!null" && !form.MatchString(t) {
		r.refuse(n, "%s is not of the form that it must have: %s", what, hint)
	}
	return t
}

// mustName is named for what must be there.
func (r *reader) mustName(in, n *yaml.Node, what string, form *regexp.Regexp, hint string) string {
	if n == nil {
		return r.required(in, n, what)
	}
	return r.named(n, what, form, hint)
}

// fixed notes that there is something that dev mode alone takes.
func (r *reader) fixed(n *yaml.Node) {
	if n != nil && (r.fixedAt == 0 || n.Line < r.fixedAt) {
		r.fixedAt = n.Line
	}
}

// once refuses a second thing of a name. IAM does not tell names apart by case.
func (r *reader) once(seen map[string]bool, n *yaml.Node, what, name string) {
	if key := strings.ToLower(name); name != "" && seen[key] {
		r.refuse(n, "%s %s is there twice: keep one", what, name)
	} else {
		seen[key] = true
	}
}

func (r *reader) account(n *yaml.Node, region string) Account {
	f := r.fields(n, "an account", "id", "name", "alias", "managedPolicies", "oidcProviders", "groups", "users", "roles", "keys")
	a := Account{
		ID:    r.required(n, f["id"], "the id of an account"),
		Name:  r.text(f["name"], "the name of an account"),
		Alias: r.named(f["alias"], "the alias of an account", accountAlias, "3 to 63 of a-z, 0-9 and -"),
	}
	if f["id"] != nil && !arn.IsAccount(a.ID) {
		r.refuse(f["id"], "the id of an account is 12 digits")
	}
	if len(a.Name) > 128 || strings.ContainsFunc(a.Name, func(c rune) bool { return c < ' ' || c > '~' }) {
		r.refuse(f["name"], "the name of an account is up to 128 printable characters of ASCII")
	}
	seen := make(map[string]bool)
	for _, p := range r.items(f["managedPolicies"], "managedPolicies") {
		a.Policies = append(a.Policies, r.managedPolicy(p))
		r.once(seen, p, "managed policy", a.Policies[len(a.Policies)-1].Name)
	}
	seen = make(map[string]bool)
	for _, p := range r.items(f["oidcProviders"], "oidcProviders") {
		a.Providers = append(a.Providers, r.provider(p))
		r.once(seen, p, "OpenID Connect provider", a.Providers[len(a.Providers)-1].URL)
	}
	a.Groups = r.entities(f["groups"], "group", entityName)
	a.Users = r.entities(f["users"], "user", shortName)
	a.Roles = r.entities(f["roles"], "role", shortName)
	r.keys(f["keys"], &a, region)
	return a
}

func (r *reader) managedPolicy(n *yaml.Node) ManagedPolicy {
	f := r.fields(n, "a managed policy", "name", "path", "description", "document")
	p := ManagedPolicy{
		Name:        r.mustName(n, f["name"], "the name of a managed policy", entityName, nameHint),
		Path:        r.named(f["path"], "a path", entityPath, pathHint),
		Description: r.text(f["description"], "a description"),
	}
	if f["document"] == nil {
		r.refuse(n, "managed policy %s has no document", p.Name)
	}
	p.Document = r.policy(f["document"], iam.IdentityPolicy, "the document of managed policy "+p.Name)
	return p
}

const (
	nameHint      = "letters, digits and _+=,.@-, up to 64 for users and roles, 128 for others"
	pathHint      = "it begins and ends with a slash"
	policyHint    = "an ARN, or policy/PATH/NAME of this account, or aws:policy/NAME of those that every account has"
	principalHint = "an ARN, or user/PATH/NAME or role/PATH/NAME of this account"
)

func (r *reader) provider(n *yaml.Node) Provider {
	f := r.fields(n, "an OpenID Connect provider", "url", "clientIds", "thumbprints")
	p := Provider{
		URL:         r.required(n, f["url"], "the url of an OpenID Connect provider"),
		ClientIDs:   r.texts(f["clientIds"], "clientIds", 100),
		Thumbprints: r.texts(f["thumbprints"], "thumbprints", 5),
	}
	if p.URL != "" && !strings.HasPrefix(p.URL, "https://") {
		r.refuse(f["url"], "the url of an OpenID Connect provider begins with https://")
	}
	return p
}

// entities reads users, groups or roles. Each kind has the fields that it has in IAM.
func (r *reader) entities(list *yaml.Node, kind string, form *regexp.Regexp) []Entity {
	known := []string{"name", "path", "policies", "attached"}
	switch kind {
	case "user":
		known = append(known, "tags", "boundary", "groups", "accessKeys", "accessKeyFile", "fixedAccessKeys")
	case "role":
		known = append(known, "tags", "boundary", "trust", "maxSession", "description")
	}
	var all []Entity
	seen := make(map[string]bool)
	for _, n := range r.items(list, kind+"s") {
		f := r.fields(n, "a "+kind, known...)
		e := Entity{
			Name: r.mustName(n, f["name"], "the name of a "+kind, form, nameHint),
			Path: r.named(f["path"], "a path", entityPath, pathHint),
		}
		r.once(seen, n, kind, e.Name)
		what := kind + " " + e.Name
		e.Tags = r.tags(f["tags"], what)
		r.permissions(f, what, &e)
		for _, g := range r.some(f["groups"], "groups of "+what, maxGroups) {
			e.Groups = append(e.Groups, r.named(g, "a group of "+what, entityName, nameHint))
		}
		if kind == "role" {
			r.role(n, f, what, &e)
		}
		r.accessKeys(f, what, &e)
		all = append(all, e)
	}
	return all
}

// What there can be of something: the quotas of IAM and KMS, and one of ours.
const (
	maxGroups    = 10
	maxAttached  = 10
	maxAliases   = 49 // beside the one that the key is known by
	maxMaterials = 64
)

func (r *reader) permissions(f map[string]*yaml.Node, what string, e *Entity) {
	if f["policies"] != nil {
		for _, p := range r.entries(f["policies"], "policies of "+what) {
			if !entityName.MatchString(p.name.Value) {
				r.refuse(p.name, "the name of a policy of %s is not of the form that it must have: %s", what, nameHint)
			}
			e.Policies = append(e.Policies, Named{p.name.Value, r.policy(p.value, iam.IdentityPolicy, "policy "+p.name.Value+" of "+what)})
		}
	}
	for _, n := range r.some(f["attached"], "attached of "+what, maxAttached) {
		e.Attached = append(e.Attached, r.named(n, "a policy attached to "+what, policyName, policyHint))
	}
	if b := f["boundary"]; b != nil {
		if e.Boundary = r.text(b, "the boundary of "+what); e.Boundary != Unbounded && !policyName.MatchString(e.Boundary) {
			r.refuse(b, "the boundary of %s is %s; or none", what, policyHint)
		}
	}
}

func (r *reader) role(n *yaml.Node, f map[string]*yaml.Node, what string, e *Entity) {
	if f["trust"] == nil {
		r.refuse(n, "%s has no trust: write the policy that says who may assume it", what)
	}
	e.Trust = r.policy(f["trust"], iam.TrustPolicy, "trust of "+what)
	e.Description = r.optional(f["description"], "the description of "+what)
	e.MaxSession = r.number(f["maxSession"], "maxSession of "+what, 3600, 43200)
}

func (r *reader) accessKeys(f map[string]*yaml.Node, what string, e *Entity) {
	e.AccessKeys = r.number(f["accessKeys"], "accessKeys of "+what, 0, 2)
	e.AccessKeyFile = r.text(f["accessKeyFile"], "accessKeyFile of "+what)
	if e.AccessKeys > 0 && e.AccessKeyFile == "" {
		r.refuse(f["accessKeys"], "%s is to have access keys, and no accessKeyFile: name the file that their secrets are written to", what)
	}
	r.fixed(f["fixedAccessKeys"])
	seen := make(map[string]bool)
	for _, n := range r.items(f["fixedAccessKeys"], "fixedAccessKeys of "+what) {
		k := r.fields(n, "a fixed access key", "id", "secret")
		id := r.mustName(n, k["id"], "the id of a fixed access key", fixedID, "16 to 128 of A-Z and 0-9")
		chosen := r.required(n, k["secret"], "the secret of a fixed access key")
		if k["secret"] != nil && (len(chosen) < 16 || len(chosen) > 128) {
			r.refuse(k["secret"], "the secret of a fixed access key has 16 to 128 characters")
		}
		r.once(seen, n, "fixed access key", id)
		e.Fixed = append(e.Fixed, FixedAccessKey{id, secret.New([]byte(chosen))})
	}
	if len(e.Fixed) > 2 || len(e.Fixed) > 0 && e.AccessKeys > 0 {
		r.refuse(f["fixedAccessKeys"], "%s has more access keys than a user can have, or both fixed ones and others: two of one kind are the most", what)
	}
}

// tags reads tags, which the models bound.
func (r *reader) tags(n *yaml.Node, what string) []Pair {
	all := r.pairs(n, "tags of "+what)
	seen := make(map[string]bool)
	for _, t := range all {
		key := strings.ToLower(t.Key)
		switch {
		case len(t.Key) == 0 || len(t.Key) > 128 || len(t.Value) > 256:
			r.refuse(n, "a tag of %s is too long: a key has 1 to 128 characters, a value up to 256", what)
		case strings.HasPrefix(key, "aws:"):
			r.refuse(n, "a tag of %s begins with aws:, which is reserved", what)
		case seen[key]:
			r.refuse(n, "a tag of %s is there twice, in another case: keep one", what)
		}
		seen[key] = true
	}
	if len(all) > 50 {
		r.refuse(n, "%s has more than 50 tags", what)
	}
	return all
}

func (r *reader) keys(list *yaml.Node, a *Account, region string) {
	seen := make(map[string]bool)
	for _, n := range r.items(list, "keys") {
		k := r.key(n, region)
		for _, name := range append([]string{k.Alias, k.ID}, k.Aliases...) {
			if name == "" {
				continue
			}
			if at := k.Region + " " + name; seen[at] {
				r.refuse(n, "%s is of two keys: keep one", name)
			} else {
				seen[at] = true
			}
		}
		a.Keys = append(a.Keys, k)
	}
}

const aliasHint = "alias/ and 1 to 250 of a-z, A-Z, 0-9, /, _ and -"

func (r *reader) key(n *yaml.Node, region string) Key {
	f := r.fields(n, "a key", "alias", "aliases", "region", "description", "policy", "tags", "enabled", "grants", "id", "materials")
	k := Key{
		ID:          r.named(f["id"], "a fixed key id", uuid, "a UUID in lower case"),
		Alias:       r.named(f["alias"], "an alias", keyAlias, aliasHint),
		Region:      r.named(f["region"], "region", regionName, "such as eu-central-1"),
		Description: r.optional(f["description"], "the description of a key"),
		Enabled:     r.flag(f["enabled"], "enabled"),
	}
	for _, name := range append([]string{k.Alias}, r.aliases(f["aliases"], &k)...) {
		if strings.HasPrefix(name, "alias/aws/") {
			r.refuse(n, "%s belongs to the service: take a name that does not begin with alias/aws/", name)
		}
	}
	what := "key " + k.name()
	if k.name() == "" {
		what = "a key"
	}
	if k.Alias == "" && k.ID == "" {
		r.refuse(n, "a key has no alias: it is known by it, so write one")
	}
	if k.Region == "" {
		if k.Region = region; region == "" {
			r.refuse(n, "%s has no region: write one here, or one for all keys at the top", what)
		}
	}
	if k.Description != nil && len(*k.Description) > 8192 {
		r.refuse(f["description"], "the description of %s has more than 8192 characters", what)
	}
	k.Policy = r.policy(f["policy"], iam.KeyPolicy, "the policy of "+what)
	k.Tags = r.tags(f["tags"], what)
	seen := make(map[string]bool)
	for _, item := range r.items(f["grants"], "grants of "+what) {
		g := r.grant(item, what)
		if seen[g.Name] {
			r.refuse(item, "%s has two grants %s: keep one", what, g.Name)
		}
		seen[g.Name] = true
		k.Grants = append(k.Grants, g)
	}
	r.materials(n, f, what, &k)
	return k
}

func (r *reader) aliases(list *yaml.Node, k *Key) []string {
	for _, item := range r.some(list, "aliases", maxAliases) {
		k.Aliases = append(k.Aliases, r.named(item, "an alias", keyAlias, aliasHint))
	}
	return k.Aliases
}

func (r *reader) materials(n *yaml.Node, f map[string]*yaml.Node, what string, k *Key) {
	r.fixed(f["id"])
	r.fixed(f["materials"])
	if (f["id"] == nil) != (f["materials"] == nil) {
		r.refuse(n, "%s has a fixed id or fixed materials, and not the other: write both, or neither", what)
	}
	for _, item := range r.some(f["materials"], "materials of "+what, maxMaterials) {
		b, err := base64.StdEncoding.Strict().DecodeString(r.text(item, "a material of "+what))
		if err != nil || len(b) != crypt.SymmetricSize {
			r.refuse(item, "a material of %s is to be base64 of %d bytes", what, crypt.SymmetricSize)
		}
		k.Materials = append(k.Materials, secret.New(b))
	}
	if m := f["materials"]; m != nil && len(k.Materials) == 0 {
		r.refuse(n, "%s is to have a material", what)
	}
}

func (r *reader) grant(n *yaml.Node, of string) Grant {
	f := r.fields(n, "a grant", "name", "grantee", "retiring", "operations", "constraint")
	g := Grant{
		Name:     r.mustName(n, f["name"], "the name of a grant", grantName, "1 to 256 of a-z, A-Z, 0-9, :, /, _ and -"),
		Grantee:  r.mustName(n, f["grantee"], "the grantee of a grant of "+of, principalName, principalHint),
		Retiring: r.named(f["retiring"], "retiring of a grant of "+of, principalName, principalHint),
	}
	what := "grant " + g.Name + " of " + of
	for _, op := range r.texts(f["operations"], "operations of "+what, 32) {
		g.Operations = append(g.Operations, api.GrantOperation(op))
	}
	if set, ok := grant.OperationsOf(g.Operations...); !ok || set == 0 {
		r.refuse(n, "%s wants operations that a grant can give, such as Decrypt and GenerateDataKey", what)
	}
	if c := f["constraint"]; c != nil {
		cf := r.fields(c, "the constraint of "+what, "encryptionContextEquals", "encryptionContextSubset")
		g.Equals = r.pairs(cf["encryptionContextEquals"], "encryptionContextEquals of "+what)
		g.Subset = r.pairs(cf["encryptionContextSubset"], "encryptionContextSubset of "+what)
		if (len(g.Equals) > 0) == (len(g.Subset) > 0) {
			r.refuse(c, "the constraint of %s has either encryptionContextEquals or encryptionContextSubset, with one pair at least", what)
		}
	}
	return g
}

// name is what plans call the key: its alias, or its id.
func (k *Key) name() string {
	if k.Alias != "" {
		return k.Alias
	}
	return k.ID
}
