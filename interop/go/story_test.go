// Package story plays the story of ../README.md with the AWS SDK for Go.
package story

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"trent/trenttest/process"
	"trent/trenttest/raw"
)

const account = "111122223333"

var (
	url           string
	keyID, secret string
	client        *kms.Client
	example       *types.KeyMetadata // of a key with the alias alias/story
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "trent-story")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(dir)
	binary, err := process.Build(dir)
	if err != nil {
		return fail(err)
	}
	data := filepath.Join(dir, "data")
	if keyID, secret, err = process.Init(binary, data); err != nil {
		return fail(err)
	}
	srv, err := process.Command{Binary: binary, Args: []string{"serve", "--dir", data, "--listen", "127.0.0.1:0"}}.Start()
	if err != nil {
		return fail(err)
	}
	defer srv.Kill()
	url = srv.URL
	client = newClient("us-east-1")
	key, err := client.CreateKey(context.Background(), &kms.CreateKeyInput{Description: aws.String("the story's")})
	if err != nil {
		return fail(err)
	}
	example = key.KeyMetadata
	if _, err := client.CreateAlias(context.Background(), &kms.CreateAliasInput{AliasName: aws.String("alias/story"), TargetKeyId: example.KeyId}); err != nil {
		return fail(err)
	}
	return m.Run()
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

func newClient(region string, opts ...func(*kms.Options)) *kms.Client {
	return kms.New(kms.Options{
		Region: region, BaseEndpoint: &url, Credentials: credentials.NewStaticCredentialsProvider(keyID, secret, ""),
	}, opts...)
}

// must fails the test on an error and hands the value on.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// refused checks the type of a refusal.
func refused[E error](t *testing.T, err error) {
	t.Helper()
	if _, ok := errors.AsType[E](err); !ok {
		t.Errorf("got %v, want a %s", err, reflect.TypeFor[E]())
	}
}

func createKey(t *testing.T) string {
	t.Helper()
	return *must(client.CreateKey(t.Context(), &kms.CreateKeyInput{}))(t).KeyMetadata.KeyId
}

func TestDataKeyByEveryName(t *testing.T) {
	names := []string{*example.KeyId, *example.Arn, "alias/story", "arn:aws:kms:us-east-1:" + account + ":alias/story"}
	blue := map[string]string{"tenant": "blue", "purpose": "story"}
	for _, made := range names {
		k := must(client.GenerateDataKey(t.Context(), &kms.GenerateDataKeyInput{KeyId: &made, KeySpec: types.DataKeySpecAes256, EncryptionContext: blue}))(t)
		if len(k.Plaintext) != 32 || *k.KeyId != *example.Arn {
			t.Errorf("%s: %d bytes under %s", made, len(k.Plaintext), *k.KeyId)
		}
		for _, used := range append(names, "") {
			in := &kms.DecryptInput{CiphertextBlob: k.CiphertextBlob, EncryptionContext: blue}
			if used != "" {
				in.KeyId = &used
			}
			out := must(client.Decrypt(t.Context(), in))(t)
			if !bytes.Equal(out.Plaintext, k.Plaintext) || *out.KeyId != *example.Arn || out.EncryptionAlgorithm != types.EncryptionAlgorithmSpecSymmetricDefault {
				t.Errorf("made by %s, used by %q: %v", made, used, out)
			}
		}
	}
	long := must(client.GenerateDataKeyWithoutPlaintext(t.Context(), &kms.GenerateDataKeyWithoutPlaintextInput{KeyId: example.KeyId, NumberOfBytes: aws.Int32(1024)}))(t)
	if out := must(client.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: long.CiphertextBlob}))(t); len(out.Plaintext) != 1024 {
		t.Errorf("%d bytes, want 1024", len(out.Plaintext))
	}
}

func TestWrongContext(t *testing.T) {
	e := must(client.Encrypt(t.Context(), &kms.EncryptInput{KeyId: example.KeyId, Plaintext: []byte("secret"), EncryptionContext: map[string]string{"a": "bc"}}))(t)
	for _, context := range []map[string]string{nil, {"a": "bd"}, {"ab": "c"}, {"A": "bc"}, {"a": "bc", "d": "e"}, {"a": ""}} {
		_, err := client.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: e.CiphertextBlob, EncryptionContext: context})
		refused[*types.InvalidCiphertextException](t, err)
	}
}

