// Package pkcs11 is the root of trust that is a key in a hardware security module. The
// vendor's code runs in a helper process (cmd/trent-pkcs11), one for each call, which it
// may take down without harm to the server. docs/spec/pkcs11-root.md has the format.
package pkcs11

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"trent/internal/root"
	"trent/internal/root/kek"
	"trent/internal/secret"
)

// Helper is the name of the helper program, which lies beside trent.
const Helper = "trent-pkcs11"

// version is the first byte of a wrapping; nonce(12) ‖ ciphertext(32) ‖ tag(16) follow.
const version = 1

const blobSize = 1 + root.KeySize + kek.Overhead

// callTimeout bounds one call of the helper.
const callTimeout = 15 * time.Second

// maxPIN and maxReply bound what is read, in bytes.
const (
	maxPIN   = 256
	maxReply = 64 << 10
)

// Root implements root.Root.
type Root struct {
	id     string
	helper string
	base   Request
	pin    string // the file of the PIN
}

// Open finds the key at pkcs11:token=LABEL;object=LABEL?module-path=FILE&pin-source=FILE, the form of RFC
// 7512. helper= names the helper program if it does not lie beside trent.
func Open(ctx context.Context, l root.Locator) (*Root, error) { return find(ctx, l, "find") }

// Create is Open, and makes the key in the token if there is none of that label.
func Create(ctx context.Context, l root.Locator) (*Root, error) { return find(ctx, l, "create") }

func find(ctx context.Context, l root.Locator, operation string) (*Root, error) {
	r, err := parse(l)
	if err != nil {
		return nil, fmt.Errorf("root of trust %s: %w", l, err)
	}
	found, err := r.call(ctx, Request{Operation: operation})
	if err != nil {
		return nil, err
	}
	r.id = "pkcs11:" + kek.Name("trent pkcs11 id v1", found)
	return r, nil
}

func parse(l root.Locator) (*Root, error) {
	if err := l.Only("module-path", "pin-source", "helper"); err != nil {
		return nil, err
	}
	r := &Root{helper: l.Settings.Get("helper"), pin: strings.TrimPrefix(l.Settings.Get("pin-source"), "file:")}
	r.base.Module = l.Settings.Get("module-path")
	for _, part := range strings.Split(l.Place, ";") {
		switch name, value, _ := strings.Cut(part, "="); name {
		case "token":
			r.base.Token = value
		case "object":
			r.base.Object = value
		default:
			return nil, fmt.Errorf("of a PKCS #11 URI the parts token and object are known, not %.40q", name)
		}
	}
	if r.base.Token == "" || r.base.Object == "" || !filepath.IsAbs(r.base.Module) || r.pin == "" {
		return nil, errors.New("write pkcs11:token=LABEL;object=LABEL?module-path=/FILE&pin-source=FILE")
	}
	if r.helper == "" {
		own, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find the helper program: %w", err)
		}
		r.helper = filepath.Join(filepath.Dir(own), Helper)
	}
	return r, nil
}

// ID implements root.Root.
func (r *Root) ID() string { return r.id }

// Wrap implements root.Root.
func (r *Root) Wrap(ctx context.Context, key secret.Bytes, aad []byte) ([]byte, error) {
	out, err := r.call(ctx, Request{Operation: "encrypt", Data: key.Expose(), AAD: bound(aad)})
	if err == nil && len(out) != blobSize-1 {
		err = fmt.Errorf("%s answered %d bytes: %w", r.base.Module, len(out), root.ErrUnavailable)
	}
	if err != nil {
		return nil, err
	}
	return append([]byte{version}, out...), nil
}

// Unwrap implements root.Root.
func (r *Root) Unwrap(ctx context.Context, blob, aad []byte) (secret.Bytes, error) {
	if len(blob) != blobSize || blob[0] != version {
		return secret.Bytes{}, root.ErrBadData
	}
	key, err := r.call(ctx, Request{Operation: "decrypt", Data: blob[1:], AAD: bound(aad)})
	if err != nil {
		return secret.Bytes{}, err
	}
	return secret.New(key), nil
}

func bound(aad []byte) []byte { return append([]byte{version}, aad...) }

// call runs the helper for one request.
func (r *Root) call(ctx context.Context, q Request) ([]byte, error) {
	pin, err := r.readPIN()
	if err != nil {
		return nil, err
	}
	q.Module, q.Token, q.Object, q.PIN = r.base.Module, r.base.Token, r.base.Object, pin
	in, err := json.Marshal(q)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", Helper, err)
	}
	defer clear(in)
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	c := exec.CommandContext(ctx, r.helper)
	c.Stdin, c.WaitDelay = bytes.NewReader(in), time.Second
	out, err := c.Output()
	var answer Reply
	if err == nil && len(out) > maxReply {
		err = errors.New("its answer is too long")
	}
	if err == nil {
		err = json.Unmarshal(out, &answer)
	}
	if err != nil {
		return nil, fmt.Errorf("the PKCS #11 helper %s failed: %w: %w", r.helper, root.ErrUnavailable, err)
	}
	return answer.Data, answer.error(r.base.Module)
}

func (r *Root) readPIN() (string, error) {
	f, err := os.Open(r.pin)
	if err != nil {
		return "", fmt.Errorf("read the PIN of the token: %w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("the PIN file %s can be read by others: run chmod 600 on it", r.pin)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxPIN))
	if err != nil {
		return "", fmt.Errorf("read the PIN of the token: %w", err)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}
