package pkcs11_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"trent/internal/root"
	"trent/internal/root/pkcs11"
	"trent/internal/root/roottest"
	"trent/internal/secret"
)

const module = "/usr/lib/softhsm/libsofthsm2.so"

// helper builds the helper program, once.
var helper = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "trent-pkcs11")
	if err != nil {
		return "", err
	}
	c := exec.Command("go", "build", "-o", dir, "trent/cmd/trent-pkcs11")
	c.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return filepath.Join(dir, pkcs11.Helper), nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := helper(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// softHSM makes a token, and is the settings of a locator in it.
func softHSM(t *testing.T) url.Values {
	t.Helper()
	if _, err := os.Stat(module); err != nil {
		t.Skip("SoftHSM is missing, and there is no other module to try this with (on Debian: apt-get install softhsm2)")
	}
	program, err := helper()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	pin := filepath.Join(dir, "pin")
	for path, text := range map[string]string{pin: "2468\n", filepath.Join(dir, "conf"): "directories.tokendir = " + dir + "\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("SOFTHSM2_CONF", filepath.Join(dir, "conf"))
	if out, err := exec.Command("softhsm2-util", "--init-token", "--free", "--label", "trent", "--pin", "2468", "--so-pin", "1357").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return url.Values{"module-path": {module}, "pin-source": {"file:" + pin}, "helper": {program}}
}

func locator(t *testing.T, object string, settings url.Values) root.Locator {
	t.Helper()
	l, err := root.ParseLocator("pkcs11:token=trent;object=" + object + "?" + settings.Encode())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func must(t *testing.T) func(r *pkcs11.Root, err error) root.Root {
	return func(r *pkcs11.Root, err error) root.Root {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
}

func TestSEC_D11_Suite(t *testing.T) {
	settings, n := softHSM(t), 0
	ctx := context.Background()
	roottest.Run(t,
		func(t *testing.T) root.Root {
			n++
			return must(t)(pkcs11.Create(ctx, locator(t, fmt.Sprint("key", n), settings)))
		},
		func(t *testing.T) root.Root {
			return must(t)(pkcs11.Open(ctx, locator(t, fmt.Sprint("key", n), settings)))
		})
}

func with(settings url.Values, name, value string) url.Values {
	other := url.Values{}
	for k, v := range settings {
		other[k] = v
	}
	other.Set(name, value)
	return other
}

// A vendor's code that fails, in whatever way, is a root that does not answer.
func TestSEC_D11_Failures(t *testing.T) {
	settings, ctx, dir := softHSM(t), context.Background(), t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	r := must(t)(pkcs11.Create(ctx, locator(t, "key", settings)))
	again := must(t)(pkcs11.Create(ctx, locator(t, "key", settings)))
	if r.ID() != again.ID() {
		t.Error("a key that was there was not taken")
	}
	if _, err := pkcs11.Open(ctx, locator(t, "none", settings)); !errors.Is(err, root.ErrUnavailable) {
		t.Errorf("no such key: %v", err)
	}
	for name, c := range map[string]struct {
		settings url.Values
		want     error
	}{
		"wrong PIN":         {with(settings, "pin-source", file("pin", "1111", 0o600)), root.ErrRefused},
		"no module":         {with(settings, "module-path", "/none.so"), root.ErrUnavailable},
		"module is another": {with(settings, "module-path", file("x.so", "x", 0o600)), root.ErrUnavailable},
		"no helper":         {with(settings, "helper", "/none"), root.ErrUnavailable},
		"helper crashes":    {with(settings, "helper", file("crash", "#!/bin/sh\nkill -SEGV $$\n", 0o700)), root.ErrUnavailable},
		"helper babbles":    {with(settings, "helper", file("babble", "#!/bin/sh\necho {\n", 0o700)), root.ErrUnavailable},
	} {
		if _, err := pkcs11.Open(ctx, locator(t, "key", c.settings)); !errors.Is(err, c.want) || strings.Contains(err.Error(), "1111") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := pkcs11.Open(ctx, locator(t, "key", with(settings, "pin-source", file("open", "2468", 0o644)))); err == nil || !strings.Contains(err.Error(), "can be read by others") {
		t.Errorf("a PIN for all to read: %v", err)
	}
	short, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := r.Wrap(short, secret.New(make([]byte, root.KeySize)), nil); !errors.Is(err, root.ErrUnavailable) {
		t.Errorf("no time: %v", err)
	}
}

func TestLocators(t *testing.T) {
	for _, text := range []string{
		"pkcs11", "pkcs11:token=a", "pkcs11:token=a;object=b", "pkcs11:token=a;object=b?module-path=x.so&pin-source=p",
		"pkcs11:token=a;object=b?module-path=/x.so", "pkcs11:token=a;object=b;type=c?module-path=/x.so&pin-source=p", "pkcs11:token=a;object=b?module-path=/x.so&pin-value=1",
	} {
		l, err := root.ParseLocator(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pkcs11.Open(context.Background(), l); err == nil || errors.Is(err, root.ErrUnavailable) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
