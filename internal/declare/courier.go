package declare

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/go-json-experiment/json"

	"trent/internal/api"
	"trent/internal/api/adminapi"
	"trent/internal/api/iamapi"
	"trent/internal/arn"
	"trent/internal/iam"
	"trent/internal/pipeline"
)

// A Walker takes a request to its answer: a pipeline.Road.
type Walker interface {
	Walk(ctx context.Context, req *pipeline.Request) pipeline.Answer
}

// courier makes the requests of one declaration.
type courier struct {
	o      *Options
	road   Walker
	origin string // what the audit has in the place of a user agent
}

// source is what the audit has in the place of a peer's address.
const source = "declaration"

// onBehalf is the root user of an account, for whom the declaration speaks. It is
// looked up when the request is made: an account that was closed has none.
type onBehalf struct {
	c         *courier
	account   string
	region    string
	signature string
}

// Authenticate implements pipeline.Authenticator. There is nothing to be captured and
// sent again, so what is remembered of it may be forgotten at once.
func (b onBehalf) Authenticate(_ context.Context, _ string, _ []byte, now time.Time) (pipeline.Identity, error) {
	root, ok := b.c.o.Root(b.account)
	if !ok || root.Kind != iam.RootUser || root.Account != b.account {
		return pipeline.Identity{}, errors.New("declare: there is no root user of account " + b.account)
	}
	return pipeline.Identity{Principal: root, Region: b.region, Signature: b.signature, Signed: now, Expires: now}, nil
}

// A refusal is what the road answered instead.
type refusal struct {
	Operation, Code, Message string
}

// Error implements error.
func (r *refusal) Error() string {
	if r.Message == "" {
		return r.Operation + ": " + r.Code
	}
	return r.Operation + ": " + r.Code + ": " + r.Message
}

// refusedAs reports whether err is a refusal with this code.
func refusedAs(err error, code string) bool {
	r, ok := errors.AsType[*refusal](err)
	return ok && r.Code == code
}

func (c *courier) walk(ctx context.Context, account, region, target string, body []byte) pipeline.Answer {
	id := c.o.NewID()
	return c.road.Walk(ctx, &pipeline.Request{
		ID: id, Received: c.o.Now(), Target: target, Form: target == "", Body: body,
		Source: source, Secure: true, UserAgent: c.origin,
		Who: onBehalf{c, account, region, source + " " + id},
	})
}

// kms calls an operation of KMS. in and out are encoded as JSON; out may be nil.
func (c *courier) kms(ctx context.Context, account, region, operation string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("declare: encode %s: %w", operation, err)
	}
	a := c.walk(ctx, account, region, "TrentService."+operation, body)
	defer clear(a.Body)
	if a.Status != 200 {
		var f struct {
			Code    string `json:"__type"`
			Message string `json:"message,case:ignore"`
		}
		if err := json.Unmarshal(a.Body, &f); err != nil {
			return fmt.Errorf("declare: %s answered %d", operation, a.Status)
		}
		return &refusal{operation, f.Code, f.Message}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(a.Body, out); err != nil {
		return fmt.Errorf("declare: the answer of %s: %w", operation, err)
	}
	return nil
}

// iam calls an operation of IAM, with names and values in turn.
func (c *courier) iam(ctx context.Context, account, operation string, out any, pairs ...string) error {
	return c.form(ctx, account, iamapi.IAM(), operation, out, pairs)
}

// admin calls an operation of the operators, who are of the first account.
func (c *courier) admin(ctx context.Context, operation string, out any, pairs ...string) error {
	return c.form(ctx, c.o.FirstAccount, adminapi.Admin(), operation, out, pairs)
}

func (c *courier) form(ctx context.Context, account string, service *api.Service, operation string, out any, pairs []string) error {
	f := url.Values{"Action": {operation}, "Version": {service.Version}}
	for i := 0; i+1 < len(pairs); i += 2 {
		f.Set(pairs[i], pairs[i+1])
	}
	body := []byte(f.Encode())
	defer clear(body)
	a := c.walk(ctx, account, c.o.Home, "", body)
	defer clear(a.Body)
	if a.Status != 200 {
		var e struct {
			Error struct{ Code, Message string }
		}
		if err := xml.Unmarshal(a.Body, &e); err != nil {
			return fmt.Errorf("declare: %s answered %d", operation, a.Status)
		}
		return &refusal{operation, e.Error.Code, e.Error.Message}
	}
	if out == nil {
		return nil
	}
	if err := xml.Unmarshal(a.Body, out); err != nil {
		return fmt.Errorf("declare: the answer of %s: %w", operation, err)
	}
	return nil
}

// given are the names and values of which the value is not empty.
func given(pairs ...string) []string {
	var there []string
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			there = append(there, pairs[i], pairs[i+1])
		}
	}
	return there
}

// result is an answer of the query protocol around what a caller wants to know.
type result[T any] struct {
	Is       T        `xml:",any"`
	Metadata struct{} `xml:"ResponseMetadata"`
}

// list gathers the pages of a list. next is the marker of the page to come, or empty.
func list(fetch func(marker string) (next string, err error)) error {
	for marker := ""; ; {
		next, err := fetch(marker)
		if err != nil || next == "" {
			return err
		}
		marker = next
	}
}

// name makes an ARN of a short name, such as policy/team/keys; an ARN stays.
func (c *courier) name(account, short string) string {
	if _, ok := arn.Parse(short); ok {
		return short
	}
	const shared = "aws:"
	if len(short) > len(shared) && short[:len(shared)] == shared {
		return arn.IAM(c.o.Partition, "aws", short[len(shared):])
	}
	return arn.IAM(c.o.Partition, account, short)
}
