package keyring

import (
	"time"

	"trent/internal/api"
	"trent/internal/fault"
	"trent/internal/key"
	"trent/internal/record"
	"trent/internal/secret"
)

// An import token holds the private half of a wrapping key, sealed, with what it may be used for.
// So nothing is stored between GetParametersForImport and ImportKeyMaterial: whoever of our nodes
// gets the token knows all. docs/spec/import-token.md.
const importTokenVersion = 1

// importTokenPurpose is bound to every token.
const importTokenPurpose = "import token"

// An ImportToken is what such a token says.
type ImportToken struct {
	Algorithm api.AlgorithmSpec
	ValidTo   key.Moment
	Private   secret.Bytes // of the wrapping key, PKCS #8
}

type encodedToken struct {
	Key       string     `cbor:"1,keyasint"` // ARN
	Algorithm string     `cbor:"2,keyasint"`
	ValidTo   key.Moment `cbor:"3,keyasint"`
	Private   []byte     `cbor:"4,keyasint"`
}

// SealImportToken makes a token for imports into one key.
func (r *Ring) SealImportToken(rec *key.Record, t ImportToken) ([]byte, error) {
	content, err := record.Encode(importTokenVersion, encodedToken{rec.ARN, string(t.Algorithm), t.ValidTo, t.Private.Expose()})
	if err != nil {
		return nil, err
	}
	defer clear(content)
	return r.imports.seal([]byte{importTokenVersion}, content, []byte(importTokenPurpose)), nil
}

// OpenImportToken reads a token that was made here, for imports into this key, and that has not
// expired. The receiver wipes the private key.
func (r *Ring) OpenImportToken(rec *key.Record, token []byte, now time.Time) (ImportToken, error) {
	if len(token) == 0 || token[0] != importTokenVersion {
		return ImportToken{}, errImportToken()
	}
	content, err := r.imports.open(token[1:], []byte(importTokenPurpose))
	if err != nil {
		return ImportToken{}, errImportToken()
	}
	defer clear(content)
	var e encodedToken
	if err := record.Decode(importTokenVersion, content, &e); err != nil || e.Key != rec.ARN {
		clear(e.Private)
		return ImportToken{}, errImportToken()
	}
	t := ImportToken{api.AlgorithmSpec(e.Algorithm), e.ValidTo, secret.New(e.Private)}
	if !now.Before(t.ValidTo.Time()) {
		t.Private.Wipe()
		return ImportToken{}, fault.New(api.ExpiredImportTokenException, "")
	}
	return t, nil
}

func errImportToken() error { return fault.New(api.InvalidImportTokenException, "") }