func TestReEncrypt(t *testing.T) {
	other := createKey(t)
	from, to := map[string]string{"stage": "one"}, map[string]string{"stage": "two"}
	e := must(client.Encrypt(t.Context(), &kms.EncryptInput{KeyId: example.KeyId, Plaintext: []byte("moved"), EncryptionContext: from}))(t)
	r := must(client.ReEncrypt(t.Context(), &kms.ReEncryptInput{CiphertextBlob: e.CiphertextBlob, SourceEncryptionContext: from, DestinationKeyId: &other, DestinationEncryptionContext: to}))(t)
	if *r.SourceKeyId != *example.Arn || !strings.HasSuffix(*r.KeyId, other) {
		t.Errorf("from %s to %s", *r.SourceKeyId, *r.KeyId)
	}
	d := must(client.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: r.CiphertextBlob, EncryptionContext: to}))(t)
	if string(d.Plaintext) != "moved" || *d.KeyId != *r.KeyId {
		t.Errorf("%q under %s", d.Plaintext, *d.KeyId)
	}
	_, err := client.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: r.CiphertextBlob, EncryptionContext: from})
	refused[*types.InvalidCiphertextException](t, err)
	_, err = client.ReEncrypt(t.Context(), &kms.ReEncryptInput{CiphertextBlob: e.CiphertextBlob, SourceEncryptionContext: to, DestinationKeyId: &other})
	refused[*types.InvalidCiphertextException](t, err)
	_, err = client.ReEncrypt(t.Context(), &kms.ReEncryptInput{CiphertextBlob: e.CiphertextBlob, SourceEncryptionContext: from, SourceKeyId: &other, DestinationKeyId: &other})
	refused[*types.IncorrectKeyException](t, err)
}

func TestKeyLife(t *testing.T) {
	id := createKey(t)
	state := func() types.KeyState {
		m := must(client.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &id}))(t).KeyMetadata
		if m.Enabled != (m.KeyState == types.KeyStateEnabled) {
			t.Errorf("%s and Enabled is %t", m.KeyState, m.Enabled)
		}
		return m.KeyState
	}
	want := func(s types.KeyState) {
		t.Helper()
		if got := state(); got != s {
			t.Errorf("the key is %s, want %s", got, s)
		}
	}
	want(types.KeyStateEnabled)
	must(client.UpdateKeyDescription(t.Context(), &kms.UpdateKeyDescriptionInput{KeyId: &id, Description: aws.String("altered")}))(t)
	must(client.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &id}))(t)
	want(types.KeyStateDisabled)
	_, err := client.Encrypt(t.Context(), &kms.EncryptInput{KeyId: &id, Plaintext: []byte("a")})
	refused[*types.DisabledException](t, err)
	must(client.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: &id}))(t)
	want(types.KeyStateEnabled)
	s := must(client.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: &id, PendingWindowInDays: aws.Int32(7)}))(t)
	if days := time.Until(*s.DeletionDate).Hours() / 24; days < 6.9 || days > 7.1 || s.KeyState != types.KeyStatePendingDeletion {
		t.Errorf("deleted in %f days, %s", days, s.KeyState)
	}
	_, err = client.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: &id})
	refused[*types.KMSInvalidStateException](t, err)
	must(client.CancelKeyDeletion(t.Context(), &kms.CancelKeyDeletionInput{KeyId: &id}))(t)
	want(types.KeyStateDisabled)
}

func TestAliasLife(t *testing.T) {
	one, two, name := createKey(t), createKey(t), aws.String("alias/life")
	must(client.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: name, TargetKeyId: &one}))(t)
	e := must(client.Encrypt(t.Context(), &kms.EncryptInput{KeyId: name, Plaintext: []byte("first")}))(t)
	must(client.UpdateAlias(t.Context(), &kms.UpdateAliasInput{AliasName: name, TargetKeyId: &two}))(t)
	if d := must(client.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: name}))(t); *d.KeyMetadata.KeyId != two {
		t.Errorf("the alias means %s, want %s", *d.KeyMetadata.KeyId, two)
	}
	must(client.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: e.CiphertextBlob}))(t)
	_, err := client.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: e.CiphertextBlob, KeyId: name})
	refused[*types.IncorrectKeyException](t, err)
	if l := must(client.ListAliases(t.Context(), &kms.ListAliasesInput{KeyId: &two}))(t); len(l.Aliases) != 1 || *l.Aliases[0].AliasName != *name || *l.Aliases[0].TargetKeyId != two {
		t.Errorf("%v", l.Aliases)
	}
	must(client.DeleteAlias(t.Context(), &kms.DeleteAliasInput{AliasName: name}))(t)
	_, err = client.DeleteAlias(t.Context(), &kms.DeleteAliasInput{AliasName: name})
	refused[*types.NotFoundException](t, err)
}

