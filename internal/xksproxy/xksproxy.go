// Package xksproxy is the other side of an external key store: it serves the public XKS proxy API of
// AWS (github.com/aws/aws-kms-xksproxy-api-spec, version 1), so that AWS KMS, or another Trent,
// encrypts with keys that lie here.
//
// It has no keys. For each message a Manager derives a fresh key, which is all that it ever sees of
// one; docs/spec/xks-proxy.md has the form. Who may ask is decided by signatures under credentials of
// the proxy's own, and every answer is written down before it leaves.
package xksproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"trent/internal/audit"
	"trent/internal/fault"
	"trent/internal/secret"
	"trent/internal/sigv4"
)

// service is the one that requests must be signed for.
const service = "kms-xks-proxy"

// base is where the paths of version 1 of the API begin.
const base = "/kms/xks/v1"

// The errors of the API.
const (
	Validation           fault.Code = "ValidationException"
	InvalidState         fault.Code = "InvalidStateException"
	InvalidCiphertext    fault.Code = "InvalidCiphertextException"
	InvalidKeyUsage      fault.Code = "InvalidKeyUsageException"
	AuthenticationFailed fault.Code = "AuthenticationFailedException"
	AccessDenied         fault.Code = "AccessDeniedException"
	KeyNotFound          fault.Code = "KeyNotFoundException"
	InvalidURIPath       fault.Code = "InvalidUriPathException"
	MethodNotAllowed     fault.Code = "MethodNotAllowedException"
	Throttling           fault.Code = "ThrottlingException"
	UnsupportedOperation fault.Code = "UnsupportedOperationException"
	DependencyTimeout    fault.Code = "DependencyTimeoutException"
	Internal             fault.Code = "InternalException"
)

// status is that of HTTP for each error. MethodNotAllowedException is no error of the API, which has
// but the status.
var status = map[fault.Code]int{
	Validation: 400, InvalidState: 400, InvalidCiphertext: 400, InvalidKeyUsage: 400, AuthenticationFailed: 401, AccessDenied: 403,
	KeyNotFound: 404, InvalidURIPath: 404, MethodNotAllowed: 405, Throttling: 429, Internal: 500, UnsupportedOperation: 501, DependencyTimeout: 503,
}

// A Description says what a key is.
type Description struct {
	Spec    string   // AES_256 for keys that can be used here
	Usage   []string // such as ENCRYPT, DECRYPT
	Enabled bool
}

// A Manager has the keys. It refuses with the errors of the API; anything else is an
// InternalException.
type Manager interface {
	// Describe says what the key of an external key id is.
	Describe(ctx context.Context, id string) (Description, error)
	// Derive gives 32 bytes that follow from the key and the input, and cannot be told without the key.
	Derive(ctx context.Context, id string, input []byte) (secret.Bytes, error)
	// Healthy says why keys cannot be used at the moment, or nil.
	Healthy(ctx context.Context) error
}

// Options of a Proxy.
type Options struct {
	// Prefix stands before /kms/xks/v1 in all paths: empty, or such as /example.
	Prefix  string
	Keys    sigv4.Keys // the credentials of those who may ask
	Manager Manager
	// Principals and KMSKeys are the ARNs on whose behalf the client may ask: awsPrincipalArn and kmsKeyArn. A * at
	// the end stands for any rest; none: any.
	Principals, KMSKeys []string

	Audit   audit.Sink
	Version string        // of Trent, for the health status
	Timeout time.Duration // that a Manager may take
	Log     *slog.Logger
	Now     func() time.Time
}

// A Proxy answers requests of the API. Make it with New.
type Proxy struct {
	o        Options
	verifier *sigv4.Verifier
	slots    chan struct{}
}

// What requests may have.
const (
	maxBody      = 64 << 10 // bytes; the largest that must be taken is 27 KiB
	maxInFlight  = 256
	maxPlaintext = 4300 // bytes, as the API wants at least
	maxData      = 8192 // of additional authenticated data, as the API wants at least
)

