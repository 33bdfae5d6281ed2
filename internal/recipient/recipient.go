// Package recipient is room 4½ of the road: what an attested environment proves of
// itself, and answers that nobody else can read. Evidence comes with a request, in
// the member Recipient; what it proves are condition keys of the decision, and the answer
// is encrypted to the public key in it.
//
// Kinds of evidence have a folder each; nitro is the documents of AWS Nitro. They prove
// something only by a root that the operator trusts.
package recipient

import (
	"crypto/rsa"
	"encoding/hex"
	"strings"
	"time"
)

// Attested is what verified evidence says. It is immutable.
type Attested struct {
	Kind   string // as audit records name it, such as "nitro-enclave"
	Module string // that made the evidence, in its own words
	Made   time.Time
	Key    *PublicKey

	Root        string // label of the root that vouches for it
	Development bool   // the root is one to try things out with, and vouches for nothing

	Measurements []Measurement
}

// A Measurement is a digest of a part of what runs there.
type Measurement struct {
	Name  string // of kms:RecipientAttestation:Name, such as PCR0
	Value []byte
}

// PublicKey is the key that evidence is bound to: RSA of 2048 to 4096 bits.
type PublicKey struct {
	RSA  *rsa.PublicKey
	SPKI []byte // the DER of its SubjectPublicKeyInfo (RFC 5280) as it came
}

// Measurement gives the measurement of a name, whatever its case, in lower-case
// hexadecimal. Of no evidence (nil) there is none.
func (a *Attested) Measurement(name string) (digest string, ok bool) {
	if a == nil {
		return "", false
	}
	for _, m := range a.Measurements {
		if strings.EqualFold(m.Name, name) {
			return hex.EncodeToString(m.Value), true
		}
	}
	return "", false
}
