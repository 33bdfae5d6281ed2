package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go"

	"trent/internal/config"
	"trent/internal/server"
)

// connection says which server a client command talks to, and as whom. The
// variables are those of the AWS SDKs.
type connection struct {
	Endpoint string `name:"endpoint" default:"http://127.0.0.1:7666" placeholder:"URL" env:"AWS_ENDPOINT_URL_KMS,AWS_ENDPOINT_URL" help:"Server."`
	Region   string `name:"region" default:"us-east-1" env:"AWS_REGION,AWS_DEFAULT_REGION" help:"Region."`
	Dir      string `name:"dir" short:"d" default:"trent-data" placeholder:"DIR" env:"TRENT_DIR" help:"Data directory whose administrator to be, if AWS_ACCESS_KEY_ID is not set."`
	CA       string `name:"ca" placeholder:"FILE" env:"AWS_CA_BUNDLE" help:"Certificates to trust, PEM."`
	Output   string `name:"output" short:"o" default:"table" enum:"table,json" env:"TRENT_OUTPUT" help:"Form of what is printed: table or json."`
}

// client makes an SDK client.
func (c *connection) client() (*kms.Client, error) {
	credentials, err := c.credentials()
	if err != nil {
		return nil, err
	}
	return newClient(c.Endpoint, c.Region, credentials, c.CA)
}

// credentials are those of the environment, or else the administrator's.
func (c *connection) credentials() (aws.Credentials, error) {
	own := aws.Credentials{
		AccessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY"), SessionToken: os.Getenv("AWS_SESSION_TOKEN"),
	}
	if own.AccessKeyID != "" && own.SecretAccessKey != "" {
		return own, nil
	}
	keyID, secretKey, err := readCredentials(server.CredentialsFile(config.Store{Dir: c.Dir}))
	if errors.Is(err, fs.ErrNotExist) {
		return own, fmt.Errorf("no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name the data directory with --dir (%s has no admin.credentials)", c.Dir)
	}
	return aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secretKey}, err
}

func newClient(endpoint, region string, own aws.Credentials, ca string) (*kms.Client, error) {
	h, err := httpClient(ca)
	if err != nil {
		return nil, err
	}
	return kms.New(kms.Options{
		Region: region, BaseEndpoint: aws.String(endpoint), HTTPClient: h, RetryMaxAttempts: 2,
		Credentials: credentials.StaticCredentialsProvider{Value: own},
	}), nil
}

func httpClient(ca string) (*http.Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("read the certificates to trust: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", ca)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	}
	return &http.Client{Transport: transport}, nil
}

// readCredentials reads the first access key of a shared credentials file.
func readCredentials(path string) (keyID, secretKey string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", "", fmt.Errorf("read the administrator's access key: %w", err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), "=")
		switch strings.TrimSpace(name) {
		case "aws_access_key_id":
			keyID = strings.TrimSpace(value)
		case "aws_secret_access_key":
			secretKey = strings.TrimSpace(value)
		}
	}
	if keyID == "" || secretKey == "" {
		return "", "", fmt.Errorf("%s holds no access key", path)
	}
	return keyID, secretKey, nil
}

// explain makes what the SDK says of a failed call fit for a person.
func explain(err error) error {
	if refused, ok := errors.AsType[smithy.APIError](err); ok {
		if refused.ErrorMessage() == "" {
			return errors.New(refused.ErrorCode())
		}
		return fmt.Errorf("%s: %s", refused.ErrorCode(), refused.ErrorMessage())
	}
	if dial, ok := errors.AsType[*net.OpError](err); ok && dial.Op == "dial" {
		return fmt.Errorf("nothing answers at %s (%w): start it with trent serve or trent quickstart, or name another server with --endpoint", dial.Addr, dial.Err)
	}
	if op, ok := errors.AsType[*smithy.OperationError](err); ok {
		return fmt.Errorf("%s: %w", op.OperationName, op.Unwrap())
	}
	return err
}
