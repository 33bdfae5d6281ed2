package nitro

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// MaxDocument is the longest document that is looked at, in bytes: the longest payload
// that the Nitro Security Module makes, and its envelope.
const MaxDocument = 20 << 10

// The bounds of the parts, in bytes or items, by the specification of AWS
// (aws-nitro-enclaves-nsm-api, docs/attestation_process.md).
const (
	maxPayload     = 16 << 10
	signatureSize  = 96 // r and s of P-384
	maxCertificate = 1024
	maxBundle      = 8
	maxPCRs        = 32
	pcrsOfTPM      = 24
	maxPublicKey   = 1024
	maxUserData    = 1024 // the text says 512 and the grammar 1024; the module takes 1024
	maxNonce       = 1024
)

const (
	tagSign1 = 0xd2 // CBOR tag 18, COSE_Sign1 (RFC 9052). The module leaves it out

	kindEnclave = "nitro-enclave"
	kindTPM     = "nitro-tpm"
)

// Nothing but these may stand in the two headers, and nobody encodes it differently.
var (
	headerES384 = []byte{0xa1, 0x01, 0x38, 0x22} // {1: -35}
	headerEmpty = cbor.RawMessage{0xa0}
)

// A document is one that was read. Nothing in it is verified.
type document struct {
	payload   []byte // as it came: what is signed
	signature []byte

	kind   string
	module string
	made   time.Time
	pcrs   []pcr

	leaf   []byte   // DER of the certificate whose key signs
	bundle [][]byte // DER of those above it, the root first

	publicKey, userData, nonce []byte // nil: absent
}

type pcr struct {
	index int
	value []byte
}

// pcr gives the value of a register.
func (d *document) pcr(index int) ([]byte, bool) {
	for _, p := range d.pcrs {
		if p.index == index {
			return p.value, true
		}
	}
	return nil, false
}

// The modes read CBOR strictly. Newer modules write the payload's own map, and nothing
// else, with an indefinite length: streaming is for that map alone, whose members are
// then read strictly one by one.
var (
	strict    = newMode(cbor.IndefLengthForbidden)
	streaming = newMode(cbor.IndefLengthAllowed)
)

func newMode(indefinite cbor.IndefLengthMode) cbor.DecMode {
	m, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: indefinite, TagsMd: cbor.TagsForbidden,
		MaxNestedLevels: 8, MaxArrayElements: 64, MaxMapPairs: 64, UTF8: cbor.UTF8RejectInvalid,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
	}.DecMode()
	if err != nil {
		panic("nitro: internal error: " + err.Error())
	}
	return m
}

// envelope is a COSE_Sign1 message (RFC 9052, section 4.2).
type envelope struct {
	_           struct{} `cbor:",toarray"`
	Protected   cbor.RawMessage
	Unprotected cbor.RawMessage
	Payload     cbor.RawMessage
	Signature   cbor.RawMessage
}

// payload has the members that are known; others are passed over, since the next
// module may have more.
type payload struct {
	ModuleID     cbor.RawMessage `cbor:"module_id"`
	Digest       cbor.RawMessage `cbor:"digest"`
	Timestamp    cbor.RawMessage `cbor:"timestamp"`
	PCRs         cbor.RawMessage `cbor:"pcrs"`
	NitroTPMPCRs cbor.RawMessage `cbor:"nitrotpm_pcrs"`
	Certificate  cbor.RawMessage `cbor:"certificate"`
	CABundle     cbor.RawMessage `cbor:"cabundle"`
	PublicKey    cbor.RawMessage `cbor:"public_key"`
	UserData     cbor.RawMessage `cbor:"user_data"`
	Nonce        cbor.RawMessage `cbor:"nonce"`
}

// read takes a document apart, and holds it against the syntax of the specification.
func read(b []byte) (*document, error) {
	if len(b) > MaxDocument {
		return nil, flawf("it is %d bytes long, and at most %d are taken", len(b), MaxDocument)
	}
	var e envelope
	if err := strict.Unmarshal(bytes.TrimPrefix(b, []byte{tagSign1}), &e); err != nil {
		return nil, flawf("it is not one COSE_Sign1 message").because(err)
	}
	protected, err := byteString(e.Protected, 1, len(headerES384))
	if err != nil || !bytes.Equal(protected, headerES384) || !bytes.Equal(e.Unprotected, headerEmpty) {
		return nil, flawf("its headers are not those of ES384 and nothing else").because(err)
	}
	d := new(document)
	if d.signature, err = byteString(e.Signature, signatureSize, signatureSize); err != nil {
		return nil, flawf("its signature has a wrong form").because(err)
	}
	if d.payload, err = byteString(e.Payload, 1, maxPayload); err != nil {
		return nil, flawf("its payload has a wrong form").because(err)
	}
	return d, d.readPayload()
}

