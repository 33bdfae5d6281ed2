package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"trent/internal/config"
	"trent/internal/store"
	"trent/internal/store/bolt"
	"trent/internal/store/etcd"
)

// Kinds of stores.
const (
	boltKind = "bolt"
	etcdKind = "etcd"
)

// clusterPlace says where the records are in a cluster.
func clusterPlace(c config.Store) string {
	prefix := c.EtcdPrefix
	if prefix == "" {
		prefix = etcd.DefaultPrefix
	}
	return fmt.Sprintf("%s in etcd at %s", prefix, strings.Join(c.EtcdEndpoints, ","))
}

// openStore opens the store that the settings name, and never makes one.
func openStore(ctx context.Context, c config.Store) (store.Store, error) {
	switch c.Kind {
	case "", boltKind:
		return bolt.Open(filesOf(c).store, bolt.Options{})
	case etcdKind:
		return openEtcd(ctx, c)
	}
	return nil, fmt.Errorf("store: %q is none; there are bolt and etcd", c.Kind)
}

// createStore opens a store in which there is nothing yet.
func createStore(ctx context.Context, c config.Store) (store.Store, error) {
	if c.Kind != etcdKind {
		return bolt.Create(filesOf(c).store, bolt.Options{})
	}
	return openEtcd(ctx, c)
}

// checkUnused refuses a prefix under which there is something, before anything is made for it. A
// file tells that by being there.
func checkUnused(ctx context.Context, c config.Store) error {
	if c.Kind != etcdKind {
		return nil
	}
	st, err := openEtcd(ctx, c)
	if err != nil {
		return err
	}
	defer st.Close()
	there, err := st.List(ctx, "", "", 1, true)
	if err == nil && len(there) > 0 {
		err = fmt.Errorf("%w: there are records under %s. To add a node, put the root.key of another node into its data directory and run trent serve; "+
			"what an interrupted trent init has left is removed with etcdctl del --prefix", ErrInitialised, clusterPlace(c))
	}
	return err
}

func openEtcd(ctx context.Context, c config.Store) (*etcd.Store, error) {
	o := etcd.Options{Endpoints: c.EtcdEndpoints, User: c.EtcdUser, Prefix: c.EtcdPrefix, Timeout: c.EtcdTimeout}
	var err error
	if o.TLS, err = etcdTLS(c); err != nil {
		return nil, err
	}
	if err := checkEndpoints(c.EtcdEndpoints); err != nil {
		return nil, err
	}
	if c.EtcdPasswordFile != "" {
		password, err := os.ReadFile(c.EtcdPasswordFile)
		if err != nil {
			return nil, fmt.Errorf("etcd-password-file: %w", err)
		}
		o.Password = strings.TrimRight(string(password), "\r\n")
	}
	return etcd.Open(ctx, o)
}

// checkEndpoints refuses to send records, and the password, over a network in
// clear, where others could also answer in etcd's place.
func checkEndpoints(endpoints []string) error {
	for _, e := range endpoints {
		u, err := url.Parse(e)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return fmt.Errorf("etcd-endpoints: %q is no URL such as https://10.0.0.1:2379", e)
		}
		if u.Scheme == "https" {
			continue
		}
		if loopback, err := isLoopback(u.Host); err != nil || !loopback {
			return errors.Join(fmt.Errorf("etcd-endpoints: %s is not a loopback address, so it must be https", e), err)
		}
	}
	return nil
}

// etcdTLS makes the settings of the connection; nil where none are given.
func etcdTLS(c config.Store) (*tls.Config, error) {
	if c.EtcdCA == "" && c.EtcdCert == "" && c.EtcdKey == "" {
		return nil, nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.EtcdCA != "" {
		pem, err := os.ReadFile(c.EtcdCA)
		if err != nil {
			return nil, fmt.Errorf("etcd-ca: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("etcd-ca: there is no certificate in %s", c.EtcdCA)
		}
	}
	if (c.EtcdCert == "") != (c.EtcdKey == "") {
		return nil, errors.New("etcd-cert and etcd-key go together: give both or neither")
	}
	if c.EtcdCert != "" {
		own := &certificate{certFile: c.EtcdCert, keyFile: c.EtcdKey}
		if _, err := own.get(nil); err != nil {
			return nil, fmt.Errorf("etcd-cert: %w", err)
		}
		t.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own.get(nil) }
	}
	return t, nil
}
