// Package sigv4 verifies AWS Signature Version 4 on the Authorization header,
// as AWS KMS, IAM and STS take it: POST / with an empty query (AWS General Reference,
// "Signature Version 4 signing process"); and in the query, for the one request that may
// be presigned (presigned.go). It is pure: it is handed the request,
// the clock and something that knows access keys.
//
// It canonicalises what arrived, and never rebuilds and re-signs a request: a
// signer and a verifier that share code share their mistakes. Beyond AWS, it
// insists that host and every x-amz-* header that is present is signed, since
// an unsigned X-Amz-Target would let a captured request become another one.
package sigv4

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"trent/internal/fault"
	"trent/internal/iam"
	"trent/internal/secret"
)

// The codes of this room, all outside the API model.
const (
	MissingAuthenticationToken fault.Code = "MissingAuthenticationTokenException"
	IncompleteSignature        fault.Code = "IncompleteSignatureException"
	UnrecognizedClient         fault.Code = "UnrecognizedClientException"
	InvalidSignature           fault.Code = "InvalidSignatureException"
	// ExpiredToken is ExpiredTokenException in KMS. In STS that is the code of
	// something else, an expired web identity token.
	ExpiredToken fault.Code = "ExpiredToken"
)

const (
	regional   = "kms" // the service that is called in a Region
	terminator = "aws4_request"
	stampForm  = "20060102T150405Z"

	// Window is how far, either way, the time of a signature may be from ours.
	Window = 5 * time.Minute
)

// A Request is what the verifier needs of an HTTP request. Host is the literal
// Host header; Header has canonical names, as net/http leaves them.
type Request struct {
	Service       string // that the request is for: kms, iam, sts
	Method        string
	Path          string
	RawQuery      string
	Host          string
	ContentLength string // as received, or the length of the body in digits
	Header        map[string][]string
	Body          []byte
}

// A Credential is what stands behind an access key id.
type Credential struct {
	Secret    secret.Bytes
	Revision  uint64 // changes whenever the secret does
	Principal *iam.Principal
	Expires   time.Time // of temporary credentials; zero: never
}

// Keys knows access keys.
type Keys interface {
	// Credential returns what stands behind an access key id, or ErrUnknownKey. The
	// token is that of temporary credentials, as it was sent: empty with others.
	Credential(ctx context.Context, accessKeyID, token string) (Credential, error)
}

// ErrUnknownKey is what Keys answers for an access key id that is not there, and for
// one that does not go with the token.
var ErrUnknownKey = errors.New("sigv4: unknown access key")

// Verified is what a good signature proves.
type Verified struct {
	Principal *iam.Principal
	Region    string    // of the credential scope
	Signed    time.Time // second resolution
	Signature string    // 64 hexadecimal digits
}

// A Verifier verifies. It may be used by many goroutines.
type Verifier struct {
	keys    Keys
	regions Regions
	signing *signingKeys
	dummy   Credential
	scratch sync.Pool // *[]byte; holds canonical requests, nothing secret
}

// Regions are the region names that a credential scope may have.
type Regions struct {
	Any   bool
	Names []string
	Home  string // of the partition; IAM and STS, which have no Region, are signed for it
}

// Has reports whether region is accepted.
func (r Regions) Has(region string) bool {
	return slices.Contains(r.Names, region) || r.Any && plausibleRegion(region)
}

// NewVerifier makes a verifier over keys.
func NewVerifier(keys Keys, regions Regions) *Verifier {
	return &Verifier{
		keys:    keys,
		regions: regions,
		signing: newSigningKeys(),
		dummy:   Credential{Secret: secret.New(make([]byte, 40))},
		scratch: sync.Pool{New: func() any { b := make([]byte, 0, 2048); return &b }},
	}
}

// Verify checks the signature of r at the time now.
func (v *Verifier) Verify(ctx context.Context, r *Request, now time.Time) (Verified, error) {
	if r.Path != "/" {
		return Verified{}, fault.New(MissingAuthenticationToken, "Missing Authentication Token")
	}
	return v.VerifyPath(ctx, r, now)
}

