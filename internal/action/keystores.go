package action

import (
	"context"
	"slices"
	"strings"

	"trent/internal/api"
	"trent/internal/fault"
	"trent/internal/key"
	"trent/internal/keyring"
	"trent/internal/keystore"
)

// keyStores is the family of custom key stores: places outside in which the other half of keys lies.
func keyStores() []*Entry {
	return []*Entry{
		entry(Action[api.CreateCustomKeyStoreInput, api.CreateCustomKeyStoreOutput]{
			Name:    "CreateCustomKeyStore",
			Uses:    onKeyStores[api.CreateCustomKeyStoreInput]("kms:CreateCustomKeyStore"),
			Rules:   createStoreRules,
			Mutates: true,
			Audit: []string{"CustomKeyStoreName", "CustomKeyStoreType", "CloudHsmClusterId", "XksProxyUriEndpoint", "XksProxyUriPath",
				"XksProxyConnectivity", "XksProxyVpcEndpointServiceName", "XksProxyVpcEndpointServiceOwner"},
			Run: createKeyStore,
		}),
		entry(Action[api.UpdateCustomKeyStoreInput, api.UpdateCustomKeyStoreOutput]{
			Name:    "UpdateCustomKeyStore",
			Uses:    onKeyStores[api.UpdateCustomKeyStoreInput]("kms:UpdateCustomKeyStore"),
			Rules:   updateStoreRules,
			Mutates: true,
			Audit: []string{"CustomKeyStoreId", "NewCustomKeyStoreName", "CloudHsmClusterId", "XksProxyUriEndpoint", "XksProxyUriPath",
				"XksProxyConnectivity", "XksProxyVpcEndpointServiceName", "XksProxyVpcEndpointServiceOwner"},
			Run: updateKeyStore,
		}),
		entry(Action[api.DeleteCustomKeyStoreInput, api.DeleteCustomKeyStoreOutput]{
			Name:    "DeleteCustomKeyStore",
			Uses:    onKeyStores[api.DeleteCustomKeyStoreInput]("kms:DeleteCustomKeyStore"),
			Mutates: true,
			Audit:   []string{"CustomKeyStoreId"},
			Run:     deleteKeyStore,
		}),
		entry(Action[api.ConnectCustomKeyStoreInput, api.ConnectCustomKeyStoreOutput]{
			Name:    "ConnectCustomKeyStore",
			Uses:    onKeyStores[api.ConnectCustomKeyStoreInput]("kms:ConnectCustomKeyStore"),
			Mutates: true,
			Audit:   []string{"CustomKeyStoreId"},
			Run:     connectKeyStore,
		}),
		entry(Action[api.DisconnectCustomKeyStoreInput, api.DisconnectCustomKeyStoreOutput]{
			Name:    "DisconnectCustomKeyStore",
			Uses:    onKeyStores[api.DisconnectCustomKeyStoreInput]("kms:DisconnectCustomKeyStore"),
			Mutates: true,
			Audit:   []string{"CustomKeyStoreId"},
			Run:     disconnectKeyStore,
		}),
		entry(Action[api.DescribeCustomKeyStoresInput, api.DescribeCustomKeyStoresOutput]{
			Name:  "DescribeCustomKeyStores",
			Uses:  onKeyStores[api.DescribeCustomKeyStoresInput]("kms:DescribeCustomKeyStores"),
			Rules: describeStoresRules,
			Audit: []string{"CustomKeyStoreId", "CustomKeyStoreName", "Limit"},
			Run:   describeKeyStores,
		}),
	}
}

// onKeyStores is the one use of these actions, which are not about keys.
func onKeyStores[In any](permit string) []Use[In] {
	return []Use[In]{{Kind: OnAccount, Permit: permit, CallerAccount: true}}
}

