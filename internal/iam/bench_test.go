package iam_test

import (
	"fmt"
	"strings"
	"testing"

	"trent/internal/iam"
)

const defaultKeyPolicy = `{"Version":"2012-10-17","Id":"key-default-1","Statement":[{"Sid":"Enable IAM User Permissions","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"kms:*","Resource":"*"}]}`

const userPolicy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["kms:Encrypt","kms:Decrypt","kms:GenerateDataKey*"],"Resource":"arn:aws:kms:*:111122223333:key/*"}]}`

// twentyStatements has five conditions in each, all of which hold.
func twentyStatements() string {
	var statements []string
	for i := range 20 {
		statements = append(statements, fmt.Sprintf(`{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":["kms:Describe*","kms:Decrypt"],"Resource":"*","Condition":{
			"StringEquals":{"kms:EncryptionContext:App":["app%d","payroll"],"aws:username":"alice"},"StringLike":{"kms:ViaService":"s3.*.amazonaws.com"},
			"Bool":{"aws:SecureTransport":"true"},"IpAddress":{"aws:SourceIp":["10.0.0.0/8","203.0.113.0/24"]}}}`, i))
	}
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}

// busy is a Context such as a server has: no map, and no conversion.
type busy struct{ app, user, service, addr iam.Value }

func (b *busy) Value(k iam.Key) iam.Value {
	switch k.Name {
	case "kms:encryptioncontext":
		if k.Sub == "app" {
			return b.app
		}
	case "aws:username":
		return b.user
	case "kms:viaservice":
		return b.service
	case "aws:securetransport":
		return iam.Flag(true)
	case "aws:sourceip":
		return b.addr
	}
	return iam.Value{}
}

func requestOfAlice() *iam.Request {
	r := ask(alice, "kms:Decrypt", keyARN)
	r.Context = &busy{iam.Text("payroll"), iam.Text("alice"), iam.Text("s3.us-east-1.amazonaws.com"), iam.Text("203.0.113.7")}
	return r
}

// The common case must not cost the garbage collector anything.
func TestEvaluateDoesNotAllocate(t *testing.T) {
	r := requestOfAlice()
	for name, text := range map[string]string{"default key policy": defaultKeyPolicy, "user policy": userPolicy, "twenty statements": twentyStatements()} {
		p := mustParse(t, text)
		if n := testing.AllocsPerRun(100, func() {
			p.EvaluateResource(r)
			p.EvaluateIdentity(r)
			p.EvaluateTrust(r)
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	if o := mustParse(t, twentyStatements()).EvaluateResource(r); o != (iam.Outcome{Delegates: true}) {
		t.Errorf("the conditions do not hold: %+v", o)
	}
}

func BenchmarkParse(b *testing.B) {
	for name, text := range map[string]string{"default key policy": defaultKeyPolicy, "twenty statements": twentyStatements()} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := iam.Parse(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDefault is a key with the default policy and a user with one policy.
func BenchmarkDefault(b *testing.B) {
	key, identity, r := mustParse(b, defaultKeyPolicy), mustParse(b, userPolicy), requestOfAlice()
	b.ReportAllocs()
	for b.Loop() {
		if !key.EvaluateResource(r).Delegates || !identity.EvaluateIdentity(r).Allow {
			b.Fatal("refused")
		}
	}
}

// BenchmarkTwentyStatements is twenty statements of five conditions, all of
// which are evaluated.
func BenchmarkTwentyStatements(b *testing.B) {
	p, r := mustParse(b, twentyStatements()), requestOfAlice()
	b.ReportAllocs()
	for b.Loop() {
		if !p.EvaluateResource(r).Delegates {
			b.Fatal("refused")
		}
	}
}
