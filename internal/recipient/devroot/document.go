package devroot

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// A Module is what signs documents: a key with its chain of certificates. One signs as
// many documents as wanted, for three hours, as that of one enclave does.
type Module struct {
	id     string
	leaf   *Root
	bundle [][]byte // DER, the root first
}

// DefaultModuleID is the module of documents whose maker did not choose.
const DefaultModuleID = "i-0000000000000dev0-enc0000000000000dev"

// NewModule makes a module under the root: three authorities and a leaf, with the
// lives and uses that those of AWS have.
func (r *Root) NewModule(id string, now time.Time) (*Module, error) {
	if id == "" {
		return nil, errors.New("a module has a name")
	}
	m := &Module{id: id, leaf: r, bundle: [][]byte{r.cert.Raw}}
	from := now.Add(-time.Minute)
	for _, level := range []struct {
		name    string
		life    time.Duration
		pathLen int
	}{
		{"regional", 20 * 24 * time.Hour, 2},
		{"zonal", 6 * 24 * time.Hour, 1},
		{"instance", 24 * time.Hour, 0},
	} {
		next, err := issue(m.leaf, authority(named(level.name), from, now.Add(level.life), level.pathLen))
		if err != nil {
			return nil, fmt.Errorf("make an authority: %w", err)
		}
		m.leaf, m.bundle = next, append(m.bundle, next.cert.Raw)
	}
	leaf, err := issue(m.leaf, &x509.Certificate{
		Subject: named("leaf"), NotBefore: from, NotAfter: now.Add(3 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment, BasicConstraintsValid: true, MaxPathLen: noPathLen,
	})
	if err != nil {
		return nil, fmt.Errorf("make a leaf: %w", err)
	}
	m.leaf = leaf
	return m, nil
}

func named(level string) pkix.Name {
	return pkix.Name{Organization: []string{"Trent"}, OrganizationalUnit: []string{"for development alone"}, CommonName: level + ".development.trent"}
}

// Content is what a document says.
type Content struct {
	Time      time.Time
	PCRs      map[int][]byte
	NitroTPM  bool   // the registers are those of a NitroTPM
	PublicKey []byte // DER SubjectPublicKeyInfo; nil: null
	UserData  []byte // nil: null
	Nonce     []byte // nil: null
}

// payload has the order of the real one.
type payload struct {
	ModuleID     string          `cbor:"module_id"`
	Digest       string          `cbor:"digest"`
	Timestamp    uint64          `cbor:"timestamp"`
	PCRs         cbor.RawMessage `cbor:"pcrs,omitempty"`
	NitroTPMPCRs cbor.RawMessage `cbor:"nitrotpm_pcrs,omitempty"`
	Certificate  []byte          `cbor:"certificate"`
	CABundle     [][]byte        `cbor:"cabundle"`
	PublicKey    []byte          `cbor:"public_key"`
	UserData     []byte          `cbor:"user_data"`
	Nonce        []byte          `cbor:"nonce"`
}

// sign1 is a COSE_Sign1 message without its tag.
type sign1 struct {
	_           struct{} `cbor:",toarray"`
	Protected   []byte
	Unprotected map[int]int
	Payload     []byte
	Signature   []byte
}

// Sign makes a document. It is not checked whether anybody would take it.
func (m *Module) Sign(c Content) ([]byte, error) {
	registers, err := encodePCRs(c.PCRs)
	if err != nil {
		return nil, fmt.Errorf("encode a document: %w", err)
	}
	p := payload{
		ModuleID: m.id, Digest: "SHA384", Timestamp: uint64(c.Time.UnixMilli()),
		Certificate: m.leaf.cert.Raw, CABundle: m.bundle,
		PublicKey: c.PublicKey, UserData: c.UserData, Nonce: c.Nonce,
	}
	if c.NitroTPM {
		p.NitroTPMPCRs = registers
	} else {
		p.PCRs = registers
	}
	body, err := cbor.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encode a document: %w", err)
	}
	return m.SignPayload(body)
}

// encodePCRs encodes registers in their order.
func encodePCRs(registers map[int][]byte) ([]byte, error) {
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		return nil, err
	}
	return mode.Marshal(registers)
}

// SignPayload makes a document of a payload that somebody else has encoded.
func (m *Module) SignPayload(body []byte) ([]byte, error) {
	protected := []byte{0xa1, 0x01, 0x38, 0x22} // {1: -35}, ES384
	signed, err := cbor.Marshal([]any{"Signature1", protected, []byte{}, body})
	if err != nil {
		return nil, fmt.Errorf("encode a document: %w", err)
	}
	signature, err := signature(m.leaf.key, signed)
	if err != nil {
		return nil, fmt.Errorf("sign a document: %w", err)
	}
	return cbor.Marshal(sign1{Protected: protected, Unprotected: map[int]int{}, Payload: body, Signature: signature})
}

// signature is r and s, 48 bytes each (RFC 9053, section 2.1).
func signature(key *ecdsa.PrivateKey, signed []byte) ([]byte, error) {
	digest := sha512.Sum384(signed)
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		return nil, err
	}
	const size = 48
	return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...), nil
}

// Registers are measurements of nothing, for who has none to try: of an enclave PCR0 to
// PCR2, of a NitroTPM the first eight. The others are zero, as where nothing is measured.
func Registers(nitroTPM bool) map[int][]byte {
	count, measured := 16, 3
	if nitroTPM {
		count, measured = 24, 8
	}
	registers := make(map[int][]byte, count)
	for i := range count {
		value := make([]byte, sha512.Size384)
		if i < measured {
			digest := sha512.Sum384(fmt.Appendf(nil, "Trent development PCR%d", i))
			value = digest[:]
		}
		registers[i] = value
	}
	return registers
}
