package keystore

import (
	"errors"

	"trent/internal/api"
	"trent/internal/fault"
)

// A Failure is why a proxy did not do what it was asked.
type Failure struct {
	Kind  Kind
	cause error // for the log's reader alone
}

// A Kind of failure. Most are what a proxy answers (errorName of the XKS proxy API); the others are
// of the way to it.
type Kind int

// The kinds.
const (
	Unreachable    Kind = iota // there is no connection
	BadTLS                     // there is one, and it cannot be trusted
	TimedOut                   // no answer in time
	Malformed                  // an answer that is none
	Incorrect                  // what it decrypted is not what was encrypted
	Down                       // no key manager behind it is available
	Rejected                   // ValidationException
	Disabled                   // InvalidStateException
	BadCiphertext              // InvalidCiphertextException
	BadUsage                   // InvalidKeyUsageException
	BadCredential              // AuthenticationFailedException
	Denied                     // AccessDeniedException
	NoKey                      // KeyNotFoundException
	BadPath                    // InvalidUriPathException
	Throttled                  // ThrottlingException
	Unsupported                // UnsupportedOperationException
	DependencyLate             // DependencyTimeoutException
	Broken                     // InternalException
	Unfit                      // the key is no AES key of 256 bits that is enabled, and encrypts and decrypts
	numberOfKinds
)

// Fail makes a failure. The cause never has a secret, nor what was to be encrypted.
func Fail(kind Kind, cause error) *Failure { return &Failure{kind, cause} }

// Error implements error.
func (f *Failure) Error() string {
	if f.cause == nil {
		return explanations[f.Kind].text
	}
	return explanations[f.Kind].text + " (" + f.cause.Error() + ")"
}

// Unwrap gives the cause.
func (f *Failure) Unwrap() error { return f.cause }

// IsOutage reports whether the store cannot be used at all, whatever is asked of it.
func (f *Failure) IsOutage() bool {
	switch f.Kind {
	case Unreachable, BadTLS, TimedOut, Malformed, Down, BadCredential, BadPath, DependencyLate, Broken:
		return true
	}
	return false
}

// An explanation is what a failure is called: the same sentence everywhere, under the code of
// who asks.
type explanation struct {
	text   string
	store  fault.Code              // of actions on the store
	key    fault.Code              // of CreateKey
	failed api.ConnectionErrorCode // of a connection
}

const (
	badAnswer = "The answer of the external key store proxy cannot be understood. If this happens again, tell whoever runs the proxy."
	notInTime = "The external key store proxy did not answer in time. Try again; if this happens again, tell whoever runs the proxy."
)

