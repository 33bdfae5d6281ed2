package api

import "trent/internal/fault"

// Codes that the model does not list and that any operation may answer. Those
// of authentication belong to package sigv4.
const (
	AccessDeniedException     fault.Code = "AccessDeniedException"
	NotAuthorizedException    fault.Code = "NotAuthorizedException"
	SerializationException    fault.Code = "SerializationException"
	ThrottlingException       fault.Code = "ThrottlingException"
	UnknownOperationException fault.Code = "UnknownOperationException"
	ValidationException       fault.Code = "ValidationException"
)

func common(c fault.Code) bool {
	switch c {
	case AccessDeniedException, NotAuthorizedException, SerializationException,
		ThrottlingException, UnknownOperationException, ValidationException,
		fault.Internal:
		return true
	}
	return false
}

// Status is the HTTP status of an answer with this code.
func Status(c fault.Code) int {
	if status := modelled(c); status != 0 {
		return status
	}
	if c == fault.Internal {
		return 500
	}
	return 400
}
