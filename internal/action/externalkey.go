package action

import (
	"context"

	"trent/internal/api"
	"trent/internal/fault"
	"trent/internal/key"
	"trent/internal/keyring"
	"trent/internal/keystore"
)

// keyStoreRules are what CreateKey asks of the members that are about custom key stores. done says that
// the key is to be in one, and that no further rule about its origin applies.
func keyStoreRules(in *api.CreateKeyInput) (done bool, err error) {
	switch in.Origin {
	case api.OriginExternalKeyStore, api.OriginAWSCloudHSM:
	default:
		if in.CustomKeyStoreId != "" {
			return false, invalid("CustomKeyStoreId needs the Origin EXTERNAL_KEY_STORE or AWS_CLOUDHSM.")
		}
		if in.XksKeyId != "" {
			return false, invalid("XksKeyId needs the Origin EXTERNAL_KEY_STORE.")
		}
		return false, nil
	}
	switch {
	case in.CustomKeyStoreId == "":
		return true, invalid("The Origin " + string(in.Origin) + " needs a CustomKeyStoreId.")
	case requestedSpec(in) != api.KeySpecSymmetricDefault:
		return true, unsupportedIn(string(requestedSpec(in)))
	case in.MultiRegion:
		return true, unsupportedIn("MultiRegion")
	case in.Origin == api.OriginAWSCloudHSM && in.XksKeyId != "":
		return true, invalid("XksKeyId needs the Origin EXTERNAL_KEY_STORE.")
	case in.Origin == api.OriginExternalKeyStore && in.XksKeyId == "":
		return true, invalid("The Origin EXTERNAL_KEY_STORE needs an XksKeyId.")
	case in.XksKeyId == "." || in.XksKeyId == "..":
		// It becomes a part of a path, where these two mean something.
		return true, invalid("XksKeyId cannot be . or ..")
	}
	return true, nil
}

func unsupportedIn(what string) error {
	return fault.New(api.UnsupportedOperationException, what+" is not supported in a custom key store.")
}

// attachExternal puts a key that is to be made into its custom key store: it asks for the external key, and
// wishes that no other KMS key stands on it.
func (c *Call) attachExternal(ctx context.Context, rec *key.Record, in *api.CreateKeyInput) error {
	set, st, err := c.keyStore(ctx, in.CustomKeyStoreId)
	switch {
	case err != nil:
		return err
	case in.Origin != api.OriginExternalKeyStore:
		return invalid("The custom key store " + st.ID + " is an external one: its keys have the Origin EXTERNAL_KEY_STORE.")
	}
	if err := st.CheckState("CreateKey", api.ConnectionStateConnected); err != nil {
		return err
	}
	taken, err := c.Lists.ExternalTaken(ctx, c.Where(), st.ID, in.XksKeyId)
	if err != nil {
		return err
	}
	if taken {
		return fault.New(api.XksKeyAlreadyInUseException, "The external key "+in.XksKeyId+" is already used by another KMS key of the custom key store "+st.ID+".")
	}
	external, err := c.Proxies.Key(ctx, &st.Proxy, in.XksKeyId, c.asked())
	if err == nil && !external.IsUsable() {
		err = keystore.Fail(keystore.Unfit, nil)
	}
	if err != nil {
		return keystore.OnNewKey(err)
	}
	rec.External = &key.External{StoreID: st.ID, KeyID: in.XksKeyId}
	c.Wish(keyring.PutExternal{Key: rec, Stores: set})
	return nil
}
