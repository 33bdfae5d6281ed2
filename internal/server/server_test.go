package server

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"trent/internal/config"
)

// deployment makes a new deployment in a temporary directory and opens it.
func deployment(t testing.TB, alter func(*config.Serve)) (*Server, aws.Credentials) {
	t.Helper()
	c := config.Store{Dir: t.TempDir()}
	if err := os.Chmod(c.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Init(context.Background(), c, config.Init{Account: "111122223333", Partition: "aws"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	o := config.Serve{
		Listen: "127.0.0.1:0", Regions: []string{"*"}, CacheKeys: 1 << 17,
		HeaderTimeout: 5 * time.Second, RequestTimeout: 15 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxConnections: 1024, ShutdownGrace: 10 * time.Second,
		AttestationMaxAge: 5 * time.Minute, AttestationSkew: time.Minute,
	}
	if alter != nil {
		alter(&o)
	}
	s, err := Open(context.Background(), c, o, slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, readCredentials(t, CredentialsFile(c))
}

func readCredentials(t testing.TB, path string) aws.Credentials {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var cred aws.Credentials
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, value, _ := bytes.Cut(lines.Bytes(), []byte(" = "))
		switch string(name) {
		case "aws_access_key_id":
			cred.AccessKeyID = string(value)
		case "aws_secret_access_key":
			cred.SecretAccessKey = string(value)
		}
	}
	return cred
}

// request makes a signed request as the SDK for Go would.
func request(t testing.TB, cred aws.Credentials, target, body string) *http.Request {
	r, err := http.NewRequest(http.MethodPost, "http://127.0.0.1:7666/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = int64(len(body))
	for k, v := range map[string]string{
		"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "TrentService." + target, "Content-Length": "0",
		"Amz-Sdk-Invocation-Id": "0e8ab30d-4e3b-4f6c-9c43-2e0e3a2f8d55", "Amz-Sdk-Request": "attempt=1; max=3",
		"User-Agent": "aws-sdk-go-v2/1.48.0 ua/2.1 os/linux lang/go#1.26.8 md/GOOS#linux md/GOARCH#amd64 api/kms#1.62.5", "Accept-Encoding": "identity",
	} {
		r.Header.Set(k, v)
	}
	r.Header.Del("Content-Length")
	sum := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(context.Background(), cred, r, hex.EncodeToString(sum[:]), "kms", "us-east-1", time.Now()); err != nil {
		t.Fatal(err)
	}
	return r
}
