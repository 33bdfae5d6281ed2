package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"trent/internal/config"
	"trent/internal/server"
	"trent/internal/store"
	"trent/internal/store/bolt"
	"trent/internal/store/etcd/etcdtest"
	"trent/trenttest/process"
	"trent/trenttest/raw"
)

// TestScripts runs what an operator does, against the built command. README in
// testdata/scripts lists the commands that the scripts have beside testscript's.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("..", "..", "testdata", "scripts"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			bin := filepath.Join(e.WorkDir, "bin")
			if err := os.Mkdir(bin, 0o755); err != nil {
				return err
			}
			if err := os.Symlink(binary, filepath.Join(bin, "trent")); err != nil {
				return err
			}
			e.Setenv("PATH", bin+string(os.PathListSeparator)+e.Getenv("PATH"))
			e.Setenv("TRENT_DIR", "data")
			e.Setenv("TRENT_LISTEN", "127.0.0.1:0")
			e.Values[sceneKey{}] = &scene{servers: make(map[string]*running)}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"server":   serverCmd,
			"on":       onCmd,
			"etcd":     etcdCmd(t),
			"request":  requestCmd,
			"stall":    stallCmd,
			"hold":     holdCmd,
			"release":  releaseCmd,
			"field":    fieldCmd,
			"match":    matchCmd,
			"bend":     bendCmd,
			"damage":   damageCmd,
			"tamper":   tamperCmd,
			"lines":    linesCmd,
			"selfsign": selfsignCmd,
		},
	})
}

// scene is what the commands of one script share.
type scene struct {
	running
	name    string // of the server that commands are for
	servers map[string]*running
	held    net.Conn
}

// running is a server, and how it was started.
type running struct {
	last process.Command
	srv  *process.Server
}

type sceneKey struct{}

func sceneOf(ts *testscript.TestScript) *scene { return ts.Value(sceneKey{}).(*scene) }

// host is where the server listens.
func (s *scene) host(ts *testscript.TestScript) string {
	if s.srv == nil {
		ts.Fatalf("no server has been started")
	}
	_, host, _ := strings.Cut(s.srv.URL, "://")
	return host
}

// environment is the script's, and nothing of the machine's.
func environment(ts *testscript.TestScript) []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "TRENT_DIR", "TRENT_LISTEN", "TRENT_CONFIG", "TRENT_REGIONS", "TRENT_LOG_FORMAT", "TRENT_LOG_LEVEL", "TRENT_REQUEST_TIMEOUT", "TRENT_STORE", "TRENT_ETCD_ENDPOINTS", "AWS_REGION", "GODEBUG"} {
		if v := ts.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// serverCmd starts and ends the server of a script, or the one that it is on.
//
//	server start serve|quickstart [flag]...   start it and wait until it is ready
//	server again                              the same call once more
//	server kill                               SIGKILL
//	server stop                               SIGTERM; it must end with exit code 0
//	server term                               SIGTERM, and wait for nothing
//	server end                                wait; it must end with exit code 0
//	server says REGEXP                        wait until its output matches
func serverCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: server start|again|kill|stop|term|end|says ...")
	}
	s := sceneOf(ts)
	if s.srv == nil && args[0] != "start" {
		ts.Fatalf("no server has been started")
	}
	switch args[0] {
	case "start":
		s.last = process.Command{Binary: filepath.Join(ts.MkAbs("bin"), "trent"), Args: args[1:], Dir: ts.MkAbs("."), Env: environment(ts)}
		s.start(ts)
	case "again":
		s.start(ts)
	case "kill":
		s.srv.Kill()
	case "stop":
		ts.Check(ended(s.srv.Stop()))
	case "term":
		ts.Check(s.srv.Signal(syscall.SIGTERM))
	case "end":
		ts.Check(ended(s.srv.Wait()))
	case "says":
		re, err := regexp.Compile(args[1])
		ts.Check(err)
		ts.Check(until(func() bool { return re.MatchString(s.srv.Output()) }, "the server does not say "+args[1]))
	default:
		ts.Fatalf("server does not know %s", args[0])
	}
}

func (s *scene) start(ts *testscript.TestScript) {
	srv, err := s.last.Start()
	ts.Check(err)
	s.srv = srv
	ts.Defer(srv.Kill)
	s.address(ts)
	if s.last.Args[0] == "quickstart" { // it has more to say
		ts.Check(until(func() bool { return strings.Contains(srv.Output(), "Ctrl-C stops the server") }, "the quickstart does not come to its end"))
	}
	fmt.Fprint(ts.Stdout(), srv.Output())
}

func (s *scene) address(ts *testscript.TestScript) {
	ts.Setenv("AWS_ENDPOINT_URL", s.srv.URL)
	ts.Setenv("SERVER", strings.TrimPrefix(s.srv.URL, "http://"))
}

