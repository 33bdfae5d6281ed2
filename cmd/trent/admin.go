package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go"

	"trent/internal/api/adminapi"
)

// operator calls the API of operators (internal/api/model/admin.json), for which
// there is no SDK: it is in the query protocol, as IAM is.
type operator struct {
	endpoint, region string
	credentials      aws.Credentials
	http             *http.Client
}

// operator makes a client of the API of operators.
func (c *connection) operator() (*operator, error) {
	credentials, err := c.credentials()
	if err != nil {
		return nil, err
	}
	h, err := httpClient(c.CA)
	if err != nil {
		return nil, err
	}
	return &operator{c.Endpoint, c.Region, credentials, h}, nil
}

// maxAnswer bounds an answer, in bytes.
const maxAnswer = 4 << 20

// call sends one request and decodes the result, an XML element, into out.
func (o *operator) call(ctx context.Context, action string, form url.Values, out any) error {
	if form == nil {
		form = url.Values{}
	}
	form.Set("Action", action)
	form.Set("Version", adminapi.Admin().Version)
	body := form.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(o.endpoint, "/")+"/", strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	// The same call twice in a second would have the same signature, and be taken for a
	// replay.
	req.Header.Set("Amz-Sdk-Invocation-Id", rand.Text())
	sum := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(ctx, o.credentials, req, hex.EncodeToString(sum[:]), adminapi.Admin().Name, o.region, time.Now()); err != nil {
		return fmt.Errorf("sign the request: %w", err)
	}
	resp, err := o.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return refusal(resp, text)
	}
	if out == nil {
		return nil
	}
	if err := xml.Unmarshal(text, out); err != nil {
		return fmt.Errorf("the answer is not what a server of this version says: %w", err)
	}
	return nil
}

// refusal makes an error of an answer that is one.
func refusal(resp *http.Response, text []byte) error {
	var r struct {
		Error struct{ Code, Message string }
	}
	if err := xml.Unmarshal(text, &r); err != nil || r.Error.Code == "" {
		return fmt.Errorf("the server answered %s", resp.Status)
	}
	return &smithy.GenericAPIError{Code: r.Error.Code, Message: r.Error.Message}
}
