package tpm_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"

	"trent/internal/root"
	"trent/internal/root/roottest"
	"trent/internal/root/tpm"
	"trent/internal/secret"
)

// swtpm starts a TPM that is a program, and is the path of its socket.
func swtpm(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("swtpm")
	if err != nil {
		t.Skip("swtpm is missing, and there is no other TPM to try this with (on Debian: apt-get install swtpm)")
	}
	// Not t.TempDir: the path of a socket may have 107 bytes.
	dir, err := os.MkdirTemp("", "tpm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	c := exec.Command(program, "socket", "--tpm2", "--tpmstate", "dir="+dir, "--server", "type=unixio,path="+socket, "--flags", "not-need-init,startup-clear")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(socket); err == nil {
			return socket
		}
		if time.Now().After(end) {
			t.Fatal("swtpm does not listen")
		}
	}
}

func open(t *testing.T, text string) root.Root {
	t.Helper()
	l, err := root.ParseLocator(text)
	if err != nil {
		t.Fatal(err)
	}
	r, err := tpm.Open(l)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSuite(t *testing.T) {
	for _, settings := range []string{"", "?pcrs=7.11"} {
		t.Run("tpm"+settings, func(t *testing.T) {
			var locator string
			roottest.Run(t,
				func(*testing.T) root.Root { locator = "tpm:" + swtpm(t) + settings; return open(t, locator) },
				func(t *testing.T) root.Root { return open(t, locator) })
		})
	}
}

// What is bound to a PCR opens no more once that was extended, and says that it is
// refused, not that it is damaged.
func TestPCRChanged(t *testing.T) {
	ctx, key := context.Background(), secret.New(bytes.Repeat([]byte{7}, root.KeySize))
	socket := swtpm(t)
	bound, free := open(t, "tpm:"+socket+"?pcrs=11"), open(t, "tpm:"+socket)
	if bound.ID() == free.ID() {
		t.Error("one name for two bindings")
	}
	blobs := make(map[root.Root][]byte)
	for _, r := range []root.Root{bound, free} {
		blob, err := r.Wrap(ctx, key, nil)
		if err != nil {
			t.Fatal(err)
		}
		blobs[r] = blob
	}
	extend(t, socket, 11)
	if got, err := bound.Unwrap(ctx, blobs[bound], nil); !errors.Is(err, root.ErrRefused) || !got.IsZero() {
		t.Errorf("bound to what was: %v", err)
	}
	if got, err := free.Unwrap(ctx, blobs[free], nil); err != nil || !got.Equal(key) {
		t.Errorf("bound to nothing: %v", err)
	}
	if _, err := free.Unwrap(ctx, blobs[bound], nil); err == nil {
		t.Error("the binding was gone round")
	}
}

func extend(t *testing.T, socket string, pcr uint32) {
	t.Helper()
	d, err := linuxudstpm.Open(socket)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	_, err = tpm2.PCRExtend{
		PCRHandle: tpm2.AuthHandle{Handle: tpm2.TPMHandle(pcr), Auth: tpm2.PasswordAuth(nil)},
		Digests:   tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{{HashAlg: tpm2.TPMAlgSHA256, Digest: make([]byte, 32)}}},
	}.Execute(d)
	if err != nil {
		t.Fatal(err)
	}
}

func TestNoTPM(t *testing.T) {
	for _, text := range []string{"tpm:/none", "tpm:/dev/null"} {
		l, err := root.ParseLocator(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tpm.Open(l); !errors.Is(err, root.ErrUnavailable) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
