// Package wire speaks the two protocols: awsJson 1.1, which is KMS's, and the
// query protocol, which IAM and STS have: bytes to typed input, typed output or
// fault to bytes. It is strict. In JSON a member counts only in its exact case, one
// that is there twice is refused, as is anything after the object, bad UTF-8, and
// what is nested too deep or has too many parts. Package api/query says the same
// of forms.
package wire

import (
	"github.com/go-json-experiment/json/jsontext"

	"trent/internal/api"
	"trent/internal/fault"
)

// A Codec is the protocol of a service.
type Codec interface {
	// ContentType of every answer.
	ContentType() string
	// Decode reads the body of a request into in, which keeps no part of it.
	Decode(body []byte, in api.Input) error
	// Encode appends the body of a success.
	Encode(dst []byte, op *api.Operation, out api.Output, requestID string) []byte
	// Code is what the service calls a refusal that any service may give.
	Code(c fault.Code) fault.Code
	// EncodeFault appends the body of a refusal and returns its HTTP status.
	EncodeFault(dst []byte, f *fault.Error, requestID string) ([]byte, int)
}

// JSON is awsJson 1.1.
type JSON struct{}

// ContentType implements Codec.
func (JSON) ContentType() string { return "application/x-amz-json-1.1" }

// Decode implements Codec. An empty body is an empty object, as some clients send
// for requests without members.
func (JSON) Decode(body []byte, in api.Input) error {
	if len(body) == 0 {
		return nil
	}
	return api.Decode(body, in.(api.JSONInput))
}

// Encode implements Codec. An action without output has an empty body.
func (JSON) Encode(dst []byte, _ *api.Operation, out api.Output, _ string) []byte {
	if o, ok := out.(api.JSONOutput); ok {
		return o.AppendJSON(dst)
	}
	return dst
}

// Code implements Codec. The codes of this house are those of KMS, but for the one
// of expired sessions, which means something else in STS.
func (JSON) Code(c fault.Code) fault.Code {
	if c == expiredToken {
		return "ExpiredTokenException"
	}
	return c
}

const expiredToken fault.Code = "ExpiredToken"

// EncodeFault implements Codec. AccessDeniedException alone has a capital M in
// Message, as in AWS KMS.
func (j JSON) EncodeFault(dst []byte, f *fault.Error, _ string) ([]byte, int) {
	dst = append(dst, `{"__type":"`...)
	dst = append(dst, j.Code(f.Code)...)
	dst = append(dst, '"')
	if f.Message != "" {
		name := `,"message":`
		if f.Code == api.AccessDeniedException {
			name = `,"Message":`
		}
		dst = append(dst, name...)
		dst, _ = jsontext.AppendQuote(dst, f.Message) // bad UTF-8 becomes U+FFFD
	}
	status := doorStatus(f.Code)
	if status == 0 {
		status = api.Status(f.Code)
	}
	return append(dst, '}'), status
}

// Codes that only the door gives; they are in no model.
const (
	BadRequest       fault.Code = "BadRequestException"
	TooLarge         fault.Code = "RequestEntityTooLargeException"
	HeaderTooLarge   fault.Code = "RequestHeaderFieldsTooLargeException"
	MethodNotAllowed fault.Code = "MethodNotAllowedException"
	NoSuchPath       fault.Code = "ResourceNotFoundException"
	RequestTimeout   fault.Code = "RequestTimeoutException"
	Unavailable      fault.Code = "ServiceUnavailableException"
)

// doorStatus is the HTTP status of a code that only the door gives, or zero.
func doorStatus(c fault.Code) int {
	switch c {
	case BadRequest:
		return 400
	case TooLarge:
		return 413
	case HeaderTooLarge:
		return 431
	case MethodNotAllowed:
		return 405
	case NoSuchPath:
		return 404
	case RequestTimeout:
		return 408
	case Unavailable:
		return 503
	}
	return 0
}
