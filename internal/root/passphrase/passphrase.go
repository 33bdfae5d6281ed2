// Package passphrase is the root of trust that a person knows. A key is derived from
// the passphrase by Argon2id, or by PBKDF2 in FIPS mode, anew for every wrapping.
// docs/spec/passphrase-root.md has the format.
package passphrase

import (
	"context"
	"crypto/fips140"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"trent/internal/root"
	"trent/internal/root/kek"
	"trent/internal/secret"
)

// MinLength is how long a new passphrase must be, in characters, and MaxLength how
// long any may be, in bytes.
const (
	MinLength = 14
	MaxLength = 1024
)

// The layout of a wrapping, version 1, in bytes: version(1) ‖ function(1) ‖ cost(4)
// ‖ salt(16) ‖ GCM nonce(12) ‖ root key(32) ‖ GCM tag(16). What comes before the
// nonce is part of the associated data.
const (
	version    = 1
	saltSize   = 16
	headerSize = 1 + 1 + 4 + saltSize
	blobSize   = headerSize + root.KeySize + kek.Overhead
)

// Functions.
const (
	argon2id     = 1
	pbkdf2SHA256 = 2
)

// Cost is what a derivation costs whoever tries passphrases. A wrapping carries it, so
// that it may be raised for later ones.
type Cost struct {
	Memory uint8 // Argon2id: 2^Memory KiB
	Passes uint8 // Argon2id
	Lanes  uint8 // Argon2id

	Iterations uint32 // PBKDF2-HMAC-SHA-256
}

// DefaultCost is the second recommended option of RFC 9106, section 4 (64 MiB, 3
// passes, 4 lanes), and 600,000 iterations of PBKDF2.
func DefaultCost() Cost { return Cost{Memory: 16, Passes: 3, Lanes: 4, Iterations: 600_000} }

// Bounds of what is read from a store, which could else make a start take all memory
// or for ever; and which could else make a passphrase cheap to try.
const (
	minMemory, maxMemory         = 13, 20 // 8 MiB to 1 GiB
	maxPasses, maxLanes          = 16, 16
	minIterations, maxIterations = 100_000, 10_000_000
)

var goodName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// Root implements root.Root.
type Root struct {
	name   string
	phrase secret.Bytes
	cost   Cost
}

// New is the root of trust of a passphrase. The name tells it from others of the
// same store.
func New(name string, phrase secret.Bytes, cost Cost) (*Root, error) {
	if !goodName.MatchString(name) {
		return nil, fmt.Errorf("the name %.40q of a passphrase is not 1 to 32 lower-case letters, digits and hyphens", name)
	}
	if phrase.Len() == 0 || phrase.Len() > MaxLength {
		return nil, fmt.Errorf("a passphrase has 1 to %d bytes, this one has %d", MaxLength, phrase.Len())
	}
	return &Root{name, phrase, cost}, nil
}

// CheckNew refuses a passphrase that is too short to begin to use.
func CheckNew(phrase secret.Bytes) error {
	if n := utf8.RuneCount(phrase.Expose()); n < MinLength {
		return fmt.Errorf("the passphrase has %d characters, and needs %d: whoever gets the store can try as many as they like. Take five or more random words", n, MinLength)
	}
	return nil
}

// ID implements root.Root.
func (r *Root) ID() string { return "passphrase:" + r.name }

// Wrap implements root.Root.
func (r *Root) Wrap(_ context.Context, key secret.Bytes, aad []byte) ([]byte, error) {
	h := header{function: argon2id, cost: [4]byte{r.cost.Memory, r.cost.Passes, r.cost.Lanes, 0}}
	if fips140.Enabled() {
		h.function = pbkdf2SHA256
		binary.BigEndian.PutUint32(h.cost[:], r.cost.Iterations)
	}
	rand.Read(h.salt[:])
	k, err := r.derive(h)
	if err != nil {
		return nil, err
	}
	blob := h.encode()
	return k.Wrap(blob, key, append(h.encode(), aad...)), nil
}

// Unwrap implements root.Root.
func (r *Root) Unwrap(_ context.Context, blob, aad []byte) (secret.Bytes, error) {
	if len(blob) != blobSize {
		return secret.Bytes{}, root.ErrBadData
	}
	h, err := parseHeader(blob)
	if err != nil {
		return secret.Bytes{}, err
	}
	k, err := r.derive(h)
	if err != nil {
		return secret.Bytes{}, err
	}
	key, err := k.Unwrap(blob[headerSize:], append(h.encode(), aad...))
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("the passphrase is wrong, or: %w", err)
	}
	return key, nil
}

type header struct {
	function byte
	cost     [4]byte
	salt     [saltSize]byte
}

func (h header) encode() []byte {
	b := append([]byte{version, h.function}, h.cost[:]...)
	return append(b, h.salt[:]...)
}

func parseHeader(blob []byte) (header, error) {
	if blob[0] != version {
		return header{}, fmt.Errorf("a wrapping of version %d, this Trent reads version %d: %w", blob[0], version, root.ErrBadData)
	}
	h := header{function: blob[1], cost: [4]byte(blob[2:6]), salt: [saltSize]byte(blob[6:headerSize])}
	return h, h.check()
}

// errCost says that a derivation would cost more or less than is allowed.
var errCost = errors.New("the cost of the derivation is out of bounds")

func (h header) check() error {
	ok := false
	switch h.function {
	case argon2id:
		ok = h.cost[0] >= minMemory && h.cost[0] <= maxMemory && h.cost[1] >= 1 && h.cost[1] <= maxPasses &&
			h.cost[2] >= 1 && h.cost[2] <= maxLanes && h.cost[3] == 0
	case pbkdf2SHA256:
		n := binary.BigEndian.Uint32(h.cost[:])
		ok = n >= minIterations && n <= maxIterations
	}
	if !ok {
		return fmt.Errorf("%w: %w", errCost, root.ErrBadData)
	}
	return nil
}

func (r *Root) derive(h header) (kek.Key, error) {
	if err := h.check(); err != nil {
		return kek.Key{}, err
	}
	if h.function == argon2id {
		if fips140.Enabled() {
			return kek.Key{}, fmt.Errorf("the passphrase was set outside FIPS mode, and Argon2id is not in the FIPS 140-3 module: add it again in FIPS mode: %w", root.ErrRefused)
		}
		return kek.New(argon2.IDKey(r.phrase.Expose(), h.salt[:], uint32(h.cost[1]), 1<<h.cost[0], h.cost[2], root.KeySize))
	}
	// The conversion copies the passphrase once; crypto/pbkdf2 has no other door.
	key, err := pbkdf2.Key(sha256.New, string(r.phrase.Expose()), h.salt[:], int(binary.BigEndian.Uint32(h.cost[:])), root.KeySize)
	if err != nil {
		return kek.Key{}, fmt.Errorf("derive from the passphrase: %w: %w", err, root.ErrRefused)
	}
	return kek.New(key)
}
