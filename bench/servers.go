package main

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a server under test.
type process struct {
	cmd *exec.Cmd
	url string
}

func (p *process) pid() string { return strconv.Itoa(p.cmd.Process.Pid) }

// stop ends the process and waits for it.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	err := p.cmd.Wait()
	if _, exited := errors.AsType[*exec.ExitError](err); exited {
		return nil
	}
	return err
}

// rest waits until a process does nothing by itself, such as make RSA keys ahead.
func (p *process) rest() error {
	const longest, busy = 3 * time.Minute, 0.05 // of a processor
	for start := time.Now(); time.Since(start) < longest; {
		before, err := p.processorTime()
		if err != nil {
			return err
		}
		time.Sleep(time.Second)
		after, err := p.processorTime()
		if err != nil {
			return err
		}
		if (after - before).Seconds() < busy {
			return nil
		}
	}
	return errors.New("the server does not come to rest")
}

// anonymous is the memory of the process that is no file's, in MiB.
func (p *process) anonymous() (float64, error) {
	text, err := os.ReadFile("/proc/" + p.pid() + "/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if size, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kib, err := strconv.ParseFloat(strings.Fields(size)[0], 64)
			return kib / 1024, err
		}
	}
	return 0, errors.New("the kernel does not say what memory is anonymous")
}

// processorTime is what the process has used so far, user and system.
func (p *process) processorTime() (time.Duration, error) {
	text, err := os.ReadFile("/proc/" + p.pid() + "/stat")
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // from the third of proc_pid_stat(5) on
	if len(fields) < 13 {
		return 0, errors.New("/proc tells nothing of the server")
	}
	user, err := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	const tick = 10 * time.Millisecond
	return time.Duration(user+system) * tick, errors.Join(err, err2)
}

// freeAddr finds an address that nobody listens on.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// start runs a binary and waits until its address takes connections.
func (b *bench) start(name, addr, scheme string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(filepath.Join(b.dir, name), args...), url: scheme + "://" + addr + "/"}
	if name == "trent" { // the others only complain of our looking whether they listen
		p.cmd.Stderr = os.Stderr
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	for range 2000 {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			return p, c.Close()
		}
		time.Sleep(2 * time.Millisecond)
	}
	return nil, fmt.Errorf("%s did not listen on %s", name, addr)
}

// startBare runs the server that every ratio is taken against.
func (b *bench) startBare(name string, secure bool) (*process, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	return b.start(name, addr, schemeOf(secure), "-addr", addr, "-tls="+strconv.FormatBool(secure))
}

func schemeOf(secure bool) string {
	if secure {
		return "https"
	}
	return "http"
}

// trent is a Trent with its administrator's access key.
type trent struct {
	*process
	data, keyID, secret string
}

// newTrent makes a new deployment and starts it.
func (b *bench) newTrent(name string, secure bool, settings ...string) (*trent, error) {
	t := &trent{data: filepath.Join(b.dir, name)}
	if err := exec.Command(filepath.Join(b.dir, "trent"), "init", "--dir", t.data).Run(); err != nil {
		return nil, fmt.Errorf("trent init: %w", err)
	}
	f, err := os.Open(filepath.Join(t.data, "admin.credentials"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " = ")
		switch name {
		case "aws_access_key_id":
			t.keyID = value
		case "aws_secret_access_key":
			t.secret = value
		}
	}
	return t, b.serve(t, secure, settings...)
}

// serve starts the server of a deployment that is there.
func (b *bench) serve(t *trent, secure bool, settings ...string) error {
	addr, err := freeAddr()
	if err != nil {
		return err
	}
	args := []string{"serve", "--dir", t.data, "--listen", addr, "--log-level", "warn"}
	args = append(args, settings...)
	if secure {
		cert, key := filepath.Join(b.dir, "cert.pem"), filepath.Join(b.dir, "key.pem")
		if err := writeCertificate(cert, key); err != nil {
			return err
		}
		args = append(args, "--tls-cert", cert, "--tls-key", key)
	}
	t.process, err = b.start("trent", addr, schemeOf(secure), args...)
	return err
}

// call performs one request through the command line's client and decodes what it prints.
func (b *bench) call(t *trent, out any, args ...string) error {
	cmd := exec.Command(filepath.Join(b.dir, "trent"), append(args, "--endpoint", strings.TrimSuffix(t.url, "/"), "--dir", t.data, "--output", "json")...)
	cmd.Env = append(os.Environ(), "AWS_CA_BUNDLE="+filepath.Join(b.dir, "cert.pem"))
	if strings.HasPrefix(t.url, "http:") {
		cmd.Env = os.Environ()
	}
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("trent %s: %w", strings.Join(args, " "), err)
	}
	return json.Unmarshal(text, out)
}

// writeCertificate makes a throw-away certificate for 127.0.0.1.
func writeCertificate(certFile, keyFile string) error {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &k.PublicKey, k)
	if err != nil {
		return err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600))
}
