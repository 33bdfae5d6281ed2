// Package nitro verifies the attestation documents of AWS Nitro: those of Nitro
// Enclaves and those of NitroTPM, which differ in one member. A document is a
// COSE_Sign1 message (RFC 9052) over a CBOR map of measurements, and brings along the
// chain of certificates from a root that must be ours to the key that signed it
// (aws-nitro-enclaves-nsm-api, docs/attestation_process.md).
//
// Nothing that documents say is believed before the checks in the table of this file
// have passed, in their order. Explain makes the same checks of a document
// that is believed by nobody.
package nitro

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"time"

	"github.com/fxamacker/cbor/v2"

	"trent/internal/api"
	"trent/internal/fault"
	"trent/internal/recipient"
)

// Settings say which documents are accepted.
type Settings struct {
	// Roots are the certificates that documents are believed by. There is none by
	// default; AWS gives that of AWS.
	Roots []Root

	// MaxAge is how old a document may be, by our clock. A document that somebody
	// has recorded can be sent again for so long; the answer to it is still of use only to
	// who has the private key.
	MaxAge time.Duration

	// MaxSkew is how far the clock of the module may be ahead of ours.
	MaxSkew time.Duration

	// AllowDebug takes documents of enclaves in debug mode, and of machines that
	// measured nothing, whose PCR0 (NitroTPM: PCR4) is zero. Whoever runs such an
	// enclave reads its memory.
	AllowDebug bool
}

// What MaxAge and MaxSkew are where nobody has chosen.
const (
	DefaultMaxAge  = 5 * time.Minute
	DefaultMaxSkew = time.Minute
)

// A Verifier verifies documents. It implements recipient.Evidence.
type Verifier struct {
	settings Settings
	roots    map[[sha256.Size]byte]*Root
	chains   *chains
}

// New makes a verifier. The error says which setting cannot be.
func New(s Settings) (*Verifier, error) {
	v := &Verifier{settings: s, roots: make(map[[sha256.Size]byte]*Root), chains: newChains(maxChains)}
	switch {
	case len(s.Roots) == 0:
		return nil, errors.New("there is no root to believe attestation documents by")
	case s.MaxAge <= 0:
		return nil, errors.New("the greatest age of attestation documents must be more than nothing")
	case s.MaxSkew < 0:
		return nil, errors.New("the skew of attestation documents must not be negative")
	}
	labels := make(map[string]bool)
	for _, r := range s.Roots {
		if err := checkLabel(r.Label); err != nil {
			return nil, err
		}
		if labels[r.Label] {
			return nil, fmt.Errorf("two roots have the label %s", r.Label)
		}
		if twin := v.roots[r.SHA256]; twin != nil {
			return nil, fmt.Errorf("the roots %s and %s are the same certificate", twin.Label, r.Label)
		}
		labels[r.Label], v.roots[r.SHA256] = true, &r
	}
	return v, nil
}

// Knows implements recipient.Evidence.
func (v *Verifier) Knows(evidence []byte) bool {
	const arrayOfFour = 0x84
	return len(evidence) > 0 && (evidence[0] == tagSign1 || evidence[0] == arrayOfFour)
}

// Verify implements recipient.Evidence.
func (v *Verifier) Verify(evidence []byte, now time.Time, run recipient.Run) (*recipient.Attested, error) {
	x := &examination{raw: evidence, now: now}
	for i := range checks {
		c := &checks[i]
		if c.kept && x.remembered {
			continue
		}
		var failed error
		work := func() { failed = c.check(v, x) }
		if c.cost == free {
			work()
		} else if err := run(recipient.Cost(c.cost), work); err != nil {
			return nil, err
		}
		if failed != nil {
			return nil, refusal(c, failed)
		}
	}
	return x.attested(), nil
}

// An examination is how far the checks of one document have come. What a check finds
// stands here for the later ones.
type examination struct {
	raw []byte
	now time.Time

	doc          *document
	key          *recipient.PublicKey
	certificates []*x509.Certificate // the root first, the leaf last
	chain        chain
	remembered   bool // the chain comes from memory, where only verified ones are
}

// A check is one thing that must be right.
type check struct {
	name string // for Explain
	part string // of the document, as refusals name it
	cost int    // free, or a recipient.Cost
	kept bool   // it is about a chain alone, and need not be made for one that is remembered

	// needs is the check without which this one cannot be made. Verify does not need to
	// look: it ends with the first that fails.
	needs string
	check func(*Verifier, *examination) error
}

const free = -1

// checks are all of them, in their order. What costs nothing comes first, the key in the
// leaf is used last, after its chain.
var checks = []check{
	{name: "document", part: "decode", cost: free, check: (*Verifier).checkDocument},
	{name: "freshness", part: "freshness", cost: free, needs: "document", check: (*Verifier).checkFreshness},
	{name: "not debug", part: "debug", cost: free, needs: "document", check: (*Verifier).checkDebug},
	{name: "public key", part: "public key", cost: free, needs: "document", check: (*Verifier).checkPublicKey},
	{name: "root", part: "chain", cost: free, kept: true, needs: "document", check: (*Verifier).checkRoot},
	{name: "certificates", part: "chain", cost: free, kept: true, needs: "document", check: (*Verifier).checkCertificates},
	{name: "validity", part: "validity", cost: free, needs: "certificates", check: (*Verifier).checkValidity},
	{name: "chain", part: "chain", cost: int(recipient.Cold), kept: true, needs: "certificates", check: (*Verifier).checkChain},
	{name: "signature", part: "signature", cost: int(recipient.Warm), needs: "certificates", check: (*Verifier).checkSignature},
}