// onCmd lets the commands after it be for another server of the script: on NAME.
func onCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: on NAME")
	}
	s := sceneOf(ts)
	left := s.running
	s.servers[s.name] = &left
	s.name, s.running = args[0], running{}
	if there, ok := s.servers[s.name]; ok {
		s.running = *there
		s.address(ts)
	}
}

// etcdCmd starts an etcd of one member, which ends with the test, and lets it be the store: etcd start.
func etcdCmd(t *testing.T) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) != 1 || args[0] != "start" {
			ts.Fatalf("usage: etcd start")
		}
		members := etcdtest.Start(t, 1, "--unsafe-no-fsync")
		ts.Setenv("TRENT_STORE", "etcd")
		ts.Setenv("TRENT_ETCD_ENDPOINTS", strings.Join(members.Endpoints(), ","))
	}
}

func ended(code int, err error) error {
	if err == nil && code != 0 {
		err = fmt.Errorf("the server ended with exit code %d", code)
	}
	return err
}

// until polls a condition.
func until(ok func() bool, otherwise string) error {
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return nil
		}
	}
	return errors.New(otherwise)
}

// request makes the request that a script asks for:
//
//	[-unsigned] [-at DURATION] [-region R] [-service S] [-method M] [-path P]
//	[-secret S] [-key ID] [-header NAME=VALUE] [-instead BODY] OPERATION [BODY]
//
// A body of @FILE is the file's content.
func request(ts *testscript.TestScript, args []string) raw.Request {
	keyID, secret, err := readCredentials(server.CredentialsFile(config.Store{Dir: ts.MkAbs(ts.Getenv("TRENT_DIR"))}))
	ts.Check(err)
	r := raw.Request{AccessKeyID: keyID, SecretAccessKey: secret, At: time.Now(), Header: make(map[string]string)}
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		if args[0] == "-unsigned" {
			r.SecretAccessKey, args = "", args[1:]
			continue
		}
		if len(args) < 2 {
			ts.Fatalf("%s wants a value", args[0])
		}
		switch value := args[1]; args[0] {
		case "-at":
			d, err := time.ParseDuration(value)
			ts.Check(err)
			r.At = r.At.Add(d)
		case "-region":
			r.Region = value
		case "-service":
			r.Service = value
		case "-method":
			r.Method = value
		case "-path":
			r.Path = value
		case "-secret":
			r.SecretAccessKey = value
		case "-key":
			r.AccessKeyID = value
		case "-header":
			name, v, _ := strings.Cut(value, "=")
			r.Header[name] = v
		case "-instead":
			r.Instead = content(ts, value)
		default:
			ts.Fatalf("request does not know %s", args[0])
		}
		args = args[2:]
	}
	if len(args) == 0 {
		ts.Fatalf("request wants an operation")
	}
	r.Target = args[0]
	if len(args) > 1 {
		r.Body = content(ts, args[1])
	}
	return r
}

func content(ts *testscript.TestScript, arg string) []byte {
	if name, ok := strings.CutPrefix(arg, "@"); ok {
		return []byte(ts.ReadFile(name))
	}
	return []byte(arg)
}

// requestCmd signs, sends, and prints status, error and text on one line and the
// body on another. It fails, or with ! succeeds, where the status is not 200.
func requestCmd(ts *testscript.TestScript, neg bool, args []string) {
	b, err := request(ts, args).Bytes(sceneOf(ts).host(ts))
	ts.Check(err)
	a, err := raw.Send(sceneOf(ts).host(ts), b)
	ts.Check(err)
	show(ts, neg, a)
}

func show(ts *testscript.TestScript, neg bool, a raw.Answer) {
	fmt.Fprintf(ts.Stdout(), "%s\n%s\n", a, a.Body)
	if (a.Status != 200) != neg {
		ts.Fatalf("the answer was %s", a)
	}
}

// stallCmd sends the first bytes of a request, and then nothing:
//
//	stall header|body   prints the answer, if there is one, and waits for the end
func stallCmd(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: stall header|body")
	}
	host := sceneOf(ts).host(ts)
	b, err := request(ts, []string{"GenerateRandom", `{"NumberOfBytes":32}`}).Bytes(host)
	ts.Check(err)
	n := len(b) - 5
	if args[0] == "header" {
		n = 60
	}
	c, err := net.Dial("tcp", host)
	ts.Check(err)
	defer c.Close()
	ts.Check(c.SetDeadline(time.Now().Add(20 * time.Second)))
	_, err = c.Write(b[:n])
	ts.Check(err)
	r := bufio.NewReader(c)
	if a, err := raw.Read(r); err == nil {
		fmt.Fprintln(ts.Stdout(), a)
	} else if _, timeout := errors.AsType[net.Error](err); timeout && errors.Is(err, os.ErrDeadlineExceeded) {
		ts.Fatalf("the server keeps a connection that has stalled")
	}
	if _, err := io.Copy(io.Discard, r); errors.Is(err, os.ErrDeadlineExceeded) {
		ts.Fatalf("the server keeps a connection that has stalled")
	}
}

