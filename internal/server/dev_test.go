package server

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"
)

// TestSEC_A02: dev mode is on a loopback address alone, whatever else is set.
func TestSEC_A02_DevModeIsOnLoopbackAlone(t *testing.T) {
	c := initDir(t)
	for listen, good := range map[string]bool{
		"127.0.0.1:0": true, "[::1]:0": true, "localhost:0": true, "127.8.9.10:0": true,
		"0.0.0.0:0": false, "[::]:0": false, ":0": false, "10.0.0.1:0": false, "example.com:0": false, "[::ffff:10.0.0.1]:0": false, "nowhere": false,
	} {
		o := settingsFor(listen)
		o.Dev, o.InsecurePlaintext = true, true
		s, err := Open(context.Background(), c, o, slog.New(slog.DiscardHandler), time.Now)
		if (err == nil) != good {
			t.Errorf("%s: %v", listen, err)
		}
		if err == nil {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestSEC_A02: every answer says that this is dev mode: of a request, of what is none,
// and of a probe. In the mode that is meant for use no answer says so.
func TestSEC_A02_EveryAnswerSaysTheMode(t *testing.T) {
	c := initDir(t)
	for _, dev := range []bool{true, false} {
		o := settingsFor("127.0.0.1:0")
		o.Dev = dev
		s, err := Open(context.Background(), c, o, slog.New(slog.DiscardHandler), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		l, err := s.Listen()
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- s.Serve(ctx, l) }()
		for _, request := range []string{
			"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
			"GET /ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: TrentService.ListKeys\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
			"GET /elsewhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
			"nothing at all\r\n\r\n",
		} {
			answer := exchange(t, l.Addr().String(), request)
			header, _, _ := strings.Cut(answer, "\r\n\r\n")
			if strings.Contains(header, "\r\nx-trent-mode: dev") != dev || !strings.HasPrefix(answer, "HTTP/1.1 ") {
				t.Errorf("dev %v: %q", dev, answer)
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func exchange(t *testing.T, address, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

// A store that has taken fixed keys says so for ever, outside dev mode.
func TestStoreRemembersFixedKeys(t *testing.T) {
	c := initDir(t)
	said := func(dev bool, during func(*Server)) string {
		t.Helper()
		var log bytes.Buffer
		o := settingsFor("127.0.0.1:0")
		o.Dev = dev
		s, err := Open(context.Background(), c, o, slog.New(slog.NewTextHandler(&log, nil)), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		during(s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return log.String()
	}
	nothing := func(*Server) {}
	const memory = "this store has taken fixed keys in dev mode"
	if log := said(true, nothing); !strings.Contains(log, "DEV MODE") {
		t.Errorf("dev mode says %q", log)
	}
	if log := said(false, nothing); strings.Contains(log, memory) || strings.Contains(log, "level=WARN") { // it has taken none yet
		t.Errorf("says %q", log)
	}
	var since int64
	said(true, func(s *Server) {
		for range 2 {
			if err := s.rememberFixed(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		since = s.set.Fixed
	})
	for range 2 {
		if log := said(false, func(s *Server) {
			if s.set.Fixed != since || s.set.Account != "111122223333" || s.set.Partition != "aws" || s.set.Created == 0 {
				t.Errorf("settings %+v", s.set)
			}
		}); !strings.Contains(log, memory) {
			t.Errorf("says %q", log)
		}
	}
}
