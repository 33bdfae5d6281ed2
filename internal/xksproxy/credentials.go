package xksproxy

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"trent/internal/iam"
	"trent/internal/secret"
	"trent/internal/sigv4"
)

// A Credential is what a client of the proxy signs with, as CreateCustomKeyStore wants it.
type Credential struct {
	AccessKeyID string `json:"AccessKeyId"`        // 20 to 30 characters, A to Z and 2 to 7
	Secret      string `json:"RawSecretAccessKey"` // 43 to 64 characters of base64
}

// Format implements fmt.Formatter: the secret is only ever written by FormatCredentials, or as JSON on purpose.
func (c Credential) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "credential %s", c.AccessKeyID) }

// maxCredentials are good at once: the one in use, the one that takes its place, and a few to spare.
const maxCredentials = 8

// NewCredential draws a credential with a secret of 256 bits.
func NewCredential() Credential {
	b := make([]byte, 15+32)
	rand.Read(b)
	return Credential{base32.StdEncoding.EncodeToString(b[:15]), base64.RawStdEncoding.EncodeToString(b[15:])}
}

// check never shows the secret.
func (c *Credential) check() error {
	switch {
	case len(c.AccessKeyID) < 20 || len(c.AccessKeyID) > 30 || strings.Trim(c.AccessKeyID, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "":
		return fmt.Errorf("the AccessKeyId %q does not have 20 to 30 characters, A to Z and 2 to 7", c.AccessKeyID)
	case len(c.Secret) < 43 || len(c.Secret) > 64 || strings.Trim(c.Secret, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/+=") != "":
		return fmt.Errorf("the RawSecretAccessKey of %s does not have 43 to 64 characters of base64", c.AccessKeyID)
	}
	return nil
}

// ParseCredentials reads the content of a credentials file: a JSON array of credentials.
func ParseCredentials(content []byte) ([]Credential, error) {
	var list []Credential
	if err := json.Unmarshal(content, &list, json.RejectUnknownMembers(true)); err != nil {
		return nil, errors.New(`want a JSON array of {"AccessKeyId": …, "RawSecretAccessKey": …}`)
	}
	if len(list) == 0 || len(list) > maxCredentials {
		return nil, fmt.Errorf("there are %d credentials; want 1 to %d", len(list), maxCredentials)
	}
	seen := make(map[string]bool)
	for i := range list {
		if err := list[i].check(); err != nil {
			return nil, err
		}
		if seen[list[i].AccessKeyID] {
			return nil, fmt.Errorf("the AccessKeyId %s is there twice", list[i].AccessKeyID)
		}
		seen[list[i].AccessKeyID] = true
	}
	return list, nil
}

// FormatCredentials is the content of a credentials file.
func FormatCredentials(list []Credential) ([]byte, error) {
	b, err := json.Marshal(list, jsontext.WithIndent("  "))
	return append(b, '\n'), err
}

// Credentials are those of a file, which is read again when it has changed: a new one is added to it, then
// given to the client, and then the old one taken out. It implements sigv4.Keys.
type Credentials struct {
	path string
	log  *slog.Logger

	mu      sync.Mutex
	looked  time.Time
	content []byte // of the file, when it was last good
	keys    map[string]sigv4.Credential
	version uint64
}

// reread is how often the file is looked at.
const reread = time.Second

// OpenCredentials reads a credentials file. Nobody but its owner may have access to it.
func OpenCredentials(path string, log *slog.Logger) (*Credentials, error) {
	c := &Credentials{path: path, log: log, looked: time.Now()}
	return c, c.load()
}

// Credential implements sigv4.Keys.
func (c *Credentials) Credential(_ context.Context, accessKeyID, token string) (sigv4.Credential, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.looked) >= reread {
		c.looked = now
		if err := c.load(); err != nil {
			c.log.Error("the credentials file cannot be used; those it had stay good", "error", err)
		}
	}
	cred, ok := c.keys[accessKeyID]
	if !ok || token != "" {
		return sigv4.Credential{}, sigv4.ErrUnknownKey
	}
	return cred, nil
}

// load reads the file, and leaves what there is where it cannot.
func (c *Credentials) load() error {
	info, err := os.Stat(c.path)
	if err != nil {
		return fmt.Errorf("the credentials file: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("the credentials file %s may be read by others than its owner: chmod 600 %s", c.path, c.path)
	}
	content, err := os.ReadFile(c.path)
	if err != nil {
		return fmt.Errorf("the credentials file: %w", err)
	}
	if c.keys != nil && bytes.Equal(content, c.content) {
		return nil
	}
	list, err := ParseCredentials(content)
	if err != nil {
		return fmt.Errorf("the credentials file %s: %w", c.path, err)
	}
	c.version++ // what was derived from a secret that has changed is of no use any more
	keys := make(map[string]sigv4.Credential, len(list))
	for _, cred := range list {
		keys[cred.AccessKeyID] = sigv4.Credential{
			Secret: secret.New([]byte(cred.Secret)), Revision: c.version, Principal: &iam.Principal{AccessKeyID: cred.AccessKeyID},
		}
	}
	c.keys, c.content = keys, content
	return nil
}