// CheckPrefix refuses a prefix of paths that clients could not name.
func CheckPrefix(prefix string) error {
	if prefix == "" || strings.HasPrefix(prefix, "/") && !strings.HasSuffix(prefix, "/") && !strings.Contains(prefix, "//") &&
		len(prefix)+len(base) <= 128 && strings.Trim(prefix, prefixCharacters) == "" {
		return nil
	}
	return fmt.Errorf("%q is no prefix of paths: it begins with a slash, ends with none, and has letters, digits, slashes, - and _, %d at most", prefix, 128-len(base))
}

const (
	idCharacters     = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
	prefixCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_/"
)

// New makes a proxy.
func New(o Options) *Proxy {
	return &Proxy{o: o, verifier: sigv4.NewVerifier(o.Keys, sigv4.Regions{Any: true}), slots: make(chan struct{}, maxInFlight)}
}

// A visit is one request on its way to an answer.
type visit struct {
	*Proxy
	r    *http.Request
	body []byte
	rec  audit.Record
	note note
}

// note is what the record says of the request; the proxy's client vouches for it.
type note struct {
	Key       string `json:"externalKeyId,omitempty"`
	Operation string `json:"kmsOperation,omitempty"`
	Request   string `json:"kmsRequestId,omitempty"`
	Principal string `json:"awsPrincipalArn,omitempty"`
	KeyARN    string `json:"kmsKeyArn,omitempty"`
	Via       string `json:"kmsViaService,omitempty"`
}

// ServeHTTP implements http.Handler. GET /ping is for load balancers, and says that the proxy runs.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet && r.RequestURI == "/ping" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "pong\n")
		return
	}
	v := &visit{Proxy: p, r: r}
	v.rec = audit.Record{Time: p.o.Now(), RequestID: newID(), Source: r.RemoteAddr, UserAgent: r.UserAgent(), Service: service}
	answer, err := v.answered()
	code, content := v.encode(answer, err)
	if err := v.writeDown(code, err); err != nil {
		p.o.Log.Error("the audit record could not be written", "request", v.rec.RequestID, "error", err)
		code, content = v.encode(nil, fault.New(Internal, ""))
	}
	defer clear(content)
	clear(v.body)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	w.WriteHeader(code)
	_, _ = w.Write(content)
}

// answered performs the request, with a net under it. What a stranger can take is bounded before: the slots are for those
// who are known.
func (v *visit) answered() (answer any, err error) {
	defer func() {
		if p := recover(); p != nil {
			v.o.Log.Error("panic in the proxy", "request", v.rec.RequestID, "panic", fmt.Sprintf("%T", p))
			answer, err = nil, fault.New(Internal, "").Because(errors.New("panic"))
		}
	}()
	return v.perform()
}

// perform is the order of things: what is read is bounded, who asks comes before what is asked, and that
// before any key.
func (v *visit) perform() (any, error) {
	if v.r.Method != http.MethodPost {
		return nil, fault.New(MethodNotAllowed, "Requests are sent by POST.")
	}
	if strings.Trim(v.r.RequestURI, idCharacters+"/") != "" || len(v.r.RequestURI) > maxURI {
		return nil, errPath()
	}
	var err error
	if v.body, err = io.ReadAll(io.LimitReader(v.r.Body, maxBody+1)); err != nil {
		return nil, fault.New(Validation, "The request could not be read.").Because(err)
	}
	if len(v.body) > maxBody {
		return nil, fault.Newf(Validation, "The request has more than %d bytes.", maxBody)
	}
	if err := v.authenticate(); err != nil {
		return nil, err
	}
	path, ok := strings.CutPrefix(v.r.RequestURI, v.o.Prefix+base)
	if !ok {
		return nil, errPath()
	}
	select {
	case v.slots <- struct{}{}:
		defer func() { <-v.slots }()
	default:
		return nil, fault.New(Throttling, "There are too many requests at once.")
	}
	ctx, cancel := context.WithTimeout(v.r.Context(), v.o.Timeout)
	defer cancel()
	answer, err := v.route(ctx, path)
	if _, typed := errors.AsType[*fault.Error](err); !typed && ctx.Err() != nil {
		return nil, fault.New(DependencyTimeout, "The key manager did not answer in time.").Because(err)
	}
	return answer, err
}

