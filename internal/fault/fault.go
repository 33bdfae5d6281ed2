// Package fault is the one error type that crosses rooms.
//
// A fault carries the code and the text that the caller of the API may see,
// and, apart from them, the cause that only the log may see. Everything else
// that implements error is a surprise: the door turns it into a bare
// KMSInternalException (see docs/decisions/0002-one-error-type.md).
package fault

import (
	"errors"
	"fmt"
)

// A Code is the short name of an error on the wire, such as
// "NotFoundException". The modelled ones are constants of package api; those
// of authentication are constants of package sigv4.
type Code string

// Internal is the code of everything that is nobody's fault but ours.
const Internal Code = "KMSInternalException"

// Error is a refusal with a code. Message may be empty: some refusals say
// nothing on purpose (an unreadable ciphertext, for one). Neither Code nor
// Message ever holds a secret.
type Error struct {
	Code    Code
	Message string
	cause   error
}

// New makes a fault whose text is shown to the caller as it is.
func New(code Code, message string) *Error { return &Error{Code: code, Message: message} }

// Newf is New with a format.
func Newf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Because attaches the cause that the log shows and the caller does not.
func (e *Error) Because(cause error) *Error {
	return &Error{Code: e.Code, Message: e.Message, cause: cause}
}

// Error is the text for logs: code, message and cause.
func (e *Error) Error() string {
	s := string(e.Code)
	if e.Message != "" {
		s += ": " + e.Message
	}
	if e.cause != nil {
		s += " (" + e.cause.Error() + ")"
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.cause }

// From finds the fault in err's chain. What has none becomes a bare Internal
// fault with err as its cause, so that no foreign text reaches a caller.
func From(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return New(Internal, "").Because(err)
}

// Is reports whether err carries a fault with this code.
func Is(err error, code Code) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Code == code
}
