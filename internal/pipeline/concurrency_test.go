package pipeline_test

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// TestSEC_E04: after the answer to DisableKey no use of the key begins and
// succeeds, on however many other requests it was in use meanwhile.
func TestSEC_E04_DisableActsAtOnce(t *testing.T) {
	w := newWorld(t)
	for range 20 {
		id, _ := w.newKey(admin)
		var acknowledged atomic.Bool
		var late atomic.Int64
		stop := make(chan struct{})
		var readers sync.WaitGroup
		for range 4 {
			readers.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					before := acknowledged.Load()
					if r := w.call(admin, "GenerateDataKey", `{"KeyId":"`+id+`","KeySpec":"AES_256"}`); before && r.status == 200 {
						late.Add(1)
					}
				}
			})
		}
		w.must(admin, "DisableKey", `{"KeyId":"`+id+`"}`)
		acknowledged.Store(true)
		for range 50 {
			if r := w.call(admin, "GenerateDataKey", `{"KeyId":"`+id+`","KeySpec":"AES_256"}`); r.status == 200 {
				late.Add(1)
			}
		}
		close(stop)
		readers.Wait()
		if n := late.Load(); n > 0 {
			t.Fatalf("%d uses succeeded after the key was disabled", n)
		}
	}
}

// TestSEC_B11: an alias that moves while it is used leads to one of its two
// keys, and to the one that its user may use.
func TestSEC_B11_MovingAliases(t *testing.T) {
	w := newPopulated(t)
	a, arnA := w.newKey(admin)
	b, arnB := w.newKey(admin)
	denyB := strings.ReplaceAll(`{"Statement":[{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"kms:*","Resource":"*"},{"Effect":"Deny","Principal":{"AWS":"arn:aws:iam::111122223333:user/app"},"Action":"kms:Encrypt","Resource":"*"}]}`, `"`, `\"`)
	w.must(admin, "PutKeyPolicy", `{"KeyId":"`+b+`","Policy":"`+denyB+`"}`)
	w.must(admin, "CreateAlias", `{"AliasName":"alias/moving","TargetKeyId":"`+a+`"}`)
	app := user(account, "app", allow("kms:*"))
	stop := make(chan struct{})
	var users sync.WaitGroup
	for range 3 {
		users.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				switch r := w.call(app, "Encrypt", `{"KeyId":"alias/moving","Plaintext":"YQ=="}`); {
				case r.status == 200 && r.body["KeyId"] != arnA:
					t.Errorf("encrypted under %v, which is denied", r.body["KeyId"])
				case r.status != 200 && (r.code != "AccessDeniedException" || !strings.Contains(r.message, arnB)):
					t.Errorf("refused with %s %s", r.code, r.message)
				}
			}
		})
	}
	for i := range 60 {
		w.must(admin, "UpdateAlias", `{"AliasName":"alias/moving","TargetKeyId":"`+[]string{b, a}[i%2]+`"}`)
	}
	close(stop)
	users.Wait()
	if n := len(w.must(admin, "ListAliases", `{"KeyId":"`+a+`"}`)["Aliases"].([]any)); n != 1 {
		t.Errorf("the key lists %d aliases", n)
	}
	if n := len(w.must(admin, "ListAliases", `{"KeyId":"`+b+`"}`)["Aliases"].([]any)); n != 0 {
		t.Errorf("the key that it left lists %d aliases", n)
	}
}

// Changes of one key by many at once all come to be: a lost race is walked
// again, and none overwrites another.
func TestConcurrentChangesOfOneKey(t *testing.T) {
	w := newWorld(t)
	id, _ := w.newKey(admin)
	var writers sync.WaitGroup
	for i := range 16 {
		writers.Go(func() {
			w.must(admin, "TagResource", fmt.Sprintf(`{"KeyId":"%s","Tags":[{"TagKey":"k%d","TagValue":"v"}]}`, id, i))
			w.must(admin, "CreateAlias", fmt.Sprintf(`{"AliasName":"alias/a%d","TargetKeyId":"%s"}`, i, id))
		})
	}
	writers.Wait()
	if n := len(w.must(admin, "ListResourceTags", `{"KeyId":"`+id+`"}`)["Tags"].([]any)); n != 16 {
		t.Errorf("%d of 16 tags", n)
	}
	if n := len(w.must(admin, "ListAliases", `{"KeyId":"`+id+`"}`)["Aliases"].([]any)); n != 16 {
		t.Errorf("%d of 16 aliases", n)
	}
}

