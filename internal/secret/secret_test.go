package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"trent/internal/secret"
)

type holder struct {
	Name   string
	hidden secret.Bytes
	Shown  secret.Bytes
	Ptr    *secret.Bytes
}

// TestSEC_G02 prints a secret in every way that careless code would.
func TestSEC_G02_SecretsNeverPrint(t *testing.T) {
	const canary = "CANARY-7f3a"
	s := secret.New([]byte(canary))
	h := holder{"x", s, s, &s}
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	logger.Info("x", "s", s, "h", h, "p", &h, "any", []any{s})
	js, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	out := log.String() + string(js)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%c", "%U", "%o", "%b", "%t", "%p"} {
		for _, v := range []any{s, &s, h, &h, []secret.Bytes{s}, map[string]secret.Bytes{"k": s}, fmt.Errorf("e: %v", s)} {
			out += fmt.Sprintf(verb, v) + "\n"
		}
	}
	decimal := strings.Trim(fmt.Sprint([]byte(canary)), "[]")
	for _, leak := range []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary), decimal, "Q0FOQVJZ"} {
		if strings.Contains(out, leak) {
			t.Errorf("a printed form contains %q", leak)
		}
	}
	if !strings.Contains(out, "[redacted]") {
		t.Error("nothing says [redacted]")
	}
}

func TestEqualAndWipe(t *testing.T) {
	a, b := secret.New([]byte("abc")), secret.New([]byte("abc"))
	if !a.Equal(b) || a.Equal(secret.New([]byte("abd"))) || a.Equal(secret.New(nil)) {
		t.Fatal("Equal is wrong")
	}
	c := a
	a.Wipe()
	if !bytes.Equal(c.Expose(), make([]byte, 3)) {
		t.Fatal("Wipe left a copy's content")
	}
	var zero secret.Bytes
	if !zero.IsZero() || zero.Len() != 0 || secret.New([]byte{}).IsZero() {
		t.Fatal("absent and empty are mixed up")
	}
}