// VerifyPath is Verify for a service with more paths than one. All their characters must be of those that stand
// for themselves in a URI, so that a path is canonical as it is.
func (v *Verifier) VerifyPath(ctx context.Context, r *Request, now time.Time) (Verified, error) {
	if r.Method != "POST" || !plainPath(r.Path) || r.RawQuery != "" {
		return Verified{}, fault.New(MissingAuthenticationToken, "Missing Authentication Token")
	}
	auth, err := parseAuthorization(r)
	if err != nil {
		return Verified{}, err
	}
	stamp := r.Header["X-Amz-Date"]
	if len(stamp) != 1 {
		return Verified{}, fault.New(IncompleteSignature, "Authorization header requires existence of one 'X-Amz-Date' header. Authorization="+auth.shown())
	}
	auth.stamp = stamp[0]
	return v.verify(ctx, r, auth, r.Header["X-Amz-Security-Token"], Window, now)
}

// plainPath reports whether a path is its own canonical form: nothing in it is escaped, or would be, and no
// part is empty or says that it is another one.
func plainPath(path string) bool {
	if path == "/" {
		return true
	}
	parts, ok := strings.CutPrefix(path, "/")
	if !ok {
		return false
	}
	for part := range strings.SplitSeq(parts, "/") {
		if part == "" || part == "." || part == ".." || strings.Trim(part, unreserved) != "" {
			return false
		}
	}
	return true
}

// unreserved are the characters of RFC 3986, section 2.3.
const unreserved = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"

// verify says all that can be said without the secret, of a signature that may be as old
// as age, and then asks for the secret and holds the signature against it.
func (v *Verifier) verify(ctx context.Context, r *Request, auth authorization, token []string, age time.Duration, now time.Time) (Verified, error) {
	signed, err := checkDate(auth, age, now)
	if err != nil {
		return Verified{}, err
	}
	if err := v.checkScope(r.Service, auth); err != nil {
		return Verified{}, err
	}
	if err := checkSignedHeaders(r, auth); err != nil {
		return Verified{}, err
	}
	payload := sha256.Sum256(r.Body)
	if err := checkPayloadHash(r, &payload); err != nil {
		return Verified{}, err
	}
	cred, known, err := v.lookUp(ctx, auth.accessKey, token)
	if err != nil {
		return Verified{}, err
	}
	// An unknown access key costs the same work as a known one, with a secret
	// that nobody has: time tells no more than the code does, which is that of AWS.
	owner := auth.accessKey
	if !known {
		cred, owner = v.dummy, ""
	}
	matches := v.matches(r, auth, &payload, owner, cred)
	if err := judge(known, matches, cred, now); err != nil {
		return Verified{}, err
	}
	return Verified{Principal: cred.Principal, Region: auth.region, Signed: signed, Signature: auth.signature}, nil
}

// MaxToken is the longest session token that is looked at, in bytes.
const MaxToken = 4096

// lookUp asks for what stands behind an access key id and the token that was sent
// with it, if one was. A token that cannot be one is never looked up.
func (v *Verifier) lookUp(ctx context.Context, accessKey string, sent []string) (cred Credential, known bool, err error) {
	token := ""
	if len(sent) > 0 {
		if token = sent[0]; token == "" || len(token) > MaxToken {
			return Credential{}, false, nil
		}
	}
	cred, err = v.keys.Credential(ctx, accessKey, token)
	switch {
	case err == nil:
		return cred, true, nil
	case errors.Is(err, ErrUnknownKey):
		return Credential{}, false, nil
	}
	return Credential{}, false, fmt.Errorf("look up access key: %w", err)
}

// judge is the verdict. That a session is over is told to who holds its secret.
func judge(known, matches bool, cred Credential, now time.Time) error {
	switch {
	case !known:
		return fault.New(UnrecognizedClient, "The security token included in the request is invalid.")
	case !matches:
		return errMismatch()
	case !cred.Expires.IsZero() && !now.Before(cred.Expires):
		return fault.New(ExpiredToken, "The security token included in the request is expired")
	}
	return nil
}

