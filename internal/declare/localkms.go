package declare

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"trent/internal/arn"
	"trent/internal/crypt"
)

// FromLocalKMS makes a declaration of a seed file of local-kms: symmetric keys with
// their ids, materials and aliases, in one account and Region. It gives the text, and
// names what it had to leave out: kinds of keys that are not there yet.
//
// Names that the seed has and this does not know are passed over: the format is not
// ours to be strict about. What is known must be well-formed.
func FromLocalKMS(text []byte, account, region string) (declaration []byte, skipped []string, err error) {
	if !arn.IsAccount(account) || !regionName.MatchString(region) {
		return nil, nil, fmt.Errorf("the account is 12 digits, and the Region such as eu-west-2")
	}
	top, err := document(text)
	if err != nil {
		return nil, nil, err
	}
	s := &seed{reader: new(reader), byID: make(map[string]*yaml.Node)}
	s.read(top)
	if err := s.err(); err != nil {
		return nil, nil, err
	}
	declaration, err = yaml.Marshal(mapping(
		"version", integer(version),
		"region", scalar(region),
		"accounts", sequence(mapping("id", scalar(account), "keys", sequence(s.keys...))),
	))
	return declaration, s.skipped, err
}

// seed is a seed file on its way to a declaration.
type seed struct {
	*reader
	keys    []*yaml.Node
	byID    map[string]*yaml.Node
	skipped []string
}

func (s *seed) skip(format string, args ...any) {
	s.skipped = append(s.skipped, fmt.Sprintf(format, args...))
}

// loose reads a mapping of which some names are not ours to know.
func (s *seed) loose(n *yaml.Node, what string) map[string]*yaml.Node {
	got := make(map[string]*yaml.Node)
	if n == nil {
		return got
	}
	for _, f := range s.entries(n, what) {
		got[f.name.Value] = f.value
	}
	return got
}

func (s *seed) read(top *yaml.Node) {
	f := s.loose(top, "the seed file")
	if f["Keys"] != nil && f["Keys"].Kind == yaml.SequenceNode {
		s.refuse(f["Keys"], "this is a seed of version 2 of the format, which is not known here: Keys is to have Symmetric and Asymmetric")
		return
	}
	keys := s.loose(f["Keys"], "Keys")
	for _, n := range s.items(s.loose(keys["Symmetric"], "Symmetric")["Aes"], "Aes") {
		s.aes(n)
	}
	for _, family := range []struct{ in, name, why string }{
		{"Symmetric", "Hmac", "HMAC keys are not supported by this version of Trent"},
		{"Asymmetric", "Rsa", "RSA keys are not supported by this version of Trent"},
		{"Asymmetric", "Ecc", "ECC keys are not supported by this version of Trent"},
	} {
		for _, n := range s.items(s.loose(keys[family.in], family.in)[family.name], family.name) {
			meta := s.loose(s.loose(n, "a key")["Metadata"], "Metadata")
			s.skip("key %s: %s", s.text(meta["KeyId"], "KeyId"), family.why)
		}
	}
	for _, n := range s.items(f["Aliases"], "Aliases") {
		s.alias(n)
	}
}

func (s *seed) aes(n *yaml.Node) {
	f := s.loose(n, "a key")
	meta := s.loose(f["Metadata"], "Metadata")
	id := strings.ToLower(s.required(n, meta["KeyId"], "KeyId"))
	origin := s.text(meta["Origin"], "Origin")
	switch {
	case id == "" || s.byID[id] != nil:
		s.refuse(n, "KeyId is missing, or of two keys")
		return
	case origin != "" && origin != "AWS_KMS":
		s.skip("key %s: Origin %s is not supported by this version of Trent", id, shown(origin))
		return
	case !uuid.MatchString(id):
		s.skip("key %s: a key id is a UUID here", shown(id))
		return
	}
	if f["NextKeyRotation"] != nil {
		s.skip("rotation of key %s: the key is taken, and is not rotated by date", id)
	}
	var materials []*yaml.Node
	for _, item := range s.items(f["BackingKeys"], "BackingKeys") {
		raw, err := hex.DecodeString(s.text(item, "a backing key"))
		if err != nil || len(raw) != crypt.SymmetricSize {
			s.refuse(item, "a backing key is %d bytes as hexadecimal digits", crypt.SymmetricSize)
			continue
		}
		materials = append(materials, scalar(base64.StdEncoding.EncodeToString(raw)))
	}
	if len(materials) == 0 {
		s.refuse(n, "a key has no BackingKeys")
	}
	k := mapping("id", scalar(id))
	if d := s.text(meta["Description"], "Description"); d != "" {
		put(k, "description", scalar(d))
	}
	put(k, "materials", sequence(materials...))
	s.byID[id] = k
	s.keys = append(s.keys, k)
}

// alias gives an alias to its key: the first is the one that the key is known by.
func (s *seed) alias(n *yaml.Node) {
	f := s.loose(n, "an alias")
	name := s.required(n, f["AliasName"], "AliasName")
	target := strings.ToLower(s.required(n, f["TargetKeyId"], "TargetKeyId"))
	if at := strings.LastIndexByte(target, '/'); at >= 0 {
		target = target[at+1:] // an ARN
	}
	k := s.byID[target]
	switch {
	case k == nil:
		s.skip("alias %s: its key is not taken", shown(name))
	case valueOf(k, "alias") == nil:
		put(k, "alias", scalar(name))
	case valueOf(k, "aliases") == nil:
		put(k, "aliases", sequence(scalar(name)))
	default:
		list := valueOf(k, "aliases")
		list.Content = append(list.Content, scalar(name))
	}
}

func scalar(text string) *yaml.Node {
	n := new(yaml.Node)
	n.SetString(text)
	n.Style = yaml.DoubleQuotedStyle
	return n
}

func integer(text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: text}
}

func sequence(items ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: items}
}

// mapping makes a mapping of names and nodes in turn.
func mapping(pairs ...any) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for i := 0; i+1 < len(pairs); i += 2 {
		put(n, pairs[i].(string), pairs[i+1].(*yaml.Node))
	}
	return n
}

func put(to *yaml.Node, name string, value *yaml.Node) {
	n := new(yaml.Node)
	n.SetString(name)
	to.Content = append(to.Content, n, value)
}

func valueOf(in *yaml.Node, name string) *yaml.Node {
	for i := 0; i+1 < len(in.Content); i += 2 {
		if in.Content[i].Value == name {
			return in.Content[i+1]
		}
	}
	return nil
}
