// Package awskms is the root of trust that is a key in AWS KMS, or in another server that
// speaks its protocol, such as another Trent. The root key crosses the connection to it.
// docs/spec/awskms-root.md has the format.
package awskms

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go"

	"trent/internal/root"
	"trent/internal/secret"
)

// version is the first byte of a wrapping; the CiphertextBlob follows.
const version = 1

// maxBlob bounds a CiphertextBlob, in bytes: the limit of Decrypt.
const maxBlob = 6144

// callTimeout bounds one call with its repetitions.
const callTimeout = 10 * time.Second

// arnForm takes the ARN of a key. An alias would be refused: it can be pointed at
// another key, and what was wrapped would be lost.
var arnForm = regexp.MustCompile(`^arn:aws[a-z-]{0,16}:kms:([a-z0-9-]{1,32}):[0-9]{12}:key/([A-Za-z0-9-]{1,57})$`)

// Root implements root.Root.
type Root struct {
	id, arn string
	client  *kms.Client
}

// Open names the key at awskms:ARN. It asks nobody yet.
func Open(l root.Locator) (*Root, error) {
	if err := l.Only("endpoint", "ca", "credentials"); err != nil {
		return nil, err
	}
	m := arnForm.FindStringSubmatch(l.Place)
	if m == nil {
		return nil, fmt.Errorf("root of trust %s: name the key by its ARN, awskms:arn:aws:kms:REGION:ACCOUNT:key/ID", l)
	}
	client, err := clientFor(l, m[1])
	if err != nil {
		return nil, fmt.Errorf("root of trust %s: %w", l, err)
	}
	return &Root{"awskms:" + m[2], l.Place, client}, nil
}

// ID implements root.Root. The replicas of a multi-Region key have one id.
func (r *Root) ID() string { return r.id }

// Wrap implements root.Root.
func (r *Root) Wrap(ctx context.Context, key secret.Bytes, aad []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := r.client.Encrypt(ctx, &kms.EncryptInput{KeyId: &r.arn, Plaintext: key.Expose(), EncryptionContext: boundTo(aad)})
	if err != nil {
		return nil, r.explain(err)
	}
	return append([]byte{version}, out.CiphertextBlob...), nil
}

// Unwrap implements root.Root.
func (r *Root) Unwrap(ctx context.Context, blob, aad []byte) (secret.Bytes, error) {
	if len(blob) < 2 || len(blob) > 1+maxBlob || blob[0] != version {
		return secret.Bytes{}, root.ErrBadData
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := r.client.Decrypt(ctx, &kms.DecryptInput{KeyId: &r.arn, CiphertextBlob: blob[1:], EncryptionContext: boundTo(aad)})
	if err != nil {
		return secret.Bytes{}, r.explain(err)
	}
	return secret.New(out.Plaintext), nil
}

// boundTo is the encryption context. Its members appear in the audit log of the KMS, and
// can be conditions of the key's policy.
func boundTo(aad []byte) map[string]string {
	return map[string]string{"trent:purpose": "root of trust", "trent:bound-to": hex.EncodeToString(aad)}
}

// explain tells the three kinds of failure apart.
func (r *Root) explain(err error) error {
	return fmt.Errorf("%s: %w: %s", r.id, kindOf(err), reason(err))
}

func kindOf(err error) error {
	refused, answered := errors.AsType[smithy.APIError](err)
	if !answered {
		return root.ErrUnavailable
	}
	switch refused.ErrorCode() {
	case "InvalidCiphertextException", "IncorrectKeyException":
		return root.ErrBadData
	case "ThrottlingException", "KeyUnavailableException", "DependencyTimeoutException", "KMSInternalException", "LimitExceededException":
		return root.ErrUnavailable
	}
	if res, ok := errors.AsType[*awshttp.ResponseError](err); ok && res.HTTPStatusCode() >= http.StatusInternalServerError {
		return root.ErrUnavailable
	}
	return root.ErrRefused
}

// reason is the end of the chain: what the server said, or why it did not.
func reason(err error) string {
	if refused, ok := errors.AsType[smithy.APIError](err); ok {
		return refused.ErrorCode() + ": " + refused.ErrorMessage()
	}
	if op, ok := errors.AsType[*smithy.OperationError](err); ok {
		return op.Unwrap().Error()
	}
	return err.Error()
}