func createStoreRules(in *api.CreateCustomKeyStoreInput) error {
	hsm := in.Has("CloudHsmClusterId") || in.Has("TrustAnchorCertificate") || in.Has("KeyStorePassword")
	xks := in.Has("XksProxyUriEndpoint") || in.Has("XksProxyUriPath") || in.Has("XksProxyAuthenticationCredential") ||
		in.Has("XksProxyConnectivity") || in.Has("XksProxyVpcEndpointServiceName") || in.Has("XksProxyVpcEndpointServiceOwner")
	if in.CustomKeyStoreType != api.CustomKeyStoreTypeExternalKeyStore {
		switch {
		case xks:
			return invalid("The XksProxy members are for custom key stores of the type EXTERNAL_KEY_STORE alone.")
		case in.CloudHsmClusterId == "" || in.TrustAnchorCertificate == "" || in.KeyStorePassword.Len() == 0:
			return invalid("A custom key store of the type AWS_CLOUDHSM needs CloudHsmClusterId, TrustAnchorCertificate and KeyStorePassword.")
		}
		return noCloudHSM(in.CloudHsmClusterId)
	}
	switch {
	case hsm:
		return invalid("CloudHsmClusterId, TrustAnchorCertificate and KeyStorePassword are for custom key stores of the type AWS_CLOUDHSM alone.")
	case in.XksProxyUriEndpoint == "" || in.XksProxyUriPath == "" || in.XksProxyAuthenticationCredential == nil || in.XksProxyConnectivity == "":
		return invalid("A custom key store of the type EXTERNAL_KEY_STORE needs XksProxyUriEndpoint, XksProxyUriPath, XksProxyAuthenticationCredential and XksProxyConnectivity.")
	}
	return errFirst(checkConnectivity(in.XksProxyConnectivity, in.XksProxyVpcEndpointServiceName, in.XksProxyVpcEndpointServiceOwner), checkProxyPath(in.XksProxyUriPath))
}

// noCloudHSM is the refusal for all clusters: there is no module for tokens in this version.
func noCloudHSM(cluster string) error {
	return fault.New(api.CloudHsmClusterNotFoundException, "The CloudHSM cluster "+cluster+" was not found: this version of Trent has no module for hardware tokens (PKCS #11). A custom key store of the type EXTERNAL_KEY_STORE can stand in front of one.")
}

// checkConnectivity: Trent is in nobody's VPC. It reaches private networks as any host does.
func checkConnectivity(c api.XksProxyConnectivity, name, owner string) error {
	switch {
	case c == api.XksProxyConnectivityVPCEndpointService:
		return fault.New(api.XksProxyVpcEndpointServiceNotFoundException, "The VPC endpoint service "+name+" was not found: there are none outside of AWS. With PUBLIC_ENDPOINT Trent also reaches proxies on private networks.")
	case name != "" || owner != "":
		return invalid("XksProxyVpcEndpointServiceName and XksProxyVpcEndpointServiceOwner are for VPC_ENDPOINT_SERVICE alone.")
	}
	return nil
}

// checkProxyPath wants version 1 of the XKS proxy API, which is the one that is spoken.
func checkProxyPath(path string) error {
	if !strings.HasSuffix(path, "/kms/xks/v1") || strings.Contains(path, "//") {
		return invalid("XksProxyUriPath must end with /kms/xks/v1, and have no empty part.")
	}
	return nil
}

func errFirst(errs ...error) error {
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return errs[i]
	}
	return nil
}

func createKeyStore(ctx context.Context, c *Call, in *api.CreateCustomKeyStoreInput) (*api.CreateCustomKeyStoreOutput, error) {
	set, err := c.Lists.KeyStores(ctx, c.Where())
	if err != nil {
		return nil, err
	}
	st := &keystore.Store{
		ID: keystore.NewID(), Name: in.CustomKeyStoreName, Created: key.MomentOf(c.Now), State: api.ConnectionStateDisconnected,
		Proxy: keystore.Proxy{Endpoint: in.XksProxyUriEndpoint, Path: in.XksProxyUriPath}.As(in.XksProxyAuthenticationCredential),
	}
	if err := c.putKeyStore(set, st); err != nil {
		return nil, err
	}
	if err := c.checkProxy(ctx, &st.Proxy); err != nil {
		return nil, err
	}
	return &api.CreateCustomKeyStoreOutput{CustomKeyStoreId: st.ID}, nil
}

// putKeyStore wishes for a set with a store in it.
func (c *Call) putKeyStore(set *keystore.Set, now *keystore.Store) error {
	next, err := set.Put(now)
	if err == nil {
		c.Wish(keyring.PutKeyStores{Now: next})
	}
	return err
}

// asked is what a proxy is told of the request.
func (c *Call) asked() keystore.Asked {
	return keystore.Asked{Region: c.Region, Principal: c.Asker.Principal, Operation: c.Asker.Operation, RequestID: c.Asker.RequestID}
}

