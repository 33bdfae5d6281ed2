// Package wire speaks awsJson 1.1: bytes to typed input, typed output or fault
// to bytes. It is strict: a member counts only in its exact case, one that is
// there twice is refused, as is anything after the object, bad UTF-8, and what
// is nested too deep or has too many parts.
package wire

import (
	"github.com/go-json-experiment/json/jsontext"

	"trent/internal/api"
	"trent/internal/fault"
)

// ContentType of every answer.
const ContentType = "application/x-amz-json-1.1"

// Decode reads the body of a request into in, which keeps no part of it. An
// empty body is an empty object, as some clients send for requests without
// members.
func Decode(body []byte, in api.Input) error {
	if len(body) == 0 {
		return nil
	}
	return api.Decode(body, in.(api.JSONInput))
}

// Encode appends the body of a success: nothing for an action without output.
func Encode(dst []byte, out api.Output) []byte {
	if o, ok := out.(api.JSONOutput); ok {
		return o.AppendJSON(dst)
	}
	return dst
}

// EncodeFault appends the body of a refusal and returns its HTTP status.
// AccessDeniedException alone has a capital M in Message, as in AWS KMS.
func EncodeFault(dst []byte, f *fault.Error) ([]byte, int) {
	dst = append(dst, `{"__type":"`...)
	dst = append(dst, f.Code...)
	dst = append(dst, '"')
	if f.Message != "" {
		name := `,"message":`
		if f.Code == api.AccessDeniedException {
			name = `,"Message":`
		}
		dst = append(dst, name...)
		dst, _ = jsontext.AppendQuote(dst, f.Message) // bad UTF-8 becomes U+FFFD
	}
	return append(dst, '}'), status(f.Code)
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

func status(c fault.Code) int {
	switch c {
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
	return api.Status(c)
}
