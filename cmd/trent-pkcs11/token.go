//go:build cgo

package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	p11 "github.com/miekg/pkcs11"

	"trent/internal/root/pkcs11"
)

const (
	nonceSize = 12
	tagBits   = 128
)

// failure is an error of a kind.
type failure struct{ kind, reason string }

func (f failure) Error() string { return f.reason }

// token is a session with a token, logged in.
type token struct {
	module  *p11.Ctx
	session p11.SessionHandle
}

func login(q pkcs11.Request) (*token, error) {
	module := p11.New(q.Module)
	if module == nil {
		return nil, failure{pkcs11.Unavailable, "the module cannot be loaded"}
	}
	if err := module.Initialize(); err != nil {
		return nil, err
	}
	slot, err := slotOf(module, q.Token)
	if err != nil {
		return nil, err
	}
	session, err := module.OpenSession(slot, p11.CKF_SERIAL_SESSION|p11.CKF_RW_SESSION)
	if err != nil {
		return nil, err
	}
	// Once: a token counts wrong PINs and locks itself.
	if err := module.Login(session, p11.CKU_USER, q.PIN); err != nil && !errors.Is(err, p11.Error(p11.CKR_USER_ALREADY_LOGGED_IN)) {
		return nil, err
	}
	return &token{module, session}, nil
}

func slotOf(module *p11.Ctx, label string) (uint, error) {
	slots, err := module.GetSlotList(true)
	if err != nil {
		return 0, err
	}
	for _, slot := range slots {
		if info, err := module.GetTokenInfo(slot); err == nil && strings.TrimRight(info.Label, " \x00") == label {
			return slot, nil
		}
	}
	return 0, failure{pkcs11.Unavailable, fmt.Sprintf("there is no token %q in any slot", label)}
}

func (t *token) close() {
	// The process ends after this; what fails here has no one to tell.
	_ = t.module.CloseSession(t.session)
	_ = t.module.Finalize()
}

func (t *token) perform(q pkcs11.Request) ([]byte, error) {
	keys, err := t.find(q.Object)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 && q.Operation == "create" {
		keys, err = t.generate(q.Object)
	}
	if err != nil {
		return nil, err
	}
	if len(keys) != 1 {
		return nil, failure{pkcs11.Unavailable, fmt.Sprintf("there are %d secret keys with the label %q in the token, and there should be one", len(keys), q.Object)}
	}
	switch q.Operation {
	case "find", "create":
		return t.identify(keys[0], q.Object)
	case "encrypt":
		return t.encrypt(keys[0], q.Data, q.AAD)
	case "decrypt":
		return t.decrypt(keys[0], q.Data, q.AAD)
	}
	return nil, failure{pkcs11.Unavailable, "unknown operation"}
}

func (t *token) find(label string) ([]p11.ObjectHandle, error) {
	err := t.module.FindObjectsInit(t.session, []*p11.Attribute{
		p11.NewAttribute(p11.CKA_CLASS, p11.CKO_SECRET_KEY), p11.NewAttribute(p11.CKA_LABEL, label),
	})
	if err != nil {
		return nil, err
	}
	keys, _, err := t.module.FindObjects(t.session, 2)
	return keys, errors.Join(err, t.module.FindObjectsFinal(t.session))
}

// generate makes a key that never leaves the token.
func (t *token) generate(label string) ([]p11.ObjectHandle, error) {
	id := make([]byte, 16)
	rand.Read(id)
	key, err := t.module.GenerateKey(t.session, []*p11.Mechanism{p11.NewMechanism(p11.CKM_AES_KEY_GEN, nil)}, []*p11.Attribute{
		p11.NewAttribute(p11.CKA_CLASS, p11.CKO_SECRET_KEY), p11.NewAttribute(p11.CKA_KEY_TYPE, p11.CKK_AES), p11.NewAttribute(p11.CKA_VALUE_LEN, 32),
		p11.NewAttribute(p11.CKA_LABEL, label), p11.NewAttribute(p11.CKA_ID, id),
		p11.NewAttribute(p11.CKA_TOKEN, true), p11.NewAttribute(p11.CKA_PRIVATE, true),
		p11.NewAttribute(p11.CKA_SENSITIVE, true), p11.NewAttribute(p11.CKA_EXTRACTABLE, false),
		p11.NewAttribute(p11.CKA_ENCRYPT, true), p11.NewAttribute(p11.CKA_DECRYPT, true),
		p11.NewAttribute(p11.CKA_WRAP, false), p11.NewAttribute(p11.CKA_UNWRAP, false),
	})
	return []p11.ObjectHandle{key}, err
}