// checkProxy refuses a proxy that does not serve us now.
func (c *Call) checkProxy(ctx context.Context, p *keystore.Proxy) error {
	return keystore.OnStore(c.Proxies.Health(ctx, p, c.asked()))
}

func updateStoreRules(in *api.UpdateCustomKeyStoreInput) error {
	if in.Has("CloudHsmClusterId") || in.Has("KeyStorePassword") {
		return invalid("CloudHsmClusterId and KeyStorePassword are for custom key stores of the type AWS_CLOUDHSM alone.")
	}
	var badPath error
	if in.Has("XksProxyUriPath") {
		badPath = checkProxyPath(in.XksProxyUriPath)
	}
	return errFirst(checkConnectivity(in.XksProxyConnectivity, in.XksProxyVpcEndpointServiceName, in.XksProxyVpcEndpointServiceOwner), badPath)
}

// updateKeyStore: the name, the path and the credential may be changed while the store is connected, so
// that a credential can be replaced without a pause; what else there is, the endpoint, may not.
func updateKeyStore(ctx context.Context, c *Call, in *api.UpdateCustomKeyStoreInput) (*api.UpdateCustomKeyStoreOutput, error) {
	set, was, err := c.keyStore(ctx, in.CustomKeyStoreId)
	if err != nil {
		return nil, err
	}
	states := []api.ConnectionState{api.ConnectionStateDisconnected}
	if !in.Has("XksProxyUriEndpoint") && !in.Has("XksProxyConnectivity") {
		states = append(states, api.ConnectionStateConnected)
	}
	if err := was.CheckState("UpdateCustomKeyStore", states...); err != nil {
		return nil, err
	}
	now := *was
	now.Name = orElse(in.NewCustomKeyStoreName, was.Name)
	now.Proxy.Endpoint = orElse(in.XksProxyUriEndpoint, was.Proxy.Endpoint)
	now.Proxy.Path = orElse(in.XksProxyUriPath, was.Proxy.Path)
	now.Proxy = now.Proxy.As(in.XksProxyAuthenticationCredential)
	if err := c.putKeyStore(set, &now); err != nil {
		return nil, err
	}
	if in.Has("XksProxyUriEndpoint") || in.Has("XksProxyUriPath") || in.Has("XksProxyAuthenticationCredential") {
		if err := c.checkProxy(ctx, &now.Proxy); err != nil {
			return nil, err
		}
	}
	return &api.UpdateCustomKeyStoreOutput{}, nil
}

func orElse(s, byDefault string) string {
	if s == "" {
		return byDefault
	}
	return s
}

// keyStore finds a store, and the set that it is in.
func (c *Call) keyStore(ctx context.Context, id string) (*keystore.Set, *keystore.Store, error) {
	set, err := c.Lists.KeyStores(ctx, c.Where())
	if err != nil {
		return nil, nil, err
	}
	st, err := set.ByID(id)
	return set, st, err
}

func deleteKeyStore(ctx context.Context, c *Call, in *api.DeleteCustomKeyStoreInput) (*api.DeleteCustomKeyStoreOutput, error) {
	set, st, err := c.keyStore(ctx, in.CustomKeyStoreId)
	if err != nil {
		return nil, err
	}
	if err := st.CheckState("DeleteCustomKeyStore", api.ConnectionStateDisconnected); err != nil {
		return nil, err
	}
	used, err := c.Lists.ExternalTaken(ctx, c.Where(), st.ID, "")
	if err != nil {
		return nil, err
	}
	if used {
		return nil, fault.New(api.CustomKeyStoreHasCMKsException, "The custom key store "+st.ID+" has KMS keys. Schedule their deletion, and delete the key store when they are gone.")
	}
	c.Wish(keyring.PutKeyStores{Now: set.Without(st.ID)})
	return &api.DeleteCustomKeyStoreOutput{}, nil
}

