package httpd

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// held opens a door with one request that waits for its audit line.
func held(t *testing.T) (*door, *peer) {
	d := open(t, func(_ *Options, p *paper) { p.gate, p.reached = make(chan struct{}), make(chan struct{}, 8) })
	p := d.dial().send(goodRequest(t))
	<-d.paper.reached
	return d, p
}

func TestShutdownLetsRequestsFinish(t *testing.T) {
	d, p := held(t)
	idle := d.dial()
	d.await("both connections", func() bool { d.mu.Lock(); defer d.mu.Unlock(); return len(d.conns) == 2 })
	done := make(chan error, 1)
	go func() { done <- d.Shutdown(context.Background()) }()
	idle.gone()
	select {
	case err := <-done:
		t.Fatalf("Shutdown did not wait: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	if c, err := net.Dial("tcp", d.addr); err == nil {
		_ = c.Close()
		t.Error("connections are still taken")
	}
	close(d.paper.gate)
	if a := p.answer("POST"); a.StatusCode != 200 || !a.Close {
		t.Errorf("%d, close %v", a.StatusCode, a.Close)
	}
	p.gone()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Peers that are in the middle of a request do not hold Shutdown up for longer
// than any other time, and not past the end of its context.
func TestShutdownWithStuckPeers(t *testing.T) {
	t.Run("deadlines go on", func(t *testing.T) {
		d := open(t, func(o *Options, _ *paper) { o.Limits.HeaderTimeout = 300 * time.Millisecond })
		p := d.dial().send(head)
		d.await("the request", func() bool { return d.busy() == 1 })
		if err := d.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
		if a := p.answer("POST"); a.StatusCode != 408 {
			t.Errorf("%d", a.StatusCode)
		}
	})
	t.Run("context ends", func(t *testing.T) {
		d := open(t, nil)
		p := d.dial().send(head)
		d.await("the request", func() bool { return d.busy() == 1 })
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		if err := d.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v", err)
		}
		_, _ = io.Copy(io.Discard, p.in) // the answer to a request that was cut off, perhaps
		d.idle()
	})
	t.Run("stuck in the house", func(t *testing.T) {
		d, p := held(t)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		began := time.Now()
		if err := d.Shutdown(ctx); !errors.Is(err, context.Canceled) || time.Since(began) > breakTime+time.Second {
			t.Errorf("Shutdown: %v after %v", err, time.Since(began))
		}
		p.gone()
		close(d.paper.gate)
	})
}

// busy counts the connections with a request.
func (d *door) busy() (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for c := range d.conns {
		if c.busy.Load() == 1 {
			n++
		}
	}
	return n
}

// A signal to stop may come before the server has begun.
func TestShutdownBeforeServe(t *testing.T) {
	s := New(Options{Limits: limits()})
	if err := s.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("Serve goes on after Shutdown")
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener is open: %v", err)
	}
}

// Shutdown under traffic: every request that got an answer got a whole one, and
// is written down.
func TestShutdownUnderTraffic(t *testing.T) {
	d := open(t, nil)
	var (
		wg       sync.WaitGroup
		mu       sync.Mutex
		answered int
	)
	raw := goodRequest(t)
	for range 16 {
		wg.Go(func() {
			for {
				c, err := net.Dial("tcp", d.addr)
				if err != nil {
					return
				}
				_ = c.SetDeadline(time.Now().Add(patience))
				for range 4 {
					if _, err := io.WriteString(c, raw); err != nil {
						break
					}
					buf := make([]byte, 4096)
					n, err := c.Read(buf)
					if n == 0 {
						break
					}
					if !bytes.HasPrefix(buf[:n], []byte("HTTP/1.1 200 ")) || !bytes.HasSuffix(buf[:n], []byte("}")) {
						t.Errorf("half an answer: %q %v", buf[:n], err)
					}
					mu.Lock()
					answered++
					mu.Unlock()
				}
				_ = c.Close()
			}
		})
	}
	d.await("traffic", func() bool { return len(d.paper.all()) > 200 })
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := d.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if lines := len(d.paper.all()); lines < answered {
		t.Errorf("%d answers, %d lines", answered, lines)
	}
}

// A panic costs one request, or one connection, and is logged without a value.
func TestSEC_C06_PanicsCostOneConnection(t *testing.T) {
	const canary = "CANARY-77aa"
	t.Run("on the road", func(t *testing.T) {
		d := open(t, nil)
		p := d.dial()
		a := p.send(signed(t, "DescribeKey", `{"KeyId":"`+canary+`"}`)).answer("POST") // there is no ring to find it in
		checkAnswer(t, a, 500, "KMSInternalException", "POST")
		if len(d.paper.of(a.id())) != 1 {
			t.Error("not written down")
		}
		p.works()
		checkPanicLog(t, d, canary)
	})
	t.Run("at the door", func(t *testing.T) {
		d := open(t, func(o *Options, _ *paper) { o.Ready = func() error { panic(canary) } })
		p := d.dial().send("GET /ready HTTP/1.1\r\nHost: a\r\n\r\n")
		p.gone()
		d.idle()
		d.dial().works()
		checkPanicLog(t, d, canary)
	})
	t.Run("with a body", func(t *testing.T) {
		var asked atomic.Int32
		d := open(t, func(o *Options, _ *paper) {
			o.Now = func() time.Time {
				if asked.Add(1) == 2 { // the second time is by the road, with the body read
					panic(canary)
				}
				return time.Now()
			}
		})
		d.dial().send(goodRequest(t)).gone()
		d.idle()
		d.dial().works()
		checkPanicLog(t, d, canary)
	})
}