// holdCmd sends a request but for its last byte, and returns once the server is
// reading its body. releaseCmd sends the rest and prints the answer.
func holdCmd(ts *testscript.TestScript, neg bool, args []string) {
	s := sceneOf(ts)
	b, err := request(ts, append([]string{"-header", "Expect=100-continue"}, args...)).Bytes(s.host(ts))
	ts.Check(err)
	c, err := net.Dial("tcp", s.host(ts))
	ts.Check(err)
	ts.Defer(func() { _ = c.Close() })
	ts.Check(c.SetDeadline(time.Now().Add(20 * time.Second)))
	_, err = c.Write(b[:len(b)-1])
	ts.Check(err)
	const goOn = "HTTP/1.1 100 Continue\r\n\r\n"
	got := make([]byte, len(goOn))
	if _, err = io.ReadFull(c, got); err != nil || string(got) != goOn {
		ts.Fatalf("instead of 100 Continue: %q, %v", got, err)
	}
	s.held = c
}

func releaseCmd(ts *testscript.TestScript, neg bool, args []string) {
	s := sceneOf(ts)
	_, err := s.held.Write([]byte("}"))
	ts.Check(err)
	a, err := raw.Read(s.held)
	ts.Check(err)
	show(ts, neg, a)
}

// fieldCmd puts a member of the JSON printed last into a variable: field NAME
// PATH, where PATH is as KeyMetadata.KeyId or 0.KeyId.
func fieldCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: field NAME PATH")
	}
	text := ts.ReadFile("stdout")
	start := strings.IndexAny(text, "{[")
	if start < 0 {
		ts.Fatalf("there is no JSON in the output")
	}
	var v any
	ts.Check(json.NewDecoder(strings.NewReader(text[start:])).Decode(&v))
	for _, step := range strings.Split(args[1], ".") {
		switch w := v.(type) {
		case map[string]any:
			v = w[step]
		case []any:
			i, err := strconv.Atoi(step)
			ts.Check(err)
			v = w[i]
		}
	}
	if v == nil {
		ts.Fatalf("%s is not in the output", args[1])
	}
	ts.Setenv(args[0], fmt.Sprint(v))
}

// matchCmd puts what matches in the output printed last into a variable: match NAME REGEXP.
func matchCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: match NAME REGEXP")
	}
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	found := re.FindString(ts.ReadFile("stdout"))
	if found == "" {
		ts.Fatalf("nothing in the output matches %s", args[1])
	}
	ts.Setenv(args[0], found)
}

// bendCmd puts an altered base64 value into a variable:
//
//	bend NAME flip|cut|grow N VALUE
//
// flip inverts the lowest bit of byte N (of the end, if negative), cut keeps N
// bytes, grow adds N.
func bendCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: bend NAME flip|cut|grow N VALUE")
	}
	enc := base64.StdEncoding
	if strings.ContainsAny(args[3], "-_") || len(args[3])%4 != 0 {
		enc = base64.RawURLEncoding
	}
	b, err := enc.DecodeString(args[3])
	ts.Check(err)
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	ts.Setenv(args[0], enc.EncodeToString(bend(b, args[1], n)))
}

func bend(b []byte, how string, n int) []byte {
	if n < 0 {
		n += len(b)
	}
	switch how {
	case "flip":
		b = slices.Clone(b)
		b[n] ^= 1
	case "cut":
		b = b[:n]
	case "grow":
		b = append(slices.Clone(b), make([]byte, n)...)
	}
	return b
}

// damageCmd alters a file in place, as bend does a value.
func damageCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: damage FILE flip|cut|grow N")
	}
	path := ts.MkAbs(args[0])
	info, err := os.Stat(path)
	ts.Check(err)
	b, err := os.ReadFile(path)
	ts.Check(err)
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	ts.Check(os.WriteFile(path, bend(b, args[1], n), info.Mode().Perm()))
}

// tamperCmd takes a record out of a store, past Trent: tamper FILE delete PATH.
func tamperCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 || args[1] != "delete" {
		ts.Fatalf("usage: tamper FILE delete PATH")
	}
	st, err := bolt.Open(ts.MkAbs(args[0]), bolt.Options{})
	ts.Check(err)
	_, err = st.Commit(context.Background(), store.Batch{Delete: args[2:]})
	ts.Check(errors.Join(err, st.Close()))
}

// linesCmd checks how many lines a file has: lines FILE N.
func linesCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: lines FILE N")
	}
	text := ts.ReadFile(args[0])
	if got := strings.Count(text, "\n"); strconv.Itoa(got) != args[1] {
		ts.Fatalf("%s has %d lines, want %s", args[0], got, args[1])
	}
}

// selfsignCmd makes a certificate for 127.0.0.1 and its key: selfsign CERT KEY.
func selfsignCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: selfsign CERT KEY")
	}
	cert, key, err := process.SelfSigned()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), cert, 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), key, 0o600))
}
