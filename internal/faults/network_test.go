package faults

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"trent/internal/store/etcd/etcdtest"
)

// inNetwork reports whether the test runs in a network of its own. If not, it runs the test again, in
// a process that has one, together with mounts of its own, so that all of it is gone when
// the process is; and the caller has nothing left to do.
func inNetwork(t *testing.T) bool {
	if os.Getenv(childRole) == "network" {
		return true
	}
	if os.Geteuid() != 0 {
		t.Skip("a network whose cables can be cut is made of network namespaces, and that needs root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("a network whose cables can be cut is made with ip, of iproute2, which is not here")
	}
	t.Parallel() // the child is alone on its network
	cmd := child("network", "-test.run", "^"+t.Name()+"$", "-test.v", "-test.timeout", "60m")
	cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNET | syscall.CLONE_NEWNS
	cmd.Stdout = t.Output()
	cmd.Stderr = t.Output()
	if err := cmd.Run(); err != nil {
		t.Fatalf("in a network of its own: %v", err)
	}
	return false
}

// ownNetwork makes what inNetwork promises: a bridge, on which this process is.
func ownNetwork() error {
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("mounts of its own: %w", err)
	}
	if err := os.MkdirAll("/run/netns", 0o755); err != nil {
		return err
	}
	if err := syscall.Mount("none", "/run/netns", "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("names of namespaces: %w", err)
	}
	return errors.Join(
		ip("link", "set", "lo", "up"),
		ip("link", "add", "bridge", "type", "bridge"),
		ip("addr", "add", hostAddress+"/24", "dev", "bridge"),
		ip("link", "set", "bridge", "up"),
	)
}

func ip(args ...string) error {
	if said, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, said)
	}
	return nil
}

// hostAddress is that of the tests.
const hostAddress = "10.77.0.1"

// nowhere is a link address that nobody has.
const nowhere = "02:00:00:00:00:99"

// A machine is a network namespace with one cable, to the bridge.
type machine struct {
	name, address string
}

// plug makes a machine.
func plug(t *testing.T, name string, number int) *machine {
	t.Helper()
	m := &machine{name, fmt.Sprintf("10.77.0.%d", number)}
	err := errors.Join(
		ip("netns", "add", name),
		ip("link", "add", "to-"+name, "type", "veth", "peer", "name", "eth0", "netns", name),
		ip("link", "set", "to-"+name, "master", "bridge", "up"),
		ip("-n", name, "link", "set", "lo", "up"),
		ip("-n", name, "addr", "add", m.address+"/24", "dev", "eth0"),
		ip("-n", name, "link", "set", "eth0", "up"),
	)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// enter is the command that runs another on the machine.
func (m *machine) enter() []string { return []string{"ip", "netns", "exec", m.name} }

// unplug takes the cable out.
func (m *machine) unplug() (heal func() error, err error) {
	return func() error { return ip("link", "set", "to-"+m.name, "up") }, ip("link", "set", "to-"+m.name, "down")
}

// cut has what two machines send each other go nowhere, silently; others hear both.
func cut(a, b *machine) (heal func() error, err error) {
	err = errors.Join(a.lose(b), b.lose(a))
	return func() error { return errors.Join(a.find(b), b.find(a)) }, err
}

func (m *machine) lose(other *machine) error {
	return ip("-n", m.name, "neigh", "replace", other.address, "lladdr", nowhere, "nud", "permanent", "dev", "eth0")
}

func (m *machine) find(other *machine) error {
	return ip("-n", m.name, "neigh", "del", other.address, "dev", "eth0")
}

// authority makes the certificates of a cluster: one for servers and clients alike.
func authority(t *testing.T, addresses []string) *etcdtest.TLS {
	t.Helper()
	dir := t.TempDir()
	caKey, caTemplate := newKey(t), &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "faults"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	ca, err := x509.CreateCertificate(rand.Reader, caTemplate, caTemplate, caKey.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	key, template := newKey(t), &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "member"}, NotBefore: caTemplate.NotBefore, NotAfter: caTemplate.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, a := range addresses {
		template.IPAddresses = append(template.IPAddresses, net.ParseIP(a))
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, caTemplate, key.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	s := &etcdtest.TLS{CA: filepath.Join(dir, "ca.crt"), Cert: filepath.Join(dir, "member.crt"), Key: filepath.Join(dir, "member.key")}
	err = errors.Join(writePEM(s.CA, "CERTIFICATE", ca), writePEM(s.Cert, "CERTIFICATE", cert), writePEM(s.Key, "PRIVATE KEY", pkcs8))
	if err != nil {
		t.Fatal(err)
	}
	s.Client = &http.Client{Timeout: time.Second, Transport: &http.Transport{TLSClientConfig: clientTLS(t, s)}}
	return s
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

// clientTLS are the settings of a client of the cluster.
func clientTLS(t *testing.T, s *etcdtest.TLS) *tls.Config {
	pair, err := tls.LoadX509KeyPair(s.Cert, s.Key)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(s.CA)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	return &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
}
