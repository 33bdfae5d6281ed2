package server_test

import (
	"context"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"

	"trent/internal/config"
	"trent/internal/server"
	"trent/trenttest"
)

// A Trent whose file was lost starts with a key in another Trent.
func TestAnotherTrentIsTheRoot(t *testing.T) {
	ctx, far := context.Background(), trenttest.Start(t)
	key, err := far.Client(t).CreateKey(ctx, &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	settings := url.Values{"endpoint": {far.URL}, "credentials": {filepath.Join(far.Dir, "admin.credentials")}}
	c := config.Store{Dir: filepath.Join(t.TempDir(), "data"), Roots: []string{"file", "awskms:" + *key.KeyMetadata.Arn + "?" + settings.Encode()}}
	if err := server.Init(ctx, c, config.Init{Account: "111122223333", Partition: "aws"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(c.Dir, "root.key")); err != nil {
		t.Fatal(err)
	}
	o := config.Serve{Listen: "127.0.0.1:0", Regions: []string{"*"}, CacheKeys: 16, MaxConnections: 1, AttestationMaxAge: time.Minute, AttestationSkew: time.Minute}
	s, err := server.Open(ctx, c, o, slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
