package awskms

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"trent/internal/awsclient"
	"trent/internal/root"
)

func clientFor(l root.Locator, region string) (*kms.Client, error) {
	h, err := awsclient.HTTP(l.Settings.Get("ca"))
	if err != nil {
		return nil, err
	}
	o := kms.Options{Region: region, HTTPClient: h, RetryMaxAttempts: 3, Credentials: aws.NewCredentialsCache(awsclient.Credentials(l.Settings.Get("credentials")))}
	if endpoint := l.Settings.Get("endpoint"); endpoint != "" {
		if err := awsclient.CheckEndpoint(endpoint); err != nil {
			return nil, err
		}
		o.BaseEndpoint = &endpoint
	}
	return kms.New(o), nil
}
