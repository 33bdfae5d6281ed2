package anchor

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"trent/internal/awsclient"
	"trent/internal/root"
)

// An object lies in S3, or in a service that speaks its protocol and keeps its conditional
// writes (If-Match, If-None-Match), by which several nodes can share it.
type object struct {
	client *http.Client
	keys   aws.CredentialsProvider
	url    string
	region string
}

// openS3 names s3://BUCKET/KEY?endpoint=URL&region=NAME&ca=FILE&credentials=FILE.
func openS3(l root.Locator) (place, error) {
	if err := l.Only("endpoint", "region", "ca", "credentials"); err != nil {
		return nil, err
	}
	bucket, name, ok := strings.Cut(strings.TrimPrefix(l.Place, "//"), "/")
	if !ok || bucket == "" || name == "" {
		return nil, errors.New("name an object, s3://BUCKET/KEY?region=NAME")
	}
	region := l.Settings.Get("region")
	if region == "" {
		region = "us-east-1"
	}
	endpoint := l.Settings.Get("endpoint")
	if endpoint == "" {
		endpoint = "https://s3." + region + ".amazonaws.com"
	}
	if err := awsclient.CheckEndpoint(endpoint); err != nil {
		return nil, err
	}
	client, err := awsclient.HTTP(l.Settings.Get("ca"))
	if err != nil {
		return nil, err
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	where := strings.TrimSuffix(endpoint, "/") + (&url.URL{Path: "/" + bucket + "/" + name}).EscapedPath()
	return &object{client, aws.NewCredentialsCache(awsclient.Credentials(l.Settings.Get("credentials"))), where, region}, nil
}

func (o *object) pace() time.Duration { return 5 * time.Second }

func (o *object) read(ctx context.Context) ([]byte, string, error) {
	res, body, err := o.do(ctx, http.MethodGet, nil, nil)
	if err != nil {
		return nil, "", err
	}
	switch res.StatusCode {
	case http.StatusOK:
		if res.Header.Get("ETag") == "" {
			return nil, "", errors.New("the answer has no ETag, without which it cannot be replaced safely")
		}
		return body, res.Header.Get("ETag"), nil
	case http.StatusNotFound:
		if strings.Contains(string(body), "NoSuchBucket") {
			return nil, "", errors.New("there is no such bucket")
		}
		return nil, "", nil
	}
	return nil, "", refused(res)
}

func (o *object) write(ctx context.Context, value []byte, was string) error {
	condition := http.Header{"If-Match": {was}}
	if was == "" {
		condition = http.Header{"If-None-Match": {"*"}}
	}
	res, _, err := o.do(ctx, http.MethodPut, value, condition)
	if err != nil {
		return err
	}
	switch res.StatusCode {
	case http.StatusOK, http.StatusCreated, http.StatusNoContent:
		return nil
	case http.StatusPreconditionFailed, http.StatusConflict, http.StatusNotFound:
		return errMoved
	}
	return refused(res)
}

func refused(res *http.Response) error { return fmt.Errorf("the object store answers %s", res.Status) }

// do sends one signed request, and reads the answer up to a bound.
func (o *object) do(ctx context.Context, method string, body []byte, header http.Header) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, o.url, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	sum := sha256.Sum256(body)
	digest := hex.EncodeToString(sum[:])
	req.Header.Set("X-Amz-Content-Sha256", digest)
	keys, err := o.keys.Retrieve(ctx)
	if err != nil {
		return nil, nil, err
	}
	// The path of an object is signed as it is sent.
	asSent := func(s *v4.SignerOptions) { s.DisableURIPathEscaping = true }
	if err := v4.NewSigner(asSent).SignHTTP(ctx, keys, req, digest, "s3", o.region, time.Now()); err != nil {
		return nil, nil, err
	}
	res, err := o.client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxValue+1))
	if err == nil && len(answer) > maxValue && res.StatusCode == http.StatusOK {
		err = fmt.Errorf("the object is no anchor: it has more than %d bytes", maxValue)
	}
	return res, answer, err
}
