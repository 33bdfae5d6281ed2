// Package xks asks the proxies of external key stores, by the public XKS proxy API of AWS
// (github.com/aws/aws-kms-xksproxy-api-spec, version 1): GetHealthStatus, GetKeyMetadata, Encrypt
// and Decrypt, as JSON over HTTPS, signed with AWS Signature Version 4 for the service
// kms-xks-proxy.
//
// A proxy is a stranger that an account has named. What may be connected to, how long it may take and
// how much it may answer is decided here (transport.go); what comes of its answers, in
// keystore.
package xks

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/go-json-experiment/json"

	"trent/internal/crypt"
	"trent/internal/keystore"
)

// service is the one that requests are signed for.
const service = "kms-xks-proxy"

// What an answer may have.
const (
	maxAnswer  = 32 << 10 // bytes; the largest that there is holds 4,300 bytes in base64
	maxUsages  = 10
	maxKeeping = 10 // key managers in a health status
)

// A Client asks proxies. It may be used by many goroutines.
type Client struct {
	o         Options
	transport *http.Transport
	health    health
}

// New makes a client.
func New(o Options) *Client {
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	c := &Client{o: o, health: health{log: o.Log}}
	c.transport = o.transport()
	return c
}

var _ keystore.Proxies = (*Client)(nil)

// metadata is requestMetadata.
type metadata struct {
	Principal string `json:"awsPrincipalArn,omitempty"`
	Key       string `json:"kmsKeyArn,omitempty"`
	Operation string `json:"kmsOperation"`
	Request   string `json:"kmsRequestId"`
}

type healthRequest struct {
	Metadata metadata `json:"requestMetadata"`
}

type healthAnswer struct {
	Fleet []struct {
		Status string `json:"healthStatus"`
	} `json:"ekmFleetDetails"`
}

// Health implements keystore.Proxies (GetHealthStatus).
func (c *Client) Health(ctx context.Context, p *keystore.Proxy, about keystore.Asked) (err error) {
	defer func() { c.health.note(p.Address(), err) }()
	about.Principal, about.KeyARN = "", ""
	var a healthAnswer
	if err := c.ask(ctx, p, "/health", about, healthRequest{metadataOf(about)}, &a); err != nil {
		return err
	}
	if len(a.Fleet) == 0 || len(a.Fleet) > maxKeeping {
		return malformed("%d key managers in the health status", len(a.Fleet))
	}
	for _, m := range a.Fleet {
		switch m.Status {
		case "ACTIVE", "DEGRADED":
			return nil
		case "UNAVAILABLE":
		default:
			return malformed("a health status that the API does not have")
		}
	}
	return keystore.Fail(keystore.Down, nil)
}

type keyAnswer struct {
	Spec   string   `json:"keySpec"`
	Usage  []string `json:"keyUsage"`
	Status string   `json:"keyStatus"`
}

// Key implements keystore.Proxies (GetKeyMetadata).
func (c *Client) Key(ctx context.Context, p *keystore.Proxy, id string, about keystore.Asked) (k keystore.ExternalKey, err error) {
	defer func() { c.health.note(p.Address(), err) }()
	var a keyAnswer
	if err := c.ask(ctx, p, "/keys/"+id+"/metadata", about, healthRequest{metadataOf(about)}, &a); err != nil {
		return keystore.ExternalKey{}, err
	}
	if a.Spec == "" || a.Status == "" || len(a.Usage) == 0 || len(a.Usage) > maxUsages {
		return keystore.ExternalKey{}, malformed("an incomplete description of a key")
	}
	return keystore.ExternalKey{Spec: a.Spec, Usage: a.Usage, Status: a.Status}, nil
}

type encryptRequest struct {
	Metadata  metadata `json:"requestMetadata"`
	Data      base     `json:"additionalAuthenticatedData"`
	Plaintext base     `json:"plaintext"`
	Algorithm string   `json:"encryptionAlgorithm"`
	Integrity string   `json:"ciphertextDataIntegrityValueAlgorithm"`
}

type encryptAnswer struct {
	Ciphertext base `json:"ciphertext"`
	Metadata   base `json:"ciphertextMetadata"`
	IV         base `json:"initializationVector"`
	Tag        base `json:"authenticationTag"`
	Integrity  base `json:"ciphertextDataIntegrityValue"`
}

// algorithm is the only one of version 1.
const algorithm = "AES_GCM"

// Encrypt implements keystore.Proxies. The proxy is made to say that it can read what it wrote
// (ciphertextDataIntegrityValue): a data key that is handed out must not be lost with its ciphertext.
func (c *Client) Encrypt(ctx context.Context, p *keystore.Proxy, id string, about keystore.Asked, plaintext, aad []byte) (w crypt.Wrapped, err error) {
	defer func() { c.health.note(p.Address(), err) }()
	q := encryptRequest{metadataOf(about), aad, plaintext, algorithm, "SHA_256"}
	var a encryptAnswer
	if err := c.ask(ctx, p, "/keys/"+id+"/encrypt", about, &q, &a); err != nil {
		return crypt.Wrapped{}, err
	}
	w = crypt.Wrapped{Ciphertext: a.Ciphertext, Metadata: a.Metadata, IV: a.IV, Tag: a.Tag}
	switch {
	case !w.Fits(len(plaintext)):
		return crypt.Wrapped{}, malformed("a ciphertext with parts of other sizes than those of AES-GCM")
	case !bytes.Equal(a.Integrity, integrity(aad, &w)):
		return crypt.Wrapped{}, malformed("a ciphertext whose integrity value is not right")
	}
	return w, nil
}