func errMismatch() error {
	return fault.New(InvalidSignature, "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
}

// checkDate holds the time of the signature, which may be so old, against the clock and
// the credential scope.
func checkDate(a authorization, age time.Duration, now time.Time) (time.Time, error) {
	signed, err := time.Parse(stampForm, a.stamp)
	if err != nil || len(a.stamp) != len(stampForm) {
		return time.Time{}, fault.New(IncompleteSignature, "Date must be in ISO-8601 'basic format'. See http://en.wikipedia.org/wiki/ISO_8601")
	}
	now = now.UTC()
	switch {
	case signed.Before(now.Add(-age)):
		return time.Time{}, fault.Newf(InvalidSignature, "Signature expired: %s is now earlier than %s (%s - %d min.)",
			a.stamp, now.Add(-age).Format(stampForm), now.Format(stampForm), int(age/time.Minute))
	case signed.After(now.Add(Window)):
		return time.Time{}, fault.Newf(InvalidSignature, "Signature not yet current: %s is still later than %s (%s + 5 min.)",
			a.stamp, now.Add(Window).Format(stampForm), now.Format(stampForm))
	case a.date != a.stamp[:8]:
		return time.Time{}, fault.New(InvalidSignature, "Date in Credential scope does not match YYYYMMDD from the 'X-Amz-Date' header.")
	}
	return signed, nil
}

// accepts reports whether a request for the service may be signed for the region.
func (v *Verifier) accepts(service, region string) bool {
	return v.regions.Has(region) || service != regional && region != "" && region == v.regions.Home
}

func (v *Verifier) checkScope(service string, a authorization) error {
	switch {
	case a.terminator != terminator:
		return fault.New(InvalidSignature, "Credential should be scoped with a valid terminator: 'aws4_request'.")
	case !v.accepts(service, a.region):
		return fault.New(InvalidSignature, "Credential should be scoped to a valid region.")
	case a.service != service:
		return fault.New(InvalidSignature, "Credential should be scoped to correct service: '"+service+"'.")
	}
	return nil
}

// checkPayloadHash holds x-amz-content-sha256 against the body, where it was
// sent. The body is always hashed, so UNSIGNED-PAYLOAD and streaming forms are
// refused here with everything else that is not the hash.
func checkPayloadHash(r *Request, payload *[sha256.Size]byte) error {
	sent := r.Header["X-Amz-Content-Sha256"]
	if len(sent) == 0 {
		return nil
	}
	if len(sent) != 1 || sent[0] != hex.EncodeToString(payload[:]) {
		return errMismatch()
	}
	return nil
}

// matches computes the signature and compares it in constant time.
func (v *Verifier) matches(r *Request, a authorization, payload *[sha256.Size]byte, owner string, cred Credential) bool {
	buf := v.scratch.Get().(*[]byte)
	defer v.scratch.Put(buf)
	b, ok := appendCanonical((*buf)[:0], r, a, payload)
	*buf = b
	if !ok {
		return false
	}
	sum := sha256.Sum256(b)
	b = append(b[:0], "AWS4-HMAC-SHA256\n"...)
	b = append(b, a.stamp...)
	b = append(b, '\n')
	b = append(b, a.scope...)
	b = append(b, '\n')
	b = hex.AppendEncode(b, sum[:])
	mac := v.signing.mac(owner, a, cred)
	mac.Write(b)
	b = hex.AppendEncode(b[:0], mac.Sum(mac.sum[:0]))
	mac.release()
	*buf = b
	return hmac.Equal(b, []byte(a.signature))
}

// plausibleRegion bounds what "any region" takes: it becomes part of ARNs and
// of store paths.
func plausibleRegion(s string) bool {
	if s == "" || len(s) > 32 {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == "" && s[0] != '-'
}
