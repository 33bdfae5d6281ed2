package wire

import (
	"strings"

	"trent/internal/api"
	"trent/internal/api/query"
	"trent/internal/fault"
)

// Query is the query protocol of a service. Service is nil for a request that
// asks for none that is known.
type Query struct{ Service *api.Service }

// ContentType implements Codec.
func (Query) ContentType() string { return "text/xml" }

// Decode implements Codec.
func (Query) Decode(body []byte, in api.Input) error {
	form, err := query.ParseForm(body)
	if err != nil {
		return err
	}
	defer form.Wipe()
	return in.(query.Input).UnmarshalForm(form)
}

// Encode implements Codec.
func (q Query) Encode(dst []byte, op *api.Operation, out api.Output, requestID string) []byte {
	dst = q.open(dst, op.Name, "Response")
	if op.Output != api.NoOutput {
		dst = append(append(append(dst, '<'), op.Name...), "Result>"...)
		if o, ok := out.(query.Output); ok {
			dst = o.AppendXML(dst)
		}
		dst = append(append(append(dst, "</"...), op.Name...), "Result>"...)
	}
	dst = query.String(append(dst, "<ResponseMetadata>"...), "RequestId", requestID)
	dst = append(dst, "</ResponseMetadata></"...)
	return append(append(dst, op.Name...), "Response>"...)
}

// open appends the start of the outermost element.
func (q Query) open(dst []byte, name, suffix string) []byte {
	dst = append(append(append(dst, '<'), name...), suffix...)
	if q.Service != nil {
		dst = append(append(append(dst, ` xmlns="`...), q.Service.Namespace...), '"')
	}
	return append(dst, '>')
}

// Code implements Codec. What the service's own model lists keeps its name.
func (q Query) Code(c fault.Code) fault.Code {
	switch {
	case q.modelled(c) != 0:
		return c
	case c == "UnrecognizedClientException":
		return "InvalidClientTokenId"
	case c == "InvalidSignatureException":
		return "SignatureDoesNotMatch"
	case c == api.UnknownOperationException:
		return query.InvalidAction
	case c == api.ValidationException:
		return query.ValidationError
	case c == api.KeyUnavailableException, c == api.DependencyTimeoutException:
		return "ServiceUnavailable"
	case c == fault.Internal:
		return "InternalFailure"
	}
	return fault.Code(strings.TrimSuffix(string(c), "Exception"))
}

func (q Query) modelled(c fault.Code) int {
	if q.Service == nil {
		return 0
	}
	return q.Service.Status(c)
}

// EncodeFault implements Codec.
func (q Query) EncodeFault(dst []byte, f *fault.Error, requestID string) ([]byte, int) {
	status, kind := q.status(f.Code), "Sender"
	if status >= 500 {
		kind = "Receiver"
	}
	dst = append(q.open(dst, "ErrorResponse", ""), "<Error>"...)
	dst = query.String(dst, "Type", kind)
	dst = query.String(dst, "Code", q.Code(f.Code))
	dst = query.String(dst, "Message", f.Message)
	dst = query.String(append(dst, "</Error>"...), "RequestId", requestID)
	return append(dst, "</ErrorResponse>"...), status
}

func (q Query) status(c fault.Code) int {
	if status := q.modelled(c); status != 0 {
		return status
	}
	switch q.Code(c) {
	case "AccessDenied", "InvalidClientTokenId", "SignatureDoesNotMatch", "MissingAuthenticationToken", "ExpiredToken":
		return 403
	case "InternalFailure":
		return 500
	case "ServiceUnavailable":
		return 503
	}
	if status := doorStatus(c); status != 0 {
		return status
	}
	return 400
}
