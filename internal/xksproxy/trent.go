package xksproxy

import (
	"context"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"trent/internal/fault"
	"trent/internal/secret"
)

// DefaultAliasPrefix is what the aliases of keys that are served begin with.
const DefaultAliasPrefix = "alias/xks/"

// Trent is the Manager that is a client of a Trent. The key of an external key id is the one behind the
// alias of that name under Prefix, and no other: HMAC_256, for GenerateMac derives what is
// needed without giving the key away.
type Trent struct {
	Client *kms.Client
	Prefix string // such as DefaultAliasPrefix
}

// Describe implements Manager.
func (t *Trent) Describe(ctx context.Context, id string) (Description, error) {
	alias, err := t.alias(id)
	if err != nil {
		return Description{}, err
	}
	out, err := t.Client.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: alias})
	if err != nil {
		return Description{}, refused(err)
	}
	m := out.KeyMetadata
	d := Description{Spec: string(m.KeySpec), Usage: usages[m.KeyUsage], Enabled: m.KeyState == types.KeyStateEnabled}
	if m.KeySpec == types.KeySpecHmac256 {
		d.Spec, d.Usage = "AES_256", []string{"ENCRYPT", "DECRYPT"}
	}
	return d, nil
}

// usages are what keys of other kinds can do, in the words that the API takes from PKCS #11. They do none of
// it here.
var usages = map[types.KeyUsageType][]string{
	types.KeyUsageTypeEncryptDecrypt: {"WRAP", "UNWRAP"}, types.KeyUsageTypeSignVerify: {"SIGN", "VERIFY"},
	types.KeyUsageTypeGenerateVerifyMac: {"SIGN", "VERIFY"}, types.KeyUsageTypeKeyAgreement: {"DERIVE"},
	"ENCAPSULATE_DECAPSULATE": {"DERIVE"},
}

// Derive implements Manager.
func (t *Trent) Derive(ctx context.Context, id string, input []byte) (secret.Bytes, error) {
	alias, err := t.alias(id)
	if err != nil {
		return secret.Bytes{}, err
	}
	out, err := t.Client.GenerateMac(ctx, &kms.GenerateMacInput{KeyId: alias, MacAlgorithm: types.MacAlgorithmSpecHmacSha256, Message: input})
	if err != nil {
		return secret.Bytes{}, refused(err)
	}
	return secret.New(out.Mac), nil
}

// Healthy implements Manager. It asks for what every use needs, an answer to who this proxy is, and leaves the
// keys alone.
func (t *Trent) Healthy(ctx context.Context) error {
	_, err := t.Client.GenerateRandom(ctx, &kms.GenerateRandomInput{NumberOfBytes: aws.Int32(1)})
	return err
}

// alias is the name of the key of an id. Aliases have fewer characters than ids.
func (t *Trent) alias(id string) (*string, error) {
	if strings.Contains(id, ".") {
		return nil, fault.New(KeyNotFound, "There is no such key.")
	}
	return aws.String(t.Prefix + id), nil
}

// refused says in the words of the API what Trent refused.
func refused(err error) error {
	refusal, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return err // nothing that Trent said: it could not be reached, or not in time
	}
	switch code := refusal.ErrorCode(); code {
	case "NotFoundException":
		return fault.New(KeyNotFound, "There is no such key.").Because(err)
	case "DisabledException", "KMSInvalidStateException":
		return fault.New(InvalidState, "The key is not enabled.").Because(err)
	case "InvalidKeyUsageException", "UnsupportedOperationException":
		return fault.New(InvalidKeyUsage, "The key does not encrypt.").Because(err)
	case "AccessDeniedException":
		return fault.New(AccessDenied, "The proxy may not use the key.").Because(err)
	case "ThrottlingException":
		return fault.New(Throttling, "The key manager gets too many requests.").Because(err)
	case "DependencyTimeoutException", "KeyUnavailableException":
		return fault.New(DependencyTimeout, "The key manager could not answer in time.").Because(err)
	}
	return fault.New(Internal, "The key manager failed.").Because(err)
}
