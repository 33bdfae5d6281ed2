package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
)

type statusCmd struct{ connection }

// status is printed.
type status struct {
	Endpoint string
	Alive    bool
	Ready    bool
	Region   string
	Keys     string // a number, or "1000+"; empty where they could not be listed
	Anchors  string // each with its age; empty where the server does not say, which it does on its own machine alone
	Problem  string `json:",omitempty"`
}

// Run implements the command. It fails where the server is not ready.
func (c *statusCmd) Run(w *world) error {
	s := c.ask(w)
	if c.Output == "json" {
		if err := printJSON(w.stdout, s); err != nil {
			return err
		}
	} else if err := printFacts(w.stdout, []fact{
		{"Server", s.Endpoint}, {"Alive", yesNo(s.Alive)}, {"Ready", yesNo(s.Ready)}, {"Region", s.Region}, {"Keys", s.Keys}, {"Anchors", s.Anchors}, {"Problem", s.Problem},
	}); err != nil {
		return err
	}
	if !s.Ready {
		return fmt.Errorf("the server at %s is not ready", c.Endpoint)
	}
	return nil
}

func (c *statusCmd) ask(w *world) status {
	s := status{Endpoint: c.Endpoint, Region: c.Region}
	h, err := httpClient(c.CA)
	if err != nil {
		s.Problem = err.Error()
		return s
	}
	if s.Alive, _, err = probe(w.ctx, h, c.Endpoint, "/health"); err != nil {
		s.Problem = explain(err).Error()
		return s
	}
	ready, details, err := probe(w.ctx, h, c.Endpoint, "/ready")
	if err != nil {
		s.Problem = explain(err).Error()
		return s
	}
	s.Ready, s.Anchors = ready, anchorsIn(details)
	client, err := c.client()
	if err != nil {
		s.Problem = err.Error()
		return s
	}
	limit := int32(1000)
	out, err := client.ListKeys(w.ctx, &kms.ListKeysInput{Limit: &limit})
	if err != nil {
		s.Problem = explain(err).Error()
		return s
	}
	s.Keys = strconv.Itoa(len(out.Keys))
	if out.Truncated {
		s.Keys += "+"
	}
	return s
}

// anchorsIn are the lines about anchors in what /ready says.
func anchorsIn(details string) string {
	var all []string
	for line := range strings.Lines(details) {
		if about, ok := strings.CutPrefix(line, "anchor: "); ok {
			all = append(all, strings.TrimSpace(about))
		}
	}
	return strings.Join(all, "; ")
}

func probe(ctx context.Context, h *http.Client, endpoint, path string) (ok bool, text string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(endpoint, "/")+path, nil)
	if err != nil {
		return false, "", err
	}
	res, err := h.Do(req)
	if err != nil {
		return false, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 16<<10))
	return res.StatusCode == http.StatusOK, string(body), err
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
