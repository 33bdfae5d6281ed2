package server

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"trent/internal/identity"
)

// pipeListener hands one connection to the server, over memory.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { close(l.closed); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7666} }

// BenchmarkRoad is a request from the door to the door again, over memory
// instead of the network: all that the server does for it.
func BenchmarkRoad(b *testing.B) {
	s, cred := deployment(b, nil)
	l := &pipeListener{make(chan net.Conn), make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	client, far := net.Pipe()
	l.conns <- far
	answers := bufio.NewReader(client)
	do := func(raw []byte) []byte {
		if _, err := client.Write(raw); err != nil {
			b.Fatal(err)
		}
		r, err := http.ReadResponse(answers, nil)
		if err != nil {
			b.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != http.StatusOK {
			b.Fatalf("%d %s %v", r.StatusCode, body, err)
		}
		return body
	}
	created := do(raw(b, cred, "CreateKey", "{}"))
	id := string(created[bytes.Index(created, []byte(`"KeyId":"`))+9:][:36])
	session := sessionOf(b, s, cred)
	for _, c := range []struct {
		name, target, body string
		cred               aws.Credentials
	}{
		{"GenerateDataKey", "GenerateDataKey", `{"KeyId":"` + id + `","KeySpec":"AES_256"}`, cred},
		{"GenerateDataKey/session", "GenerateDataKey", `{"KeyId":"` + id + `","KeySpec":"AES_256"}`, session},
		{"Encrypt", "Encrypt", `{"KeyId":"` + id + `","Plaintext":"aGVsbG8gd29ybGQ="}`, cred},
		{"DescribeKey", "DescribeKey", `{"KeyId":"` + id + `"}`, cred},
		{"GenerateRandom", "GenerateRandom", `{"NumberOfBytes":32}`, cred},
	} {
		b.Run(c.name, func(b *testing.B) {
			req, buf := raw(b, c.cred, c.target, c.body), make([]byte, 4096)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := client.Write(req); err != nil {
					b.Fatal(err)
				}
				if n, err := client.Read(buf); err != nil || !bytes.HasPrefix(buf[:n], []byte("HTTP/1.1 200")) {
					b.Fatalf("%s %v", buf[:n], err)
				}
			}
		})
	}
	_ = client.Close()
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

// sessionOf is temporary credentials of the user that an access key signs for.
func sessionOf(b *testing.B, s *Server, cred aws.Credentials) aws.Credentials {
	long, err := s.users.Credential(context.Background(), cred.AccessKeyID, "")
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now()
	made, _, err := s.users.View().IssueSession(&identity.Session{
		Account: long.Principal.Account, UserID: long.Principal.UniqueID, KeyID: cred.AccessKeyID, Issued: now, Expires: now.Add(time.Hour),
	})
	if err != nil {
		b.Fatal(err)
	}
	return aws.Credentials{AccessKeyID: made.AccessKeyID, SecretAccessKey: string(made.Secret.Expose()), SessionToken: string(made.Token.Expose())}
}

// raw is a signed request as it goes over the wire.
func raw(b *testing.B, cred aws.Credentials, target, body string) []byte {
	r := request(b, cred, target, body)
	r.Body = io.NopCloser(bytes.NewReader([]byte(body)))
	var buf bytes.Buffer
	if err := r.Write(&buf); err != nil {
		b.Fatal(err)
	}
	return buf.Bytes()
}