// identify is what the name of the root of trust is made of: a copy of the key in
// another token has it too.
func (t *token) identify(key p11.ObjectHandle, label string) ([]byte, error) {
	attributes, err := t.module.GetAttributeValue(t.session, key, []*p11.Attribute{p11.NewAttribute(p11.CKA_ID, nil)})
	if err != nil {
		return nil, err
	}
	return slices.Concat(attributes[0].Value, []byte{0}, []byte(label)), nil
}

func (t *token) encrypt(key p11.ObjectHandle, data, aad []byte) ([]byte, error) {
	nonce := make([]byte, nonceSize)
	rand.Read(nonce)
	parameters := p11.NewGCMParams(nonce, aad, tagBits)
	defer parameters.Free()
	if err := t.module.EncryptInit(t.session, []*p11.Mechanism{p11.NewMechanism(p11.CKM_AES_GCM, parameters)}, key); err != nil {
		return nil, err
	}
	out, err := t.module.Encrypt(t.session, data)
	if err == nil && !bytes.Equal(parameters.IV(), nonce) {
		nonce = parameters.IV() // some modules choose it themselves
	}
	return append(nonce, out...), err
}

func (t *token) decrypt(key p11.ObjectHandle, data, aad []byte) ([]byte, error) {
	out, err := t.open(key, data, aad)
	if err == nil || !ambiguous(err) {
		return out, err
	}
	// Modules answer what was altered with the code of a token that is broken. What the
	// token has just made itself tells which it is.
	good, probe := t.encrypt(key, make([]byte, 32), aad)
	if probe == nil {
		_, probe = t.open(key, good, aad)
	}
	if probe == nil {
		return nil, failure{pkcs11.BadData, "the token does not decrypt it: " + err.Error()}
	}
	return nil, failure{pkcs11.Unavailable, "the token decrypts nothing: " + probe.Error()}
}

func (t *token) open(key p11.ObjectHandle, data, aad []byte) ([]byte, error) {
	if len(data) <= nonceSize {
		return nil, failure{pkcs11.BadData, "it is too short"}
	}
	parameters := p11.NewGCMParams(data[:nonceSize], aad, tagBits)
	defer parameters.Free()
	if err := t.module.DecryptInit(t.session, []*p11.Mechanism{p11.NewMechanism(p11.CKM_AES_GCM, parameters)}, key); err != nil {
		return nil, err
	}
	return t.module.Decrypt(t.session, data[nonceSize:])
}

func ambiguous(err error) bool {
	code, ok := errors.AsType[p11.Error](err)
	return ok && slices.Contains([]p11.Error{p11.CKR_GENERAL_ERROR, p11.CKR_FUNCTION_FAILED, p11.CKR_ENCRYPTED_DATA_INVALID, p11.CKR_ENCRYPTED_DATA_LEN_RANGE, p11.CKR_DATA_INVALID, p11.CKR_DEVICE_ERROR}, code)
}

func failed(err error) pkcs11.Reply {
	if f, ok := errors.AsType[failure](err); ok {
		return pkcs11.Reply{Failure: f.kind, Reason: f.reason}
	}
	kind := pkcs11.Unavailable
	code, ok := errors.AsType[p11.Error](err)
	if ok && slices.Contains([]p11.Error{p11.CKR_PIN_INCORRECT, p11.CKR_PIN_LOCKED, p11.CKR_PIN_EXPIRED, p11.CKR_PIN_LEN_RANGE, p11.CKR_KEY_FUNCTION_NOT_PERMITTED, p11.CKR_USER_PIN_NOT_INITIALIZED}, code) {
		kind = pkcs11.Refused
	}
	return pkcs11.Reply{Failure: kind, Reason: err.Error()}
}
