package keystore_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"trent/internal/api"
	"trent/internal/fault"
	"trent/internal/keystore"
)

// Every failure has a sentence, and codes that the actions may answer.
func TestEveryFailureIsSaid(t *testing.T) {
	may := func(action string, err error) {
		t.Helper()
		op, ok := api.Lookup(action)
		f := fault.From(err)
		if !ok || !op.May(f.Code) || f.Message == "" || f.Code == fault.Internal {
			t.Errorf("%s: %v", action, err)
		}
	}
	for kind := keystore.Unreachable; kind <= keystore.Unfit; kind++ {
		failure := fmt.Errorf("wrapped: %w", keystore.Fail(kind, errors.New("details of a stranger")))
		may("CreateCustomKeyStore", keystore.OnStore(failure))
		may("UpdateCustomKeyStore", keystore.OnStore(failure))
		may("CreateKey", keystore.OnNewKey(failure))
		for _, action := range []string{"Encrypt", "Decrypt", "ReEncrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext"} {
			may(action, keystore.OnUse(failure))
		}
		if code := keystore.ConnectionError(failure); code == "" || !strings.HasPrefix(string(code), "XKS_") && code != "INVALID_CREDENTIALS" {
			t.Errorf("kind %d: connection error %q", kind, code)
		}
		if said := fault.From(keystore.OnUse(failure)); strings.Contains(said.Message, "stranger") || !strings.Contains(said.Error(), "stranger") {
			t.Errorf("kind %d: the caller is told %q, the log %q", kind, said.Message, said.Error())
		}
	}
	if keystore.OnStore(nil) != nil || keystore.OnUse(nil) != nil {
		t.Error("no failure is one")
	}
	other := errors.New("other")
	if keystore.OnUse(other) != other || keystore.ConnectionError(other) != api.ConnectionErrorCodeInternalError {
		t.Error("another error is taken for a failure of a proxy")
	}
}

// A set is not changed by what is made of it.
func TestSetIsImmutable(t *testing.T) {
	a := &keystore.Store{ID: keystore.NewID(), Name: "a", Proxy: keystore.Proxy{Endpoint: "https://a.example", Path: "/kms/xks/v1"}}
	empty := &keystore.Set{Account: "111122223333", Region: "us-east-1", Rev: 7}
	one, err := empty.Put(a)
	if err != nil {
		t.Fatal(err)
	}
	renamed := *a
	renamed.Name = "b"
	two, err := one.Put(&renamed)
	if err != nil {
		t.Fatal(err)
	}
	none := two.Without(a.ID)
	if len(empty.Stores) != 0 || len(one.Stores) != 1 || one.Stores[0].Name != "a" || two.Stores[0].Name != "b" || len(two.Stores) != 1 || len(none.Stores) != 0 {
		t.Errorf("%d, %d, %d and %d stores", len(empty.Stores), len(one.Stores), len(two.Stores), len(none.Stores))
	}
	if one.Rev != 7 || none.Rev != 7 {
		t.Error("the revision that was read is lost")
	}
	if _, err := two.ByName("a"); !fault.Is(err, api.CustomKeyStoreNotFoundException) {
		t.Errorf("an old name: %v", err)
	}
}

func TestNewID(t *testing.T) {
	seen := make(map[string]bool)
	for range 100 {
		id := keystore.NewID()
		if !regexp.MustCompile(`^cks-[0-9a-f]{17}$`).MatchString(id) || seen[id] {
			t.Errorf("id %q", id)
		}
		seen[id] = true
	}
}