// explanations has one for each kind. Any failure while a key is used is a
// KMSInvalidStateException, as the API has no other code for it there.
var explanations = [numberOfKinds]explanation{
	Unreachable: {"The external key store proxy cannot be reached. If this happens again, see whether the proxy runs, is connected to the network, and is at the endpoint of the key store.",
		api.XksProxyUriUnreachableException, api.CustomKeyStoreInvalidStateException, api.ConnectionErrorCodeXKSProxyNotReachable},
	BadTLS: {"No TLS connection to the external key store proxy can be trusted. See to the proxy's TLS, and that its certificate is of the endpoint's name and a trusted authority.",
		api.XksProxyUriUnreachableException, api.CustomKeyStoreInvalidStateException, api.ConnectionErrorCodeXKSProxyInvalidTLSConfiguration},
	TimedOut: {notInTime,
		api.XksProxyUriUnreachableException, api.CustomKeyStoreInvalidStateException, api.ConnectionErrorCodeXKSProxyTimedOut},
	DependencyLate: {notInTime,
		api.XksProxyUriUnreachableException, api.CustomKeyStoreInvalidStateException, api.ConnectionErrorCodeXKSProxyTimedOut},
	Malformed: {badAnswer,
		api.XksProxyInvalidResponseException, api.CustomKeyStoreInvalidStateException, api.ConnectionErrorCodeXKSProxyInvalidResponse},
	Rejected: {badAnswer,
		api.XksProxyInvalidResponseException, api.CustomKeyStoreInvalidStateException, api.ConnectionErrorCodeXKSProxyInvalidResponse},
	Incorrect: {"What the external key store proxy gave back for the ciphertext is corrupted, or the encryption context is not the one that it was made with.",
		api.XksProxyInvalidResponseException, api.CustomKeyStoreInvalidStateException, api.ConnectionErrorCodeXKSProxyInvalidResponse},
	Down: {"The external key store proxy says that no external key manager is available.",
		api.XksProxyUriUnreachableException, api.CustomKeyStoreInvalidStateException, api.ConnectionErrorCodeXKSProxyNotReachable},
	Disabled: {"The external key store proxy rejected the request because the external key is not enabled in the external key manager.",
		api.XksProxyInvalidConfigurationException, api.XksKeyInvalidConfigurationException, api.ConnectionErrorCodeXKSProxyNotReachable},
	BadCiphertext: {"The external key store proxy rejected the request because the ciphertext or the encryption context is corrupted, missing, or otherwise invalid.",
		api.XksProxyInvalidResponseException, api.CustomKeyStoreInvalidStateException, api.ConnectionErrorCodeXKSProxyInvalidResponse},
	BadUsage: {"The external key store proxy rejected the request because the external key does not support the requested operation.",
		api.XksProxyInvalidResponseException, api.XksKeyInvalidConfigurationException, api.ConnectionErrorCodeXKSProxyInvalidResponse},
	BadCredential: {"The external key store proxy rejected the request because the authentication credential is not right. See to the credential of the key store, and update it if it has changed.",
		api.XksProxyIncorrectAuthenticationCredentialException, api.CustomKeyStoreInvalidStateException, api.ConnectionErrorCodeInvalidCredentials},
	Denied: {"The external key store proxy denied access to the operation. Verify that the user and the external key are both authorized for this operation, and try the request again.",
		api.XksProxyInvalidConfigurationException, api.CustomKeyStoreInvalidStateException, api.ConnectionErrorCodeXKSProxyAccessDenied},
	NoKey: {"The external key store proxy rejected the request because it could not find the external key.",
		api.XksProxyInvalidResponseException, api.XksKeyNotFoundException, api.ConnectionErrorCodeXKSProxyInvalidResponse},
	BadPath: {"The external key store proxy rejected the request because the URI path is not valid. See to the path of the key store, and update it if it has changed.",
		api.XksProxyInvalidConfigurationException, api.CustomKeyStoreInvalidStateException, api.ConnectionErrorCodeXKSProxyInvalidConfiguration},
	Throttled: {"The external key store proxy rejected the request because it gets too many. Use the keys of this key store less often.",
		api.XksProxyUriUnreachableException, api.CustomKeyStoreInvalidStateException, api.ConnectionErrorCodeXKSProxyNotReachable},
	Unsupported: {"The external key store proxy rejected the request because it does not support the requested operation. If this happens again, tell whoever runs the proxy.",
		api.XksProxyInvalidResponseException, api.CustomKeyStoreInvalidStateException, api.ConnectionErrorCodeXKSProxyInvalidResponse},
	Broken: {"The external key store proxy rejected the request because it cannot use the external key manager. See to the proxy's configuration, and that the external key manager is available.",
		api.XksProxyInvalidResponseException, api.CustomKeyStoreInvalidStateException, api.ConnectionErrorCodeXKSProxyInvalidResponse},
	Unfit: {"The external key must be an AES key of 256 bits that is enabled, and may encrypt and decrypt.",
		api.XksProxyInvalidConfigurationException, api.XksKeyInvalidConfigurationException, api.ConnectionErrorCodeXKSProxyInvalidConfiguration},
}

// named are the errors of the XKS proxy API.
var named = map[string]Kind{
	"ValidationException": Rejected, "InvalidStateException": Disabled, "InvalidCiphertextException": BadCiphertext,
	"InvalidKeyUsageException": BadUsage, "AuthenticationFailedException": BadCredential, "AccessDeniedException": Denied,
	"KeyNotFoundException": NoKey, "InvalidUriPathException": BadPath, "ThrottlingException": Throttled,
	"UnsupportedOperationException": Unsupported, "DependencyTimeoutException": DependencyLate, "InternalException": Broken,
}

// KindOf is the kind of what a proxy answers; of a name that the API does not have, Malformed.
func KindOf(errorName string) Kind {
	if k, ok := named[errorName]; ok {
		return k
	}
	return Malformed
}

// OnStore says a failure in terms of CreateCustomKeyStore and UpdateCustomKeyStore.
func OnStore(err error) error {
	return say(err, func(e *explanation) fault.Code { return e.store })
}

// OnNewKey says a failure in terms of CreateKey.
func OnNewKey(err error) error {
	return say(err, func(e *explanation) fault.Code { return e.key })
}

// OnUse says a failure while a key is used.
func OnUse(err error) error {
	return say(err, func(*explanation) fault.Code { return api.KMSInvalidStateException })
}

func say(err error, code func(*explanation) fault.Code) error {
	f, ok := errors.AsType[*Failure](err)
	if !ok {
		return err
	}
	e := &explanations[f.Kind]
	return fault.New(code(e), e.text).Because(f)
}

// ConnectionError is why a connection failed, as the API shows it.
func ConnectionError(err error) api.ConnectionErrorCode {
	f, ok := errors.AsType[*Failure](err)
	if !ok {
		return api.ConnectionErrorCodeInternalError
	}
	return explanations[f.Kind].failed
}
