// Package awsclient is what clients of AWS services, and of servers that speak their
// protocols, have in common: endpoints, certificates to trust, and credentials.
package awsclient

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
)

// CheckEndpoint refuses an endpoint that is neither https nor on this machine.
func CheckEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.User != nil {
		return fmt.Errorf("%q is not the URL of an endpoint", endpoint)
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()) {
		return nil
	}
	return fmt.Errorf("the endpoint %s is neither https nor on this machine: what is sent would cross the network in clear", endpoint)
}

// HTTP makes a client that trusts the certificates of a PEM file; "": those of the system.
func HTTP(ca string) (*http.Client, error) {
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

// Credentials are those of the named file, if one is named, else of the environment, else
// of the role of the machine in EC2.
func Credentials(path string) aws.CredentialsProvider {
	if path != "" {
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
		return aws.Credentials{}, fmt.Errorf("read the access key of the setting credentials: %w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Mode().Perm()&0o077 != 0 {
		return aws.Credentials{}, fmt.Errorf("%s, with the access key of the setting credentials, can be read by others: run chmod 600 on it", path)
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