func TestTags(t *testing.T) {
	k := must(client.CreateKey(t.Context(), &kms.CreateKeyInput{Tags: []types.Tag{{TagKey: aws.String("a"), TagValue: aws.String("1")}, {TagKey: aws.String("b"), TagValue: aws.String("")}}}))(t)
	id := k.KeyMetadata.KeyId
	must(client.TagResource(t.Context(), &kms.TagResourceInput{KeyId: id, Tags: []types.Tag{{TagKey: aws.String("a"), TagValue: aws.String("2")}, {TagKey: aws.String("ü 漢"), TagValue: aws.String("3")}}}))(t)
	must(client.UntagResource(t.Context(), &kms.UntagResourceInput{KeyId: id, TagKeys: []string{"b", "absent"}}))(t)
	got := make(map[string]string)
	for _, tag := range must(client.ListResourceTags(t.Context(), &kms.ListResourceTagsInput{KeyId: id}))(t).Tags {
		got[*tag.TagKey] = *tag.TagValue
	}
	if want := map[string]string{"a": "2", "ü 漢": "3"}; !reflect.DeepEqual(got, want) {
		t.Errorf("tags are %v, want %v", got, want)
	}
}

func TestPolicies(t *testing.T) {
	id := createKey(t)
	if l := must(client.ListKeyPolicies(t.Context(), &kms.ListKeyPoliciesInput{KeyId: &id}))(t); !slices.Equal(l.PolicyNames, []string{"default"}) {
		t.Errorf("policies %v", l.PolicyNames)
	}
	policy := `{"Version":"2012-10-17","Statement":[{"Sid":"all","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + account + `:root"},"Action":"kms:*","Resource":"*"},
		{"Sid":"no data keys","Effect":"Deny","Principal":"*","Action":"kms:GenerateDataKey","Resource":"*"}]}`
	must(client.PutKeyPolicy(t.Context(), &kms.PutKeyPolicyInput{KeyId: &id, Policy: &policy}))(t)
	if p := must(client.GetKeyPolicy(t.Context(), &kms.GetKeyPolicyInput{KeyId: &id}))(t); *p.Policy != policy || *p.PolicyName != "default" {
		t.Errorf("policy %s: %s", *p.PolicyName, *p.Policy)
	}
	must(client.Encrypt(t.Context(), &kms.EncryptInput{KeyId: &id, Plaintext: []byte("a")}))(t)
	_, err := client.GenerateDataKey(t.Context(), &kms.GenerateDataKeyInput{KeyId: &id, KeySpec: types.DataKeySpecAes256})
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok || api.ErrorCode() != "AccessDeniedException" || !strings.HasSuffix(api.ErrorMessage(), " with an explicit deny in a resource-based policy") {
		t.Errorf("a deny: %v", err)
	}
}

func TestPages(t *testing.T) {
	id := createKey(t)
	for i := range 7 {
		must(client.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: aws.String(fmt.Sprintf("alias/pages/%d", i)), TargetKeyId: &id}))(t)
		must(client.TagResource(t.Context(), &kms.TagResourceInput{KeyId: &id, Tags: []types.Tag{{TagKey: aws.String(fmt.Sprint(i)), TagValue: aws.String("")}}}))(t)
	}
	seen, pages := make(map[string]bool), 0
	count := func(name string, truncated bool, marker *string) {
		t.Helper()
		if seen[name] {
			t.Errorf("%s is listed twice", name)
		}
		if seen[name] = true; truncated != (marker != nil) {
			t.Errorf("truncated %t, marker %v", truncated, marker)
		}
	}
	for p := kms.NewListAliasesPaginator(client, &kms.ListAliasesInput{KeyId: &id, Limit: aws.Int32(2)}); p.HasMorePages(); pages++ {
		page := must(p.NextPage(t.Context()))(t)
		for _, a := range page.Aliases {
			count(*a.AliasName, page.Truncated, page.NextMarker)
		}
	}
	if len(seen) != 7 || pages < 3 {
		t.Errorf("%d aliases on %d pages", len(seen), pages)
	}
	clear(seen)
	for p := kms.NewListResourceTagsPaginator(client, &kms.ListResourceTagsInput{KeyId: &id, Limit: aws.Int32(2)}); p.HasMorePages(); {
		page := must(p.NextPage(t.Context()))(t)
		for _, a := range page.Tags {
			count(*a.TagKey, page.Truncated, page.NextMarker)
		}
	}
	if len(seen) != 7 {
		t.Errorf("%d tags", len(seen))
	}
	clear(seen)
	for pages, p := 0, kms.NewListKeysPaginator(client, &kms.ListKeysInput{Limit: aws.Int32(1)}); p.HasMorePages(); pages++ {
		page := must(p.NextPage(t.Context()))(t)
		for _, k := range page.Keys {
			count(*k.KeyId, page.Truncated, page.NextMarker)
		}
	}
	for _, k := range must(client.ListKeys(t.Context(), &kms.ListKeysInput{}))(t).Keys {
		if !seen[*k.KeyId] {
			t.Errorf("%s is on no page", *k.KeyId)
		}
	}
}

// TestSameCallsAtOnce: none of them may be taken for one that was sent again.
func TestSameCallsAtOnce(t *testing.T) {
	ids := make(map[string]bool)
	for range 5 {
		ids[createKey(t)] = true
	}
	if len(ids) != 5 {
		t.Errorf("%d keys, want 5", len(ids))
	}
	id := createKey(t)
	for range 3 {
		must(client.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &id}))(t)
		must(client.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: &id}))(t)
		must(client.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &id}))(t)
		if m := must(client.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &id}))(t); m.KeyMetadata.Enabled {
			t.Error("enabled")
		}
	}
}

func TestOtherRegion(t *testing.T) {
	_, err := newClient("eu-west-1").DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: example.Arn})
	refused[*types.NotFoundException](t, err)
	if !strings.Contains(fmt.Sprint(err), "Invalid arn us-east-1") {
		t.Error(err)
	}
	_, err = newClient("eu-west-1").DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: example.KeyId})
	refused[*types.NotFoundException](t, err)
}

// TestCaptured sends the bytes of a request that has been answered once more.
func TestCaptured(t *testing.T) {
	host := strings.TrimPrefix(url, "http://")
	b := must(raw.Request{AccessKeyID: keyID, SecretAccessKey: secret, Target: "CreateKey", Body: []byte(`{"Description":"captured"}`)}.Bytes(host))(t)
	if a := must(raw.Send(host, b))(t); a.Status != 200 {
		t.Fatal(a)
	}
	first := time.Now()
	time.Sleep(3 * time.Second) // until a second sighting is no repeated call any more
	if a := must(raw.Send(host, b))(t); a.Status != 400 || a.Code() != "InvalidSignatureException" {
		t.Errorf("after %s: %s", time.Since(first), a)
	}
	keys := must(client.ListKeys(t.Context(), &kms.ListKeysInput{Limit: aws.Int32(1000)}))(t)
	n := 0
	for _, k := range keys.Keys {
		if d := must(client.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: k.KeyId}))(t); aws.ToString(d.KeyMetadata.Description) == "captured" {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d keys were made of it", n)
	}
}

// TestRefusals plays ../refusals.json.
func TestRefusals(t *testing.T) {
	var all []struct {
		Operation string
		Input     json.RawMessage
		Code      string
		Text      *string
	}
	load(t, "refusals.json", &all)
	fill := strings.NewReplacer(places(t)...)
	for _, c := range all {
		t.Run(c.Operation, func(t *testing.T) {
			input := fill.Replace(string(c.Input))
			err := call(t, c.Operation, []byte(input))
			api, ok := errors.AsType[smithy.APIError](err)
			if !ok || api.ErrorCode() != c.Code {
				t.Fatalf("%s: got %v, want %s", input, err, c.Code)
			}
			if _, generic := api.(*smithy.GenericAPIError); generic != (c.Code == "ValidationException" || c.Code == "AccessDeniedException" || c.Code == "NotAuthorizedException") {
				t.Errorf("%s arrived as %T", c.Code, api)
			}
			checkText(t, api.ErrorMessage(), c.Text, fill)
		})
	}
}

func checkText(t *testing.T, got string, text *string, fill *strings.Replacer) {
	t.Helper()
	if text == nil {
		if got != "" && got != "UnknownError" { // which is the SDK's for a text that is not there
			t.Errorf("got the text %q, want none", got)
		}
		return
	}
	want := fill.Replace(*text)
	start, open := strings.CutSuffix(want, "…")
	if got != want && (!open || !strings.HasPrefix(got, start)) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// places are the names in ../refusals.json and what stands for them.
func places(t *testing.T) []string {
	list := []string{"{account}", account, "{id}", *example.KeyId, "{arn}", *example.Arn}
	for _, state := range []string{"disabled", "deleting"} {
		m := must(client.CreateKey(t.Context(), &kms.CreateKeyInput{}))(t).KeyMetadata
		list = append(list, "{"+state+"}", *m.KeyId, "{"+state+"Arn}", *m.Arn)
		if state == "disabled" {
			must(client.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: m.KeyId}))(t)
		} else {
			must(client.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: m.KeyId}))(t)
		}
	}
	return list
}

// call calls an operation by its name.
func call(t *testing.T, operation string, input []byte) error {
	t.Helper()
	method := reflect.ValueOf(client).MethodByName(operation)
	in := reflect.New(method.Type().In(1).Elem())
	if err := json.Unmarshal(input, in.Interface()); err != nil {
		t.Fatalf("%s: %v", input, err)
	}
	err, _ := method.Call([]reflect.Value{reflect.ValueOf(t.Context()), in})[1].Interface().(error)
	return err
}

// TestMembers holds the members of answers, as they are on the wire, against
// ../members.json.
func TestMembers(t *testing.T) {
	members := make(map[string][]string)
	load(t, "members.json", &members)
	seen := make(map[string]bool)
	watched := newClient("us-east-1", func(o *kms.Options) {
		o.APIOptions = append(o.APIOptions, func(s *middleware.Stack) error {
			return s.Deserialize.Add(middleware.DeserializeMiddlewareFunc("members", func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
				out, m, err := next.HandleDeserialize(ctx, in)
				if res, ok := out.RawResponse.(*smithyhttp.Response); ok && err == nil && res.StatusCode == 200 {
					body, readErr := readAll(res)
					if readErr != nil {
						return out, m, readErr
					}
					seen[middleware.GetOperationName(ctx)] = true
					checkMembers(t, members, middleware.GetOperationName(ctx), body)
				}
				return out, m, err
			}), middleware.After)
		})
	})
	kept := client
	client = watched
	defer func() { client = kept }()
	for _, test := range []struct {
		name string
		f    func(*testing.T)
	}{{"data keys", TestDataKeyByEveryName}, {"re-encryption", TestReEncrypt}, {"keys", TestKeyLife}, {"aliases", TestAliasLife}, {"tags", TestTags}, {"policies", TestPolicies}} {
		t.Run(test.name, test.f)
	}
	must(client.GenerateRandom(t.Context(), &kms.GenerateRandomInput{NumberOfBytes: aws.Int32(1)}))(t)
	must(client.ListKeys(t.Context(), &kms.ListKeysInput{Limit: aws.Int32(1000)}))(t)
	for name := range members {
		if !seen[name] && name != "KeyMetadata" {
			t.Errorf("%s was not called", name)
		}
	}
}

func readAll(res *smithyhttp.Response) ([]byte, error) {
	var b bytes.Buffer
	_, err := b.ReadFrom(res.Body)
	res.Body = readCloser{bytes.NewReader(b.Bytes())}
	return b.Bytes(), err
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

func checkMembers(t *testing.T, members map[string][]string, operation string, body []byte) {
	want, ok := members[operation]
	if !ok {
		t.Errorf("members.json does not have %s", operation)
	}
	if len(want) == 0 {
		if len(body) != 0 {
			t.Errorf("%s answers %s, want nothing", operation, body)
		}
		return
	}
	var got map[string]json.RawMessage
	if err := json.Unmarshal(body, &got); err != nil {
		t.Errorf("%s answers %s", operation, body)
		return
	}
	compare(t, operation, got, want)
	if inner := got["KeyMetadata"]; inner != nil {
		var m map[string]json.RawMessage
		if err := json.Unmarshal(inner, &m); err != nil {
			t.Error(err)
		}
		if string(m["KeyState"]) != `"PendingDeletion"` {
			compare(t, "KeyMetadata", m, members["KeyMetadata"])
		}
	}
}

func compare(t *testing.T, what string, got map[string]json.RawMessage, want []string) {
	var names []string
	for name := range got {
		if name != "NextMarker" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if !slices.Equal(names, want) {
		t.Errorf("%s has %v, want %v", what, names, want)
	}
}

func load(t *testing.T, name string, v any) {
	t.Helper()
	b := must(os.ReadFile(filepath.Join("..", name)))(t)
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}
