// Package process runs a built trent as a process of its own, for tests of what
// only a process can do: be killed, be signalled, hold a lock.
package process

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	// A changed server is a changed test: without this, go test would not know.
	_ "trent/internal/server"
)

// patience is how long a server may take to start or to end. It is there so
// that a test that hangs says where.
const patience = 60 * time.Second

// Build builds the command into dir and returns its path. Where the environment
// variable TRENT_BINARY names a binary, it is that one.
func Build(dir string) (string, error) {
	if path := os.Getenv("TRENT_BINARY"); path != "" {
		return filepath.Abs(path)
	}
	path := filepath.Join(dir, "trent")
	if out, err := exec.Command("go", "build", "-o", path, "trent/cmd/trent").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
}

// A Command is one call of trent that serves.
type Command struct {
	Binary string
	Args   []string // such as serve --dir DIR
	Dir    string   // to run in
	Env    []string // nil: as here
}

// A Server is a process that serves, or has ended.
type Server struct {
	URL string

	cmd  *exec.Cmd
	mu   sync.Mutex
	said strings.Builder // on standard output and standard error
	done chan struct{}
}

// ErrEnded says that the process ended before it served.
var ErrEnded = errors.New("the server ended before it served")

// The ways of saying where one is: of quickstart, and of serve in either format
// of its log.
var (
	servesAt = regexp.MustCompile(`serves at (https?://\S+)\. `)
	serving  = regexp.MustCompile(`msg"?[=:]"?serving"? *,?"?address"?[=:]"?([^" ]+)"? *,?"?tls"?[=:](true|false)`)
)

// addressIn finds the URL in a line of output, if it is there.
func addressIn(line string) (string, bool) {
	if m := servesAt.FindStringSubmatch(line); m != nil {
		return m[1], true
	}
	if m := serving.FindStringSubmatch(line); m != nil {
		return map[string]string{"true": "https://", "false": "http://"}[m[2]] + m[1], true
	}
	return "", false
}

// Start starts a server and returns when it answers. An error comes with the
// server, whose Output tells more.
func (c Command) Start() (*Server, error) {
	s := &Server{cmd: exec.Command(c.Binary, c.Args...), done: make(chan struct{})}
	s.cmd.Dir, s.cmd.Env = c.Dir, c.Env
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // also of a test that was killed
	r, w, err := os.Pipe()
	if err != nil {
		return s, err
	}
	s.cmd.Stdout, s.cmd.Stderr = w, w
	err = s.cmd.Start()
	_ = w.Close() // the process has it
	if err != nil {
		_ = r.Close() // nothing will come
		return s, err
	}
	address := make(chan string, 1)
	go s.listen(r, address)
	select {
	case s.URL = <-address:
		return s, s.untilReady()
	case <-s.done:
		return s, fmt.Errorf("%w (exit code %d):\n%s", ErrEnded, s.cmd.ProcessState.ExitCode(), s.Output())
	case <-time.After(patience):
		s.Kill()
		return s, fmt.Errorf("no address after %s:\n%s", patience, s.Output())
	}
}

// listen keeps what the process says until it ends.
func (s *Server) listen(r io.ReadCloser, address chan<- string) {
	defer close(s.done)
	for lines := bufio.NewScanner(r); lines.Scan(); {
		s.mu.Lock()
		s.said.WriteString(lines.Text() + "\n")
		s.mu.Unlock()
		url, ok := addressIn(lines.Text())
		if !ok {
			continue
		}
		select {
		case address <- url:
		default: // it has said so before
		}
	}
	_ = r.Close()
	_ = s.cmd.Wait() // its exit code is in ProcessState
}

// untilReady asks /ready until the answer is yes. What TLS is for, others test.
func (s *Server) untilReady() error {
	if strings.HasPrefix(s.URL, "https:") {
		return nil // it listens, which is all that can be told without its certificate
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		res, err := http.Get(s.URL + "/ready")
		if err != nil {
			continue
		}
		_ = res.Body.Close()
		if res.StatusCode == http.StatusOK {
			return nil
		}
	}
	s.Kill()
	return fmt.Errorf("not ready after %s:\n%s", patience, s.Output())
}

// Output is what the process has said so far.
func (s *Server) Output() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said.String()
}

// Kill ends the process with SIGKILL and returns when it is gone.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill() // it fails only for a process that has ended
	<-s.done
}

// Signal sends a signal and waits for nothing.
func (s *Server) Signal(sig os.Signal) error { return s.cmd.Process.Signal(sig) }

// Wait returns the exit code once the process has ended.
func (s *Server) Wait() (int, error) {
	select {
	case <-s.done:
		return s.cmd.ProcessState.ExitCode(), nil
	case <-time.After(patience):
		s.Kill()
		return -1, fmt.Errorf("the server did not end within %s:\n%s", patience, s.Output())
	}
}

// Stop ends the process with SIGTERM and returns its exit code.
func (s *Server) Stop() (int, error) {
	if err := s.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return -1, err
	}
	return s.Wait()
}

// PID is the number of the process.
func (s *Server) PID() string { return strconv.Itoa(s.cmd.Process.Pid) }