func (v *Verifier) checkDocument(x *examination) (err error) {
	if x.doc, err = read(x.raw); err != nil {
		return err
	}
	x.chain, x.remembered = v.chains.get(x.doc.chainID())
	return nil
}

func (v *Verifier) checkFreshness(x *examination) error {
	age := x.now.Sub(x.doc.made).Round(time.Second)
	switch {
	case x.now.Sub(x.doc.made) > v.settings.MaxAge:
		return flawf("it was made %v ago by the clock of this server, and at most %v are allowed", age, v.settings.MaxAge)
	case x.doc.made.Sub(x.now) > v.settings.MaxSkew:
		return flawf("it was made %v in the future by the clock of this server, and at most %v are allowed", -age, v.settings.MaxSkew)
	}
	return nil
}

func (v *Verifier) checkDebug(x *examination) error {
	index := 0 // the image of an enclave
	if x.doc.kind == kindTPM {
		index = 4 // what a machine was started with
	}
	value, ok := x.doc.pcr(index)
	if v.settings.AllowDebug || ok && !bytes.Equal(value, make([]byte, len(value))) {
		return nil
	}
	return flawf("%s%d is zero or missing, which is an enclave in debug mode or a machine that was not measured", prefix(x.doc.kind), index)
}

func (v *Verifier) checkPublicKey(x *examination) (err error) {
	x.key, err = readPublicKey(x.doc.publicKey)
	return err
}

func (v *Verifier) checkRoot(x *examination) error {
	x.chain.root = v.roots[sha256.Sum256(x.doc.bundle[0])]
	if x.chain.root == nil {
		return flawf("its root is none of those that this server trusts")
	}
	return nil
}

func (v *Verifier) checkCertificates(x *examination) (err error) {
	if x.certificates, err = x.doc.parse(); err != nil {
		return err
	}
	if err := checkForms(x.certificates); err != nil {
		return err
	}
	if r := x.chain.root; r != nil && !r.Development && isDevelopment(x.certificates[0]) {
		return flawf("its root is a development root, and this server does not trust it as one")
	}
	leaf, _ := x.certificates[len(x.certificates)-1].PublicKey.(*ecdsa.PublicKey)
	x.chain.leaf = leaf
	x.chain.notBefore, x.chain.notAfter = window(x.certificates)
	return nil
}

func (v *Verifier) checkValidity(x *examination) error {
	switch {
	case x.now.Before(x.chain.notBefore):
		return flawf("its certificates are not valid before %s", x.chain.notBefore.UTC().Format(time.RFC3339))
	case x.now.After(x.chain.notAfter):
		v.chains.drop(x.doc.chainID())
		return flawf("its certificates have not been valid since %s", x.chain.notAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

// checkChain is where the certificates become believed, and are remembered. Somebody
// else may have brought the same ones while this document waited for its turn.
func (v *Verifier) checkChain(x *examination) error {
	id := x.doc.chainID()
	if c, ok := v.chains.get(id); ok {
		x.chain = c
		return nil
	}
	if err := checkSignatures(x.certificates); err != nil {
		return err
	}
	if x.chain.root != nil { // else this is an explanation
		v.chains.put(id, x.chain)
	}
	return nil
}

func (v *Verifier) checkSignature(x *examination) error {
	// RFC 9052, section 4.4, over the bytes as they came.
	signed, err := cbor.Marshal([]any{"Signature1", headerES384, []byte{}, x.doc.payload})
	if err != nil {
		return err
	}
	digest := sha512.Sum384(signed)
	r := new(big.Int).SetBytes(x.doc.signature[:signatureSize/2])
	s := new(big.Int).SetBytes(x.doc.signature[signatureSize/2:])
	if !ecdsa.Verify(x.chain.leaf, digest[:], r, s) {
		return flawf("it is not that of the certificate")
	}
	return nil
}

// attested is what the document says, after all checks.
func (x *examination) attested() *recipient.Attested {
	return &recipient.Attested{
		Kind: x.doc.kind, Module: x.doc.module, Made: x.doc.made, Key: x.key,
		Root: x.chain.root.Label, Development: x.chain.root.Development,
		Measurements: x.doc.measurements(),
	}
}

// measurements are named as the condition keys kms:RecipientAttestation:... are.
func (d *document) measurements() []recipient.Measurement {
	out := make([]recipient.Measurement, 0, len(d.pcrs)+1)
	for _, p := range d.pcrs {
		if d.kind == kindEnclave && p.index == 0 {
			out = append(out, recipient.Measurement{Name: "ImageSha384", Value: p.value})
		}
		out = append(out, recipient.Measurement{Name: prefix(d.kind) + strconv.Itoa(p.index), Value: p.value})
	}
	return out
}

func prefix(kind string) string {
	if kind == kindTPM {
		return "NitroTPMPCR"
	}
	return "PCR"
}

// A flaw is what is wrong with a document, in words for its sender.
type flaw struct {
	text  string
	cause error
}

func flawf(format string, args ...any) *flaw { return &flaw{text: fmt.Sprintf(format, args...)} }

// because adds what the audit record says of it.
func (f *flaw) because(cause error) *flaw { return &flaw{f.text, cause} }

// Error implements error.
func (f *flaw) Error() string { return f.text }

// refusal is the answer to a document that fails a check.
func refusal(c *check, err error) error {
	f, ok := errors.AsType[*flaw](err)
	if !ok {
		return err
	}
	e := fault.Newf(api.ValidationException, "The attestation document failed its %s check: %s.", c.part, f.text)
	if f.cause != nil {
		return e.Because(f.cause)
	}
	return e
}