// connectKeyStore connects at once: when it has answered, the store is CONNECTED or FAILED. That it
// failed is no refusal; it is to be read off the store.
func connectKeyStore(ctx context.Context, c *Call, in *api.ConnectCustomKeyStoreInput) (*api.ConnectCustomKeyStoreOutput, error) {
	set, was, err := c.keyStore(ctx, in.CustomKeyStoreId)
	if err != nil {
		return nil, err
	}
	if err := was.CheckState("ConnectCustomKeyStore", api.ConnectionStateDisconnected, api.ConnectionStateConnected); err != nil {
		return nil, err
	}
	if was.IsConnected() {
		return &api.ConnectCustomKeyStoreOutput{}, nil
	}
	now := *was
	now.State = api.ConnectionStateConnected
	if err := c.Proxies.Health(ctx, &now.Proxy, c.asked()); err != nil {
		now.State, now.Error = api.ConnectionStateFailed, keystore.ConnectionError(err)
	}
	return &api.ConnectCustomKeyStoreOutput{}, c.putKeyStore(set, &now)
}

func disconnectKeyStore(ctx context.Context, c *Call, in *api.DisconnectCustomKeyStoreInput) (*api.DisconnectCustomKeyStoreOutput, error) {
	set, was, err := c.keyStore(ctx, in.CustomKeyStoreId)
	if err != nil {
		return nil, err
	}
	if err := was.CheckState("DisconnectCustomKeyStore", api.ConnectionStateConnected, api.ConnectionStateFailed); err != nil {
		return nil, err
	}
	now := *was
	now.State, now.Error = api.ConnectionStateDisconnected, ""
	return &api.DisconnectCustomKeyStoreOutput{}, c.putKeyStore(set, &now)
}

func describeStoresRules(in *api.DescribeCustomKeyStoresInput) error {
	if in.Has("CustomKeyStoreId") && in.Has("CustomKeyStoreName") {
		return invalid("CustomKeyStoreId and CustomKeyStoreName cannot be in the same request.")
	}
	return nil
}

func describeKeyStores(ctx context.Context, c *Call, in *api.DescribeCustomKeyStoresInput) (*api.DescribeCustomKeyStoresOutput, error) {
	set, err := c.Lists.KeyStores(ctx, c.Where())
	if err != nil {
		return nil, err
	}
	out := new(api.DescribeCustomKeyStoresOutput)
	switch {
	case in.CustomKeyStoreId != "" || in.CustomKeyStoreName != "":
		st, err := set.ByID(in.CustomKeyStoreId)
		if in.CustomKeyStoreName != "" {
			st, err = set.ByName(in.CustomKeyStoreName)
		}
		if err != nil {
			return nil, err
		}
		out.CustomKeyStores = append(out.CustomKeyStores, describeKeyStore(st))
		return out, nil
	}
	list := c.listName("DescribeCustomKeyStores", "")
	after, err := c.Lists.OpenMarker(list, in.Marker)
	if err != nil {
		return nil, err
	}
	rest := storesAfter(set.Stores, after)
	n := limit(in.Limit, keystore.MaxStores, 1000)
	for _, st := range rest[:min(n, len(rest))] {
		out.CustomKeyStores = append(out.CustomKeyStores, describeKeyStore(st))
	}
	if out.Truncated = len(rest) > n; out.Truncated {
		out.NextMarker = c.Lists.SealMarker(list, rest[n-1].ID)
	}
	return out, nil
}

// storesAfter are the stores behind the one of an id, or none if that has gone since.
func storesAfter(stores []*keystore.Store, id string) []*keystore.Store {
	if id == "" {
		return stores
	}
	i := slices.IndexFunc(stores, func(st *keystore.Store) bool { return st.ID == id })
	if i < 0 {
		return nil
	}
	return stores[i+1:]
}

// describeKeyStore is a store as it is shown: with the id of its credential, and never the secret.
func describeKeyStore(st *keystore.Store) api.CustomKeyStoresListEntry {
	return api.CustomKeyStoresListEntry{
		CustomKeyStoreId: st.ID, CustomKeyStoreName: st.Name, CustomKeyStoreType: api.CustomKeyStoreTypeExternalKeyStore,
		CreationDate: st.Created.Time(), ConnectionState: st.State, ConnectionErrorCode: st.Error,
		XksProxyConfiguration: &api.XksProxyConfiguration{
			Connectivity: api.XksProxyConnectivityPublicEndpoint, AccessKeyId: st.Proxy.ShownKeyID(),
			UriEndpoint: st.Proxy.Endpoint, UriPath: st.Proxy.Path,
		},
	}
}