// Two that create the same alias at once: one gets it.
func TestOneAliasForOneName(t *testing.T) {
	w := newWorld(t)
	ids := make([]string, 8)
	for i := range ids {
		ids[i], _ = w.newKey(admin)
	}
	var made atomic.Int64
	var writers sync.WaitGroup
	for _, id := range ids {
		writers.Go(func() {
			switch r := w.call(admin, "CreateAlias", `{"AliasName":"alias/one","TargetKeyId":"`+id+`"}`); {
			case r.status == 200:
				made.Add(1)
			case r.code != "AlreadyExistsException":
				t.Errorf("%v", r)
			}
		})
	}
	writers.Wait()
	if made.Load() != 1 {
		t.Errorf("%d creators got the alias", made.Load())
	}
}

// TestSEC_G01: nothing secret gets into an audit record, whatever is asked.
func TestSEC_G01_AuditHoldsNoSecret(t *testing.T) {
	w := newWorld(t)
	id, arn := w.newKey(admin)
	blob := w.encrypt(admin, id, `{"department":"10103.0"}`)
	k := w.must(admin, "GenerateDataKey", `{"KeyId":"`+id+`","KeySpec":"AES_256"}`)
	w.must(admin, "Decrypt", `{"CiphertextBlob":"`+blob+`","EncryptionContext":{"department":"10103.0"}}`)
	w.call(admin, "Decrypt", `{"CiphertextBlob":"`+blob+`"}`)
	w.call(admin, "Encrypt", `{"KeyId":"`+id+`","Plaintext":"Q0FOQVJZLXBsYWludGV4dA==","Plaintext":"Q0FOQVJZLXBsYWludGV4dA=="}`)
	w.call(admin, "Encrypt", `{"KeyId":"`+id+`","Plaintext":["Q0FOQVJZLXBsYWludGV4dA=="]}`)
	w.call(nobody, "Encrypt", `{"KeyId":"`+id+`","Plaintext":"Q0FOQVJZLXBsYWludGV4dA=="}`)
	all := strings.Join(w.audit.lines, "")
	for _, secret := range []string{"CANARY", "Q0FOQVJZ", "43414e415259", blob, k["Plaintext"].(string), k["CiphertextBlob"].(string)} {
		if strings.Contains(all, secret) {
			t.Errorf("the audit contains %.20q", secret)
		}
	}
	if len(w.audit.lines) != 8 {
		t.Errorf("%d records of 8 requests", len(w.audit.lines))
	}
	for _, want := range []string{`"resources":["` + arn + `"]`, `"EncryptionContext":{"department":"10103.0"}`, `"error":"AccessDeniedException"`, `"principal":"arn:aws:iam::111122223333:user/nobody"`} {
		if !strings.Contains(all, want) {
			t.Errorf("the audit lacks %s", want)
		}
	}
}

// BenchmarkWalk is the road alone: no network, no signature.
func BenchmarkWalk(b *testing.B) {
	w := newWorld(b)
	id, _ := w.newKey(admin)
	who := admin
	who.signature = strings.Repeat("ab", 32)
	for _, c := range []struct{ operation, body string }{
		{"GenerateDataKey", `{"KeyId":"` + id + `","KeySpec":"AES_256"}`},
		{"DescribeKey", `{"KeyId":"` + id + `"}`},
	} {
		b.Run(c.operation, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if r := w.call(who, c.operation, c.body); r.status != 200 {
					b.Fatal(r)
				}
			}
		})
	}
}