// integrity is ciphertextDataIntegrityValue (Appendix C). It is a checksum, and proves nothing.
func integrity(aad []byte, w *crypt.Wrapped) []byte {
	h := sha256.New()
	for _, part := range [][]byte{aad, w.Metadata, w.IV, w.Ciphertext, w.Tag} {
		h.Write(part)
	}
	return h.Sum(nil)
}

type decryptRequest struct {
	Metadata   metadata `json:"requestMetadata"`
	Data       base     `json:"additionalAuthenticatedData"`
	Ciphertext base     `json:"ciphertext"`
	Vendor     base     `json:"ciphertextMetadata,omitempty"`
	IV         base     `json:"initializationVector"`
	Tag        base     `json:"authenticationTag"`
	Algorithm  string   `json:"encryptionAlgorithm"`
}

type decryptAnswer struct {
	Plaintext base `json:"plaintext"`
}

// Decrypt implements keystore.Proxies.
func (c *Client) Decrypt(ctx context.Context, p *keystore.Proxy, id string, about keystore.Asked, w crypt.Wrapped, aad []byte) (plaintext []byte, err error) {
	defer func() { c.health.note(p.Address(), err) }()
	q := decryptRequest{metadataOf(about), aad, w.Ciphertext, w.Metadata, w.IV, w.Tag, algorithm}
	var a decryptAnswer
	if err := c.ask(ctx, p, "/keys/"+id+"/decrypt", about, &q, &a); err != nil {
		return nil, err
	}
	if len(a.Plaintext) != len(w.Ciphertext) {
		return nil, malformed("a plaintext of another size than the ciphertext")
	}
	return a.Plaintext, nil
}

func metadataOf(about keystore.Asked) metadata {
	return metadata{about.Principal, about.KeyARN, about.Operation, about.RequestID}
}

// ask performs one request, and reads the answer into to.
func (c *Client) ask(ctx context.Context, p *keystore.Proxy, path string, about keystore.Asked, question, to any) error {
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	body, err := json.Marshal(question)
	if err != nil {
		return malformed("a question that cannot be encoded: %w", err)
	}
	r, err := c.request(ctx, p, path, about.Region, body)
	if err != nil {
		return keystore.Fail(keystore.Unreachable, err)
	}
	answer, err := c.transport.RoundTrip(r)
	if err != nil {
		return failure(ctx, err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	switch {
	case err != nil:
		return failure(ctx, err)
	case len(content) > maxAnswer:
		return malformed("an answer of over %d bytes", maxAnswer)
	}
	return readAnswer(answer.StatusCode, content, to)
}

// request makes a signed request. The signature covers the body, by its hash.
func (c *Client) request(ctx context.Context, p *keystore.Proxy, path, region string, body []byte) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.Address()+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("xks: %w", err)
	}
	if r.URL.Scheme != "https" || r.URL.User != nil {
		return nil, fmt.Errorf("xks: %s is no https address", p.Endpoint)
	}
	if !c.o.mayAsk(r.URL.Hostname()) {
		return nil, fmt.Errorf("xks: %s is not among the hosts that may be asked", r.URL.Hostname())
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "trent")
	sum := sha256.Sum256(body)
	own := aws.Credentials{AccessKeyID: p.AccessKeyID, SecretAccessKey: string(p.Secret.Expose())}
	// A signer keeps what it has derived by the id of the credential alone, and would go on with a secret
	// that has been replaced under the same id: each request has its own.
	if err := v4.NewSigner().SignHTTP(ctx, own, r, hex.EncodeToString(sum[:]), service, region, c.o.now()); err != nil {
		return nil, fmt.Errorf("xks: sign: %w", err)
	}
	return r, nil
}

// readAnswer reads what a proxy answered: what was asked for, or the name of an error.
func readAnswer(status int, content []byte, to any) error {
	if status == http.StatusOK {
		if err := json.Unmarshal(content, to); err != nil {
			return malformed("an answer that is not the JSON that was expected")
		}
		return nil
	}
	var refusal struct {
		Name    string `json:"errorName"`
		Message string `json:"errorMessage"`
	}
	if err := json.Unmarshal(content, &refusal); err != nil || refusal.Name == "" {
		return malformed("status %d without the name of an error", status)
	}
	return keystore.Fail(keystore.KindOf(refusal.Name), fmt.Errorf("the proxy answered %d %s: %s", status, shown(refusal.Name), shown(refusal.Message)))
}

// maxShown is how much of a stranger's text goes into the log, in bytes.
const maxShown = 512

func shown(text string) string { return strconv.QuoteToASCII(text[:min(len(text), maxShown)]) }

func malformed(format string, args ...any) *keystore.Failure {
	return keystore.Fail(keystore.Malformed, fmt.Errorf(format, args...))
}

// base is bytes that are base64 in JSON, padded, and nothing where they are absent.
type base []byte

// MarshalText implements encoding.TextMarshaler.
func (b base) MarshalText() ([]byte, error) {
	return base64.StdEncoding.AppendEncode(nil, b), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *base) UnmarshalText(text []byte) error {
	plain, err := base64.StdEncoding.Strict().AppendDecode(nil, text)
	if err != nil {
		return fmt.Errorf("xks: %w", err)
	}
	*b = plain
	return nil
}

// DefaultTimeout is how long an answer may take, from the name of the proxy being looked up on: that
// of AWS KMS.
const DefaultTimeout = 250 * time.Millisecond