func checkPanicLog(t *testing.T, d *door, canary string) {
	t.Helper()
	if log := d.log.String(); !strings.Contains(log, "panic") || strings.Contains(log, canary) {
		t.Errorf("log: %s", log)
	}
}

func selfSigned(t *testing.T) (server, client *tls.Config) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"kms.test"},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: k}}},
		&tls.Config{RootCAs: pool, ServerName: "kms.test"}
}

// Over TLS all is as over TCP: a handshake that stalls, a header that stalls, an
// answer, a refusal that ends the connection in good form.
func TestSEC_F01_TLS(t *testing.T) {
	server, client := selfSigned(t)
	d := open(t, func(o *Options, p *paper) {
		o.TLS, o.Limits.HeaderTimeout = server, 200*time.Millisecond
	})
	stalled, mute := d.dial().send("\x16\x03\x01"), d.dial()
	d.tls = client
	p := d.dial()
	p.works()
	checkAnswer(t, p.send(head).answer("POST"), 408, "RequestTimeoutException", "POST")
	if rest, err := io.ReadAll(p.in); len(rest) > 0 || err != nil {
		t.Errorf("no clean end: %q %v", rest, err)
	}
	_ = p.Close()
	stalled.gone()
	mute.gone()
	plain := d.dial()
	plain.Conn = plain.Conn.(*tls.Conn).NetConn()
	plain.send(goodRequest(t))
	answer, _ := io.ReadAll(plain.Conn)
	if bytes.Contains(answer, []byte("HTTP/1.1 200")) {
		t.Errorf("plain HTTP where TLS is spoken: %q", answer)
	}
	_ = plain.Close()
	d.idle()
	if n := len(d.paper.all()); n != 2 {
		t.Errorf("%d lines for two requests", n)
	}
}

// What one request says shows up in no other's answer, whatever becomes of
// them, and in no buffer that waits for the next.
func TestSEC_G07_BuffersAreWiped(t *testing.T) {
	const canary = "CANARY"
	d := open(t, func(o *Options, _ *paper) { o.Limits.BodyBytes = 64 << 20 })
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			p := d.dial()
			for j := range 40 {
				mine := fmt.Sprintf("%s-%d-%d-", canary, i, j)
				body := fmt.Sprintf(`{"NumberOfBytes":%d,"Unknown":%q}`, 1+(i*131+j*17)%1024, strings.Repeat(mine, 1+(i*97+j*31)%1500))
				raw := signed(t, "GenerateRandom", body)
				if j%5 == 4 {
					raw = strings.Replace(raw, "Signature=", "Signature=00", 1)
				}
				a := p.send(raw).answer("POST")
				var out struct{ Plaintext []byte }
				err := json.Unmarshal([]byte(a.body), &out)
				if strings.Contains(a.body, canary) || err != nil || (a.StatusCode == 200) != (len(out.Plaintext) == 1+(i*131+j*17)%1024) {
					t.Errorf("%d %q %v", a.StatusCode, a.body, err)
				}
			}
			_ = p.Close()
		})
	}
	wg.Wait()
	cut := d.dial().send(head + "Content-Length: 90000\r\n\r\n" + strings.Repeat(canary, 9000))
	_ = cut.Close()
	d.idle()
	seen := 0
	for range 1000 {
		buf, ok := d.pool.pool.Get().(*[]byte)
		if !ok {
			break
		}
		seen++
		if len(bytes.Trim((*buf)[:cap(*buf)], "\x00")) > 0 {
			t.Fatalf("a pooled buffer holds %.80q", (*buf)[:cap(*buf)])
		}
	}
	t.Logf("%d pooled buffers are all zero", seen)
}

// give wipes the whole of a buffer, and what is not kept too.
func TestSEC_G07_GiveWipes(t *testing.T) {
	for _, size := range []int{0, 1, 1000, maxPooled, maxPooled + 1, 1 << 20} {
		var b buffers
		buf := b.take(size)
		whole := (*buf)[:cap(*buf)]
		for i := range whole {
			whole[i] = 0xa5
		}
		*buf = (*buf)[:size/2]
		b.give(buf)
		if len(bytes.Trim(whole, "\x00")) > 0 {
			t.Errorf("a buffer of %d bytes is not wiped", size)
		}
	}
}
