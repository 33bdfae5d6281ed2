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
	Keys     string  // a number, or "1000+"; empty where they could not be listed
	Problem  string  `json:",omitempty"`
	Vitals   []vital `json:",omitempty"` // of operators alone
}

// vital is what the safety of the keys rests on.
type vital struct {
	Kind        string
	Name        string
	InOrder     bool
	CheckDate   string
	LastInOrder string
	Problem     string
}

// Run implements the command. It fails where the server is not ready.
func (c *statusCmd) Run(w *world) error {
	s := c.ask(w)
	if c.Output == "json" {
		if err := printJSON(w.stdout, s); err != nil {
			return err
		}
	} else if err := printFacts(w.stdout, []fact{
		{"Server", s.Endpoint}, {"Alive", yesNo(s.Alive)}, {"Ready", yesNo(s.Ready)}, {"Region", s.Region}, {"Keys", s.Keys}, {"Problem", s.Problem},
	}); err != nil {
		return err
	} else if err := printVitals(w.stdout, s.Vitals); err != nil {
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
	if s.Alive, err = probe(w.ctx, h, c.Endpoint, "/health"); err != nil {
		s.Problem = explain(err).Error()
		return s
	}
	if s.Ready, err = probe(w.ctx, h, c.Endpoint, "/ready"); err != nil {
		s.Problem = explain(err).Error()
		return s
	}
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
	s.Vitals = c.vitals(w)
	return s
}

// vitals asks for them; whoever may not see them sees none.
func (c *statusCmd) vitals(w *world) []vital {
	o, err := c.operator()
	if err != nil {
		return nil
	}
	var out struct {
		Result struct {
			Vitals []vital `xml:"Vitals>member"`
		} `xml:"DescribeDeploymentResult"`
	}
	if o.call(w.ctx, "DescribeDeployment", nil, &out) != nil {
		return nil
	}
	return out.Result.Vitals
}

func printVitals(to io.Writer, vitals []vital) error {
	if len(vitals) == 0 {
		return nil
	}
	rows := make([][]string, len(vitals))
	for i, v := range vitals {
		state := "in order"
		if v.Problem != "" {
			state = v.Problem
		}
		rows[i] = []string{v.Kind, v.Name, v.CheckDate, state}
	}
	if _, err := fmt.Fprintln(to); err != nil {
		return err
	}
	return printTable(to, []string{"WATCHED", "NAME", "CHECKED", "STATE"}, rows)
}

func probe(ctx context.Context, h *http.Client, endpoint, path string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(endpoint, "/")+path, nil)
	if err != nil {
		return false, err
	}
	res, err := h.Do(req)
	if err != nil {
		return false, err
	}
	defer res.Body.Close()
	return res.StatusCode == http.StatusOK, nil
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
