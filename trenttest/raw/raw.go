// Package raw makes requests that no SDK would: it signs them properly, bends
// what a test wants bent, and sends them as bytes over a connection of their own.
package raw

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// A Request is signed when its bytes are asked for. What is zero is as a usual
// client has it.
type Request struct {
	AccessKeyID, SecretAccessKey string // no SecretAccessKey: not signed

	Method  string
	Path    string
	Target  string // the operation; with a dot in it, the whole X-Amz-Target
	Form    bool   // the body is a form: of IAM, if Service is not set, and with no Target
	Type    string // Content-Type, signed
	Body    []byte
	Region  string
	Service string
	At      time.Time // when it was signed

	// Header is set after the signature; an empty value takes a header away.
	Header map[string]string
	// Instead is sent in the place of the body that was signed.
	Instead []byte
}

// Bytes signs the request for a host and gives it as it goes over the wire.
func (r Request) Bytes(host string) ([]byte, error) {
	r = r.whole()
	req, err := http.NewRequest(r.Method, "http://"+host+r.Path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", r.Type)
	if r.Target != "" {
		req.Header.Set("X-Amz-Target", r.Target)
	}
	if r.SecretAccessKey != "" {
		sum := sha256.Sum256(r.Body)
		cred := aws.Credentials{AccessKeyID: r.AccessKeyID, SecretAccessKey: r.SecretAccessKey}
		if err := v4.NewSigner().SignHTTP(context.Background(), cred, req, hex.EncodeToString(sum[:]), r.Service, r.Region, r.At); err != nil {
			return nil, err
		}
	}
	body := r.Body
	if r.Instead != nil {
		body = r.Instead
	}
	req.Header.Set("Content-Length", fmt.Sprint(len(body)))
	for name, value := range r.Header {
		if value == "" {
			req.Header.Del(name)
		} else {
			req.Header.Set(name, value)
		}
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", r.Method, r.Path, host)
	names := make([]string, 0, len(req.Header))
	for name := range req.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&b, "%s: %s\r\n", name, req.Header.Get(name))
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes(), nil
}

func (r Request) whole() Request {
	if r.Method == "" {
		r.Method = http.MethodPost
	}
	if r.Path == "" {
		r.Path = "/"
	}
	if r.Form && r.Service == "" {
		r.Service = "iam"
	}
	if r.Type == "" {
		r.Type = "application/x-amz-json-1.1"
		if r.Form {
			r.Type = "application/x-www-form-urlencoded; charset=utf-8"
		}
	}
	if !strings.Contains(r.Target, ".") && !r.Form {
		r.Target = "TrentService." + r.Target
	}
	if r.Region == "" {
		r.Region = "us-east-1"
	}
	if r.Service == "" {
		r.Service = "kms"
	}
	if r.At.IsZero() {
		r.At = time.Now()
	}
	return r
}

// An Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Code is the name of the error in the answer, or nothing.
func (a Answer) Code() string {
	if e, ok := a.xml(); ok {
		return e.Code
	}
	return a.member("__type")
}

// Message is the text of the error in the answer, or nothing.
func (a Answer) Message() string {
	if e, ok := a.xml(); ok {
		return e.Message
	}
	if m := a.member("message"); m != "" {
		return m
	}
	return a.member("Message")
}

// xmlError is a refusal in the query protocol.
type xmlError struct {
	Code    string `xml:"Error>Code"`
	Message string `xml:"Error>Message"`
}

func (a Answer) xml() (e xmlError, ok bool) {
	return e, a.Header.Get("Content-Type") == "text/xml" && xml.Unmarshal(a.Body, &e) == nil
}

func (a Answer) member(name string) string {
	var m map[string]any
	if json.Unmarshal(a.Body, &m) != nil {
		return ""
	}
	s, _ := m[name].(string)
	return s
}

// String is the status, the error and its text, on one line.
func (a Answer) String() string {
	return strings.TrimSpace(fmt.Sprintf("%d %s %s", a.Status, a.Code(), a.Message()))
}

// patience is for a server that does not answer at all.
const patience = 30 * time.Second

// Send sends bytes over a new connection and reads one answer.
func Send(host string, b []byte) (Answer, error) {
	c, err := net.DialTimeout("tcp", host, patience)
	if err != nil {
		return Answer{}, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return Answer{}, err
	}
	// A server may answer and hang up before it has read all of it.
	_, writeErr := c.Write(b)
	a, err := Read(c)
	if err != nil && writeErr != nil {
		return a, fmt.Errorf("%w, after: %w", err, writeErr)
	}
	return a, err
}

// Read reads one answer.
func Read(c io.Reader) (Answer, error) {
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return Answer{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return Answer{res.StatusCode, res.Header, body}, err
}

// Do signs and sends.
func (r Request) Do(host string) (Answer, error) {
	b, err := r.Bytes(host)
	if err != nil {
		return Answer{}, err
	}
	return Send(host, b)
}
