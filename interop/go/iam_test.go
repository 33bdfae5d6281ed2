package story

import (
	"context"
	"errors"
	"net/http"
	neturl "net/url"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

const (
	useKeys = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["kms:GenerateDataKey","kms:Decrypt"],"Resource":"*"}]}`
	trust   = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + account + `:root"},"Action":"sts:AssumeRole"}]}`
)

func provider(id, key string) aws.CredentialsProvider {
	return credentials.NewStaticCredentialsProvider(id, key, "")
}

// iamIn is the SDK that Terraform uses, in a Region of its caller's.
func iamIn(region string, p aws.CredentialsProvider) *iam.Client {
	return iam.New(iam.Options{Region: region, BaseEndpoint: &url, Credentials: p, RetryMaxAttempts: 1})
}

// refusedWith checks how a refusal arrives: the client's own kind of error, the code,
// the status and the request's id.
func refusedWith[E error](t *testing.T, err error, code string, status int) {
	t.Helper()
	var kind E
	var api smithy.APIError
	var response *smithyhttp.ResponseError
	if !errors.As(err, &kind) || !errors.As(err, &api) || api.ErrorCode() != code || api.ErrorMessage() == "" {
		t.Errorf("%T %v, want %s", err, err, code)
	}
	if !errors.As(err, &response) || response.HTTPStatusCode() != status {
		t.Errorf("%v, want status %d", err, status)
	}
}

func TestIAM(t *testing.T) {
	ctx := t.Context()
	c := iamIn("eu-central-1", provider(keyID, secret))
	made, err := c.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("go-user"), Path: aws.String("/go/"), Tags: []iamtypes.Tag{{Key: aws.String("team"), Value: aws.String("ä b")}}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.GetUser(ctx, &iam.GetUserInput{UserName: aws.String("go-user")})
	if err != nil || *got.User.Arn != "arn:aws:iam::"+account+":user/go/go-user" || *got.User.UserId != *made.User.UserId || *got.User.Tags[0].Value != "ä b" || time.Since(*got.User.CreateDate).Abs() > time.Hour {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := c.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: aws.String("go-user"), PolicyName: aws.String("use"), PolicyDocument: aws.String(useKeys)}); err != nil {
		t.Fatal(err)
	}
	policy, err := c.GetUserPolicy(ctx, &iam.GetUserPolicyInput{UserName: aws.String("go-user"), PolicyName: aws.String("use")})
	if err != nil {
		t.Fatal(err)
	}
	// Go leaves the document as it is sent: escaped.
	if text, err := neturl.QueryUnescape(*policy.PolicyDocument); err != nil || text != useKeys {
		t.Errorf("%s %v", *policy.PolicyDocument, err)
	}

	k, err := c.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: aws.String("go-user")})
	if err != nil {
		t.Fatal(err)
	}
	user := provider(*k.AccessKey.AccessKeyId, *k.AccessKey.SecretAccessKey)
	who, err := sts.New(sts.Options{Region: "us-east-1", BaseEndpoint: &url, Credentials: user}).GetCallerIdentity(ctx, nil)
	if err != nil || *who.Arn != *made.User.Arn || *who.UserId != *made.User.UserId || *who.Account != account {
		t.Errorf("%+v %v", who, err)
	}
	use := func() error {
		_, err := kms.New(kms.Options{Region: "us-east-1", BaseEndpoint: &url, Credentials: user, RetryMaxAttempts: 1}).
			GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: example.KeyId, KeySpec: types.DataKeySpecAes256})
		return err
	}
	if err := use(); err != nil {
		t.Errorf("with a policy: %v", err)
	}
	_, err = iamIn("us-east-1", user).ListUsers(ctx, nil)
	refusedWith[smithy.APIError](t, err, "AccessDenied", http.StatusForbidden)
	_, err = c.DeleteUser(ctx, &iam.DeleteUserInput{UserName: aws.String("go-user")})
	refusedWith[*iamtypes.DeleteConflictException](t, err, "DeleteConflict", http.StatusConflict)
	_, err = c.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("GO-USER")})
	refusedWith[*iamtypes.EntityAlreadyExistsException](t, err, "EntityAlreadyExists", http.StatusConflict)
	_, err = c.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String("none")})
	refusedWith[*iamtypes.NoSuchEntityException](t, err, "NoSuchEntity", http.StatusNotFound)
	_, err = c.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: aws.String("go-user"), PolicyName: aws.String("x"), PolicyDocument: aws.String("{")})
	refusedWith[*iamtypes.MalformedPolicyDocumentException](t, err, "MalformedPolicyDocument", http.StatusBadRequest)
	if _, err := c.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: aws.String("go-user"), AccessKeyId: k.AccessKey.AccessKeyId}); err != nil {
		t.Error(err)
	}
	refusedWith[smithy.APIError](t, use(), "UnrecognizedClientException", http.StatusBadRequest)
}

func TestIAMPagesAndWaiters(t *testing.T) {
	ctx := t.Context()
	c := iamIn("us-east-1", provider(keyID, secret))
	var want []string
	for _, name := range []string{"go-a", "go-b", "go-c", "go-d", "go-e"} {
		if _, err := c.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &name, Path: aws.String("/pages/"), AssumeRolePolicyDocument: aws.String(trust)}); err != nil {
			t.Fatal(err)
		}
		want = append(want, name)
	}
	if err := iam.NewRoleExistsWaiter(c).Wait(ctx, &iam.GetRoleInput{RoleName: aws.String("go-a")}, time.Minute); err != nil {
		t.Error(err)
	}
	var got []string
	for pages := iam.NewListRolesPaginator(c, &iam.ListRolesInput{PathPrefix: aws.String("/pages/"), MaxItems: aws.Int32(2)}); pages.HasMorePages(); {
		page, err := pages.NextPage(context.WithoutCancel(ctx))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Roles {
			got = append(got, *r.RoleName)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}
