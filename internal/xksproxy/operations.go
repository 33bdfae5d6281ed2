package xksproxy

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"trent/internal/fault"
)

// metadata is requestMetadata. Members that are not known are passed over: AWS may add some.
type metadata struct {
	Principal string `json:"awsPrincipalArn"`
	VPC       string `json:"awsSourceVpc"`
	VPCE      string `json:"awsSourceVpce"`
	KeyARN    string `json:"kmsKeyArn"`
	Operation string `json:"kmsOperation"`
	Request   string `json:"kmsRequestId"`
	Via       string `json:"kmsViaService"`
}

// maxText is the longest text in requestMetadata: that of an ARN, in bytes.
const maxText = 2048

// check wants what an operation needs: principal says that it is about a key, and keyARN that it must
// say which KMS key.
func (m *metadata) check(principal, keyARN bool) error {
	switch {
	case m == nil:
		return fault.New(Validation, "requestMetadata is missing.")
	case m.Operation == "" || m.Request == "":
		return fault.New(Validation, "requestMetadata has no kmsOperation or no kmsRequestId.")
	case principal && m.Principal == "":
		return fault.New(Validation, "requestMetadata has no awsPrincipalArn.")
	case keyARN && m.KeyARN == "":
		return fault.New(Validation, "requestMetadata has no kmsKeyArn.")
	}
	for _, text := range []string{m.Principal, m.VPC, m.VPCE, m.KeyARN, m.Operation, m.Request, m.Via} {
		if len(text) > maxText {
			return fault.Newf(Validation, "requestMetadata has a text of over %d bytes.", maxText)
		}
	}
	return nil
}

// read parses the body, and notes what it says of the request that it is made for.
func (v *visit) read(to any, m func() *metadata, principal, keyARN bool) error {
	if err := json.Unmarshal(v.body, to); err != nil {
		return fault.New(Validation, "The request is not the JSON that the API wants.")
	}
	got := m()
	if got != nil {
		v.note.Operation, v.note.Request, v.note.Principal = cut(got.Operation), cut(got.Request), cut(got.Principal)
		v.note.KeyARN, v.note.Via = cut(got.KeyARN), cut(got.Via)
	}
	if err := got.check(principal, keyARN); err != nil || !principal {
		return err
	}
	return v.authorize(got)
}

// authorize is the second decision, beside that of the client's own policies. Health is for everybody, and a KMS key that
// is to be made has no ARN yet.
func (v *visit) authorize(m *metadata) error {
	switch {
	case !listed(v.o.Principals, m.Principal):
		return fault.New(AccessDenied, "The proxy does not serve this principal.")
	case m.KeyARN != "" && !listed(v.o.KMSKeys, m.KeyARN):
		return fault.New(AccessDenied, "The proxy does not serve this KMS key.")
	}
	return nil
}

func listed(patterns []string, arn string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool {
		start, open := strings.CutSuffix(p, "*")
		return open && strings.HasPrefix(arn, start) || p == arn
	})
}

func cut(text string) string { return text[:min(len(text), maxText)] }

type healthAnswer struct {
	FleetSize int     `json:"xksProxyFleetSize"`
	Vendor    string  `json:"xksProxyVendor"`
	Model     string  `json:"xksProxyModel"`
	EKMVendor string  `json:"ekmVendor"`
	Fleet     []fleet `json:"ekmFleetDetails"`
}

type fleet struct {
	ID     string `json:"id"`
	Model  string `json:"model"`
	Status string `json:"healthStatus"`
}

func (v *visit) health(ctx context.Context) (any, error) {
	var in struct {
		Metadata *metadata `json:"requestMetadata"`
	}
	if err := v.read(&in, func() *metadata { return in.Metadata }, false, false); err != nil {
		return nil, err
	}
	is := "ACTIVE"
	if err := v.o.Manager.Healthy(ctx); err != nil {
		v.o.Log.Warn("the key manager is not available", "request", v.rec.RequestID, "error", err)
		v.rec.Reason = err.Error()
		is = "UNAVAILABLE"
	}
	return healthAnswer{1, "Trent", "Trent XKS proxy " + v.o.Version, "Trent", []fleet{{"trent", "Trent", is}}}, nil
}

type keyAnswer struct {
	Spec   string   `json:"keySpec"`
	Usage  []string `json:"keyUsage"`
	Status string   `json:"keyStatus"`
}

func (v *visit) metadata(ctx context.Context, id string) (any, error) {
	var in struct {
		Metadata *metadata `json:"requestMetadata"`
	}
	if err := v.read(&in, func() *metadata { return in.Metadata }, true, false); err != nil {
		return nil, err
	}
	d, err := v.o.Manager.Describe(ctx, id)
	if err != nil {
		return nil, err
	}
	a := keyAnswer{d.Spec, d.Usage, "DISABLED"}
	if d.Enabled {
		a.Status = "ENABLED"
	}
	return a, nil
}