// maxURI is the longest path of the API, in bytes.
const maxURI = 256 + 128

func errPath() error { return fault.New(InvalidURIPath, "There is nothing at this path.") }

func (v *visit) authenticate() error {
	verified, err := v.verifier.VerifyPath(v.r.Context(), &sigv4.Request{
		Service: service, Method: v.r.Method, Path: v.r.RequestURI, Host: v.r.Host,
		ContentLength: strconv.FormatInt(v.r.ContentLength, 10), Header: v.r.Header, Body: v.body,
	}, v.o.Now())
	if err != nil {
		if _, ok := errors.AsType[*fault.Error](err); ok {
			return fault.New(AuthenticationFailed, "The request is not signed, or its signature is not right.").Because(err)
		}
		return err
	}
	v.rec.Region, v.rec.AccessKeyID = verified.Region, verified.Principal.AccessKeyID
	return nil
}

// route finds what is asked for.
func (v *visit) route(ctx context.Context, path string) (any, error) {
	if path == "/health" {
		v.rec.Operation = "GetHealthStatus"
		return v.health(ctx)
	}
	rest, ok := strings.CutPrefix(path, "/keys/")
	id, operation, ok2 := strings.Cut(rest, "/")
	if !ok || !ok2 || id == "" {
		return nil, errPath()
	}
	v.note.Key = id
	if len(id) > 128 {
		return nil, fault.New(KeyNotFound, "There is no such key.")
	}
	switch operation {
	case "metadata":
		v.rec.Operation = "GetKeyMetadata"
		return v.metadata(ctx, id)
	case "encrypt":
		v.rec.Operation = "Encrypt"
		return v.encrypt(ctx, id)
	case "decrypt":
		v.rec.Operation = "Decrypt"
		return v.decrypt(ctx, id)
	}
	return nil, errPath()
}

// encode makes the bytes of an answer or of a refusal.
func (v *visit) encode(answer any, err error) (code int, content []byte) {
	if err == nil {
		if content, err = json.Marshal(answer); err == nil {
			return http.StatusOK, content
		}
	}
	f := asFault(err)
	content, err = json.Marshal(refusal{string(f.Code), f.Message})
	if err != nil {
		return http.StatusInternalServerError, nil
	}
	return status[f.Code], content
}

type refusal struct {
	Name    string `json:"errorName"`
	Message string `json:"errorMessage,omitempty"`
}

// asFault makes an InternalException of whatever the API has no name for.
func asFault(err error) *fault.Error {
	if f, ok := errors.AsType[*fault.Error](err); ok && status[f.Code] != 0 {
		return f
	}
	return fault.New(Internal, "").Because(err)
}

func (v *visit) writeDown(code int, err error) error {
	params, encodeErr := json.Marshal(v.note)
	if encodeErr != nil {
		return encodeErr
	}
	v.rec.Params, v.rec.Status, v.rec.Took = params, code, v.o.Now().Sub(v.rec.Time)
	if err != nil {
		f := asFault(err)
		v.rec.ErrorCode, v.rec.ErrorText = string(f.Code), f.Message
		if cause := errors.Unwrap(f); cause != nil {
			v.rec.Reason = cause.Error()
		}
		if status[f.Code] >= 500 {
			v.o.Log.Error("request failed", "request", v.rec.RequestID, "operation", v.rec.Operation, "error", f.Error())
		}
	}
	return v.o.Audit.Append(v.rec.Append(nil))
}
