package wire_test

import (
	"encoding/xml"
	"testing"

	"trent/internal/api"
	"trent/internal/api/iamapi"
	"trent/internal/api/stsapi"
	"trent/internal/fault"
	"trent/internal/sigv4"
	"trent/internal/wire"
)

var (
	iamQuery = wire.Query{Service: iamapi.IAM()}
	stsQuery = wire.Query{Service: stsapi.STS()}
)

// The envelope of every kind of refusal in the query protocol, to the byte.
func TestQueryErrorEnvelope(t *testing.T) {
	for _, c := range []struct {
		codec  wire.Query
		code   fault.Code
		status int
		kind   string
		want   fault.Code
	}{
		{iamQuery, iamapi.NoSuchEntity, 404, "Sender", "NoSuchEntity"},
		{iamQuery, iamapi.EntityAlreadyExists, 409, "Sender", "EntityAlreadyExists"},
		{iamQuery, iamapi.DeleteConflict, 409, "Sender", "DeleteConflict"},
		{iamQuery, iamapi.LimitExceeded, 409, "Sender", "LimitExceeded"},
		{iamQuery, iamapi.InvalidInput, 400, "Sender", "InvalidInput"},
		{iamQuery, iamapi.MalformedPolicyDocument, 400, "Sender", "MalformedPolicyDocument"},
		{iamQuery, iamapi.ServiceFailure, 500, "Receiver", "ServiceFailure"},
		{iamQuery, sigv4.MissingAuthenticationToken, 403, "Sender", "MissingAuthenticationToken"},
		{iamQuery, sigv4.IncompleteSignature, 400, "Sender", "IncompleteSignature"},
		{iamQuery, sigv4.UnrecognizedClient, 403, "Sender", "InvalidClientTokenId"},
		{iamQuery, sigv4.InvalidSignature, 403, "Sender", "SignatureDoesNotMatch"},
		{iamQuery, api.AccessDeniedException, 403, "Sender", "AccessDenied"},
		{iamQuery, "ExpiredTokenException", 403, "Sender", "ExpiredToken"},
		{iamQuery, api.ThrottlingException, 400, "Sender", "Throttling"},
		{iamQuery, api.UnknownOperationException, 400, "Sender", "InvalidAction"},
		{iamQuery, api.UnsupportedOperationException, 400, "Sender", "UnsupportedOperation"},
		{iamQuery, api.ValidationException, 400, "Sender", "ValidationError"},
		{iamQuery, api.DependencyTimeoutException, 503, "Receiver", "ServiceUnavailable"},
		{iamQuery, api.KeyUnavailableException, 503, "Receiver", "ServiceUnavailable"},
		{iamQuery, fault.Internal, 500, "Receiver", "InternalFailure"},
		{iamQuery, wire.TooLarge, 413, "Sender", "RequestEntityTooLarge"},
		{iamQuery, wire.Unavailable, 503, "Receiver", "ServiceUnavailable"},
		{iamQuery, wire.NoSuchPath, 404, "Sender", "ResourceNotFound"},
		{stsQuery, stsapi.ExpiredTokenException, 400, "Sender", "ExpiredTokenException"},
		{stsQuery, stsapi.IDPRejectedClaim, 403, "Sender", "IDPRejectedClaim"},
		{wire.Query{}, "MissingAction", 400, "Sender", "MissingAction"},
	} {
		xmlns := ""
		if c.codec.Service != nil {
			xmlns = ` xmlns="` + c.codec.Service.Namespace + `"`
		}
		want := "before <ErrorResponse" + xmlns + "><Error><Type>" + c.kind + "</Type><Code>" + string(c.want) + "</Code><Message>a &lt;b&gt;</Message></Error><RequestId>id</RequestId></ErrorResponse>"
		body, status := c.codec.EncodeFault([]byte("before "), fault.New(c.code, "a <b>"), "id")
		if string(body) != want || status != c.status || c.codec.Code(c.code) != c.want {
			t.Errorf("%s: %d %s\nwant %d %s", c.code, status, body, c.status, want)
		}
	}
}

func TestQueryEncode(t *testing.T) {
	for _, c := range []struct {
		operation string
		out       api.Output
		want      string
	}{
		{"DeleteUser", nil, `<DeleteUserResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></DeleteUserResponse>`},
		{"UpdateRole", &iamapi.UpdateRoleOutput{}, `<UpdateRoleResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><UpdateRoleResult></UpdateRoleResult><ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></UpdateRoleResponse>`},
		{"ListAccountAliases", &iamapi.ListAccountAliasesOutput{AccountAliases: []string{"a", "b"}}, `<ListAccountAliasesResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ListAccountAliasesResult><AccountAliases><member>a</member><member>b</member></AccountAliases><IsTruncated>false</IsTruncated></ListAccountAliasesResult><ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></ListAccountAliasesResponse>`},
	} {
		op, _ := iamapi.Lookup(c.operation)
		if got := string(iamQuery.Encode([]byte("x"), op, c.out, "id")); got != "x"+c.want {
			t.Errorf("%s\nwant %s", got[1:], c.want)
		}
	}
}

// Every operation reads a form and writes a document that is well-formed.
func TestQueryOperations(t *testing.T) {
	for codec, operations := range map[wire.Query][]*api.Operation{iamQuery: iamapi.Operations(), stsQuery: stsapi.Operations()} {
		for _, op := range operations {
			in := op.New()
			if err := codec.Decode([]byte("Action="+op.Name+"&Version="+codec.Service.Version), in); err != nil {
				t.Errorf("%s: %v", op.Name, err)
			}
			for _, m := range op.Members {
				if in.Has(m.Name) {
					t.Errorf("%s has %s", op.Name, m.Name)
				}
			}
			if found, ok := codec.Service.Lookup(op.Name); !ok || found != op {
				t.Errorf("%s is not found", op.Name)
			}
			var any struct{}
			if err := xml.Unmarshal(codec.Encode(nil, op, nil, "id"), &any); err != nil {
				t.Errorf("%s: %v", op.Name, err)
			}
		}
	}
}
