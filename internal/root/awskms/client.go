package awskms

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"trent/internal/root"
)

func clientFor(l root.Locator, region string) (*kms.Client, error) {
	h, err := httpClient(l.Settings.Get("ca"))
	if err != nil {
		return nil, err
	}
	o := kms.Options{Region: region, HTTPClient: h, RetryMaxAttempts: 3, Credentials: aws.NewCredentialsCache(credentialsFor(l))}
	if endpoint := l.Settings.Get("endpoint"); endpoint != "" {
		if err := checkEndpoint(endpoint); err != nil {
			return nil, err
		}
		o.BaseEndpoint = &endpoint
	}
	return kms.New(o), nil
}

// checkEndpoint refuses to send a root key over a network in clear.
func checkEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.User != nil {
		return fmt.Errorf("%q is not the URL of an endpoint", endpoint)
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()) {
		return nil
	}
	return fmt.Errorf("the endpoint %s is neither https nor on this machine: the root key would cross the network in clear", endpoint)
}

func httpClient(ca string) (*http.Client, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("read the certificates to trust: %w", err)
		}
		t.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", ca)
		}
	}
	return &http.Client{Transport: t}, nil
}

// credentialsFor are those of the named file, else of the environment, else of the
// role of the machine in EC2.
func credentialsFor(l root.Locator) aws.CredentialsProvider {
	if path := l.Settings.Get("credentials"); path != "" {
		return shared(path)
	}
	keyID, secretKey := os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")
	if keyID != "" && secretKey != "" {
		return credentials.NewStaticCredentialsProvider(keyID, secretKey, os.Getenv("AWS_SESSION_TOKEN"))
	}
	return ec2rolecreds.New()
}

// shared is the path of a file in the form of the SDKs' shared credentials file, of
// which the first access key counts.
type shared string

// Retrieve implements aws.CredentialsProvider.
func (path shared) Retrieve(context.Context) (aws.Credentials, error) {
	f, err := os.Open(string(path))
	if err != nil {
		return aws.Credentials{}, fmt.Errorf("read the access key for the root of trust: %w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Mode().Perm()&0o077 != 0 {
		return aws.Credentials{}, fmt.Errorf("%s, with the access key for the root of trust, can be read by others: run chmod 600 on it", path)
	}
	c := aws.Credentials{Source: string(path)}
	for lines := bufio.NewScanner(f); lines.Scan() && (c.AccessKeyID == "" || c.SecretAccessKey == ""); {
		name, value, _ := strings.Cut(lines.Text(), "=")
		switch strings.TrimSpace(name) {
		case "aws_access_key_id":
			c.AccessKeyID = strings.TrimSpace(value)
		case "aws_secret_access_key":
			c.SecretAccessKey = strings.TrimSpace(value)
		}
	}
	if !c.HasKeys() {
		return aws.Credentials{}, fmt.Errorf("%s holds no access key", path)
	}
	return c, nil
}
