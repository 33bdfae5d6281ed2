package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Server is what the steps are performed against.
type Server struct {
	Endpoint    string // URL
	Credentials aws.Credentials
	Regions     [2]string // the first is where most of it happens
	Account     string

	// Now is the server's clock.
	Now func() time.Time
	// Advance sets the clock on; nil: it cannot be done.
	Advance func(time.Duration)
	// Proxy are the variables of an external key store proxy; nil: there is none.
	Proxy map[string]string
}

// Variables are those that the steps start from.
func (s *Server) Variables() map[string]string {
	v := map[string]string{"region": s.Regions[0], "other_region": s.Regions[1], "account": s.Account}
	maps.Copy(v, s.Proxy)
	return v
}

// maxAnswer bounds what is read of an answer, bytes.
const maxAnswer = 4 << 20

// Result is what came of a step.
type Result struct {
	Step
	Skipped bool   // the server has not what it needs
	Failure string // empty: the outcome was the one that must be
}

// Run performs the steps in their order and gives a result for each.
func Run(ctx context.Context, s Server, steps []Step) ([]Result, error) {
	r := &run{server: s, variables: s.Variables()}
	results := make([]Result, 0, len(steps))
	for _, step := range steps {
		result := Result{Step: step, Skipped: step.Needs == Clock && s.Advance == nil || step.Needs == Proxy && s.Proxy == nil}
		if !result.Skipped {
			failure, err := r.perform(ctx, step)
			if err != nil {
				return results, fmt.Errorf("%s %s: %w", step.Action, step.Body, err)
			}
			result.Failure = failure
		}
		results = append(results, result)
	}
	return results, nil
}

type run struct {
	server    Server
	variables map[string]string
}

// perform does one step and says what was wrong with the outcome. An error is of the run itself.
func (r *run) perform(ctx context.Context, s Step) (failure string, err error) {
	if s.After > 0 {
		r.server.Advance(s.After)
	}
	region := r.server.Regions[0]
	if s.Region == Elsewhere {
		region = r.server.Regions[1]
	}
	body, err := r.fill(s.Body)
	if err != nil {
		return err.Error(), nil
	}
	status, answer, err := r.call(ctx, region, s.Action, body)
	if err != nil {
		return "", err
	}
	if failure := judge(s, status, answer); failure != "" {
		return failure, nil
	}
	return r.keep(s, answer), nil
}

// judge holds an answer against what it must be.
func judge(s Step, status int, answer []byte) string {
	var refusal struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	if status != http.StatusOK {
		if err := json.Unmarshal(answer, &refusal); err != nil {
			return fmt.Sprintf("status %d and no JSON", status)
		}
	}
	switch {
	case s.Error == "" && status != http.StatusOK:
		return fmt.Sprintf("%s: %s", refusal.Type, refusal.Message)
	case s.Error != "" && status == http.StatusOK:
		return "it succeeded"
	case s.Error != refusal.Type:
		return fmt.Sprintf("%s: %s", refusal.Type, refusal.Message)
	}
	return ""
}

// keep checks the places of an answer and saves those that are asked for.
func (r *run) keep(s Step, answer []byte) string {
	if len(s.Expect) == 0 && len(s.Save) == 0 {
		return ""
	}
	var doc any
	if err := json.Unmarshal(answer, &doc); err != nil {
		return "the answer is not JSON"
	}
	for path, want := range s.Expect {
		want, err := r.fill(want)
		if err != nil {
			return err.Error()
		}
		if got := at(doc, path); got != want {
			return fmt.Sprintf("%s is %q, not %q", path, got, want)
		}
	}
	for name, path := range s.Save {
		value := at(doc, path)
		if value == "" {
			return path + " is missing"
		}
		r.variables[name] = value
	}
	return ""
}

// at is what a document holds at a place such as Keys.0.KeyId, in one line.
func at(doc any, path string) string {
	for name := range strings.SplitSeq(path, ".") {
		switch v := doc.(type) {
		case map[string]any:
			doc = v[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(v) {
				return ""
			}
			doc = v[i]
		default:
			return ""
		}
	}
	if doc == nil {
		return ""
	}
	return fmt.Sprint(doc)
}

// placeholder is $name or ${function arguments}.
var placeholder = regexp.MustCompile(`\$(\{[^}]*\}|[a-z_0-9]+)`)

// fill puts the values of variables into a text, as the inside of JSON strings.
func (r *run) fill(text string) (string, error) {
	var failed error
	filled := placeholder.ReplaceAllStringFunc(text, func(p string) string {
		value, err := r.value(strings.Trim(p[1:], "{}"))
		if err != nil {
			failed = err
		}
		quoted, _ := json.Marshal(value) // a string always has a form
		return string(quoted[1 : len(quoted)-1])
	})
	return filled, failed
}

func (r *run) value(expression string) (string, error) {
	if call, ok := strings.CutPrefix(expression, "wrap "); ok {
		fields := strings.Fields(call)
		if len(fields) != 3 {
			return "", fmt.Errorf("wrap wants an algorithm, a key and material: %s", call)
		}
		return wrap(fields[0], r.variables[strings.TrimPrefix(fields[1], "$")], fields[2])
	}
	value, ok := r.variables[expression]
	if !ok {
		return "", fmt.Errorf("no step has saved $%s", expression)
	}
	return value, nil
}

// call sends one signed request.
func (r *run) call(ctx context.Context, region, action, body string) (status int, answer []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.server.Endpoint, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "TrentService."+action)
	if err := v4.NewSigner().SignHTTP(ctx, r.server.Credentials, req, sum(body), "kms", region, r.server.Now()); err != nil {
		return 0, nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return resp.StatusCode, answer, err
}