func (d *document) readPayload() error {
	var p payload
	if err := streaming.Unmarshal(d.payload, &p); err != nil {
		return flawf("its payload is not one CBOR map that is well formed").because(err)
	}
	var err error
	for _, m := range []struct {
		name string
		read func() error
	}{
		{"module_id", func() error { d.module, err = text(p.ModuleID); return err }},
		{"digest", func() error { return digest(p.Digest) }},
		{"timestamp", func() error { d.made, err = timestamp(p.Timestamp); return err }},
		{"pcrs", func() error { return d.readPCRs(p.PCRs, p.NitroTPMPCRs) }},
		{"certificate", func() error { d.leaf, err = byteString(p.Certificate, 1, maxCertificate); return err }},
		{"cabundle", func() error { d.bundle, err = bundle(p.CABundle); return err }},
		{"public_key", func() error { d.publicKey, err = optional(p.PublicKey, 1, maxPublicKey); return err }},
		{"user_data", func() error { d.userData, err = optional(p.UserData, 0, maxUserData); return err }},
		{"nonce", func() error { d.nonce, err = optional(p.Nonce, 0, maxNonce); return err }},
	} {
		if err := m.read(); err != nil {
			return flawf("its member %s is missing or malformed", m.name).because(err)
		}
	}
	return nil
}

// readPCRs reads the registers of an enclave or of a NitroTPM; a document has one of the two.
func (d *document) readPCRs(enclave, tpm cbor.RawMessage) error {
	d.kind = kindEnclave
	raw, limit := enclave, maxPCRs
	if tpm != nil {
		if enclave != nil {
			return fmt.Errorf("there are pcrs and nitrotpm_pcrs")
		}
		d.kind = kindTPM
		raw, limit = tpm, pcrsOfTPM
	}
	var registers map[uint64]cbor.RawMessage
	if err := member(raw, majorMap, &registers); err != nil {
		return err
	}
	if len(registers) == 0 || len(registers) > limit {
		return fmt.Errorf("there are %d registers", len(registers))
	}
	for _, index := range slices.Sorted(maps.Keys(registers)) {
		value, err := byteString(registers[index], 32, 64)
		if err != nil {
			return fmt.Errorf("register %d: %w", index, err)
		}
		if n := len(value); index >= uint64(limit) || n != 32 && n != 48 && n != 64 {
			return fmt.Errorf("register %d of %d bytes", index, n)
		}
		d.pcrs = append(d.pcrs, pcr{int(index), value})
	}
	return nil
}

// The major types of CBOR (RFC 8949, section 3.1).
const (
	majorUint  = 0
	majorBytes = 2
	majorText  = 3
	majorArray = 4
	majorMap   = 5
)

// member reads a member of one major type. The codec alone would also make byte
// strings of arrays, and nothing of null.
func member(raw cbor.RawMessage, major byte, into any) error {
	if len(raw) == 0 {
		return fmt.Errorf("absent")
	}
	if got := raw[0] >> 5; got != major {
		return fmt.Errorf("major type %d, want %d", got, major)
	}
	return strict.Unmarshal(raw, into)
}

func byteString(raw cbor.RawMessage, least, most int) (b []byte, err error) {
	if err := member(raw, majorBytes, &b); err != nil {
		return nil, err
	}
	if len(b) < least || len(b) > most {
		return nil, fmt.Errorf("%d bytes, want %d to %d", len(b), least, most)
	}
	return b, nil
}

// optional reads a member that may be absent or null.
func optional(raw cbor.RawMessage, least, most int) ([]byte, error) {
	const null = 0xf6
	if raw == nil || len(raw) == 1 && raw[0] == null {
		return nil, nil
	}
	return byteString(raw, least, most)
}

func text(raw cbor.RawMessage) (s string, err error) {
	if err = member(raw, majorText, &s); err == nil && s == "" {
		err = fmt.Errorf("empty")
	}
	return s, err
}

func digest(raw cbor.RawMessage) error {
	name, err := text(raw)
	if err == nil && name != "SHA384" {
		err = fmt.Errorf("%q, want SHA384", name)
	}
	return err
}

// timestamp reads milliseconds since 1970.
func timestamp(raw cbor.RawMessage) (time.Time, error) {
	var ms uint64
	if err := member(raw, majorUint, &ms); err != nil {
		return time.Time{}, err
	}
	if ms == 0 || ms > math.MaxInt64/1_000_000 { // what fits in nanoseconds, until 2262
		return time.Time{}, fmt.Errorf("%d ms", ms)
	}
	return time.UnixMilli(int64(ms)).UTC(), nil
}

func bundle(raw cbor.RawMessage) ([][]byte, error) {
	var items []cbor.RawMessage
	if err := member(raw, majorArray, &items); err != nil {
		return nil, err
	}
	if len(items) == 0 || len(items) > maxBundle {
		return nil, fmt.Errorf("%d certificates, want 1 to %d", len(items), maxBundle)
	}
	certificates := make([][]byte, len(items))
	for i, item := range items {
		var err error
		if certificates[i], err = byteString(item, 1, maxCertificate); err != nil {
			return nil, fmt.Errorf("certificate %d: %w", i, err)
		}
	}
	return certificates, nil
}