// encryptionAlgorithm is the one of version 1, and integrityAlgorithm the one of its checksums.
const (
	encryptionAlgorithm = "AES_GCM"
	integrityAlgorithm  = "SHA_256"
)

type encryptRequest struct {
	Metadata  *metadata `json:"requestMetadata"`
	Plaintext blob      `json:"plaintext"`
	Algorithm string    `json:"encryptionAlgorithm"`
	Data      blob      `json:"additionalAuthenticatedData"`
	Integrity string    `json:"ciphertextDataIntegrityValueAlgorithm"`
}

func (q *encryptRequest) check() error {
	switch {
	case len(q.Plaintext) == 0:
		return fault.New(Validation, "plaintext is missing or empty.")
	case q.Algorithm != encryptionAlgorithm:
		return fault.New(Validation, "encryptionAlgorithm must be AES_GCM.")
	case q.Integrity != "" && q.Integrity != integrityAlgorithm:
		return fault.New(Validation, "ciphertextDataIntegrityValueAlgorithm must be SHA_256.")
	}
	return checkSizes(q.Plaintext, q.Data)
}

func checkSizes(text, data blob) error {
	if len(text) > maxPlaintext || len(data) > maxData {
		return fault.Newf(UnsupportedOperation, "No more than %d bytes are taken, with %d of additional authenticated data.", maxPlaintext, maxData)
	}
	return nil
}

type encryptAnswer struct {
	Ciphertext blob `json:"ciphertext"`
	Metadata   blob `json:"ciphertextMetadata"`
	IV         blob `json:"initializationVector"`
	Tag        blob `json:"authenticationTag"`
	Integrity  blob `json:"ciphertextDataIntegrityValue,omitempty"`
}

func (v *visit) encrypt(ctx context.Context, id string) (any, error) {
	var in encryptRequest
	if err := v.read(&in, func() *metadata { return in.Metadata }, true, true); err != nil {
		return nil, err
	}
	defer clear(in.Plaintext)
	if err := in.check(); err != nil {
		return nil, err
	}
	s, sum, err := v.seal(ctx, id, in.Plaintext, in.Data)
	if err != nil {
		return nil, err
	}
	a := &encryptAnswer{Ciphertext: s.ciphertext, Metadata: s.metadata, IV: s.iv, Tag: s.tag}
	if in.Integrity != "" {
		a.Integrity = sum
	}
	return a, nil
}

type decryptRequest struct {
	Metadata   *metadata `json:"requestMetadata"`
	Ciphertext blob      `json:"ciphertext"`
	Vendor     blob      `json:"ciphertextMetadata"`
	Algorithm  string    `json:"encryptionAlgorithm"`
	Data       blob      `json:"additionalAuthenticatedData"`
	IV         blob      `json:"initializationVector"`
	Tag        blob      `json:"authenticationTag"`
}

func (q *decryptRequest) check() error {
	switch {
	case len(q.Ciphertext) == 0:
		return fault.New(Validation, "ciphertext is missing or empty.")
	case q.Algorithm != encryptionAlgorithm:
		return fault.New(Validation, "encryptionAlgorithm must be AES_GCM.")
	case !slices.Contains([]int{12, 16}, len(q.IV)):
		return fault.New(Validation, "initializationVector must have 12 or 16 bytes.")
	case len(q.Tag) != tagSize:
		return fault.New(Validation, "authenticationTag must have 16 bytes.")
	case len(q.Vendor) > 20:
		return fault.New(Validation, "ciphertextMetadata must have 20 bytes at most.")
	}
	return checkSizes(q.Ciphertext, q.Data)
}

type decryptAnswer struct {
	Plaintext blob `json:"plaintext"`
}

func (v *visit) decrypt(ctx context.Context, id string) (any, error) {
	var in decryptRequest
	if err := v.read(&in, func() *metadata { return in.Metadata }, true, true); err != nil {
		return nil, err
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	plain, err := v.open(ctx, id, &sealed{in.Ciphertext, in.Vendor, in.IV, in.Tag}, in.Data)
	if err != nil {
		return nil, err
	}
	return decryptAnswer{plain}, nil
}

// blob is bytes that are padded base64 in JSON.
type blob []byte

// MarshalText implements encoding.TextMarshaler.
func (b blob) MarshalText() ([]byte, error) {
	return base64.StdEncoding.AppendEncode(nil, b), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *blob) UnmarshalText(text []byte) error {
	plain, err := base64.StdEncoding.Strict().AppendDecode(nil, text)
	if err != nil {
		return fmt.Errorf("xksproxy: %w", err)
	}
	*b = plain
	return nil
}
