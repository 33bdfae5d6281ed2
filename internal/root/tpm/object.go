package tpm

import (
	"encoding/binary"
	"os"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/linuxtpm"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"

	"trent/internal/root"
	"trent/internal/root/kek"
)

// version is the first byte of a wrapping. TPM2B_PUBLIC, TPM2B_PRIVATE and what kek makes follow.
const version = 1

// maxPart bounds either part of a sealed object, in bytes.
const maxPart = 1024

// dial opens a device or, for a TPM that is a program, a socket.
func dial(path string) (transport.TPMCloser, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode()&os.ModeSocket != 0 {
		return linuxudstpm.Open(path)
	}
	return linuxtpm.Open(path)
}

type parts struct {
	header  []byte // what comes before the wrapped key
	public  tpm2.TPM2BPublic
	private tpm2.TPM2BPrivate
	wrapped []byte
}

// parse takes a wrapping apart. The TPM looks at its parts itself; here only the sizes count.
func parse(blob []byte) (parts, error) {
	if len(blob) == 0 || blob[0] != version {
		return parts{}, root.ErrBadData
	}
	public, rest, ok := cut(blob[1:])
	private, wrapped, ok2 := cut(rest)
	if !ok || !ok2 || len(wrapped) != root.KeySize+kek.Overhead {
		return parts{}, root.ErrBadData
	}
	return parts{
		header: blob[:len(blob)-len(wrapped)],
		public: tpm2.BytesAs2B[tpm2.TPMTPublic](public), private: tpm2.TPM2BPrivate{Buffer: private},
		wrapped: wrapped,
	}, nil
}

func cut(b []byte) (part, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	n := int(binary.BigEndian.Uint16(b))
	if n == 0 || n > maxPart || len(b) < 2+n {
		return nil, nil, false
	}
	return b[2 : 2+n], b[2+n:], true
}

// encrypted makes a session in which what is secret crosses the bus encrypted.
func encrypted(srk *tpm2.CreatePrimaryResponse) ([]tpm2.AuthOption, error) {
	public, err := srk.OutPublic.Contents()
	if err != nil {
		return nil, err
	}
	return []tpm2.AuthOption{tpm2.Salted(srk.ObjectHandle, *public), tpm2.AESEncryption(128, tpm2.EncryptInOut)}, nil
}

// seal puts a key into a sealed object, and is version, public and private part.
func (r *Root) seal(t transport.TPM, srk *tpm2.CreatePrimaryResponse, key []byte) ([]byte, error) {
	policy, err := r.policy(t)
	if err != nil {
		return nil, err
	}
	options, err := encrypted(srk)
	if err != nil {
		return nil, err
	}
	out, err := tpm2.Create{
		ParentHandle: tpm2.AuthHandle{Handle: srk.ObjectHandle, Name: srk.Name, Auth: tpm2.HMAC(tpm2.TPMAlgSHA256, 16, options...)},
		InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{
			Data: tpm2.NewTPMUSensitiveCreate(&tpm2.TPM2BSensitiveData{Buffer: key}),
		}},
		InPublic: tpm2.New2B(tpm2.TPMTPublic{
			Type: tpm2.TPMAlgKeyedHash, NameAlg: tpm2.TPMAlgSHA256,
			ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, NoDA: true, UserWithAuth: len(r.pcrs) == 0},
			AuthPolicy:       tpm2.TPM2BDigest{Buffer: policy},
		}),
	}.Execute(t)
	if err != nil {
		return nil, err
	}
	public := out.OutPublic.Bytes()
	b := binary.BigEndian.AppendUint16([]byte{version}, uint16(len(public)))
	b = append(b, public...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(out.OutPrivate.Buffer)))
	return append(b, out.OutPrivate.Buffer...), nil
}

func (r *Root) unseal(t transport.TPM, srk *tpm2.CreatePrimaryResponse, b parts) ([]byte, error) {
	object, err := tpm2.Load{
		ParentHandle: tpm2.AuthHandle{Handle: srk.ObjectHandle, Name: srk.Name, Auth: tpm2.PasswordAuth(nil)},
		InPublic:     b.public, InPrivate: b.private,
	}.Execute(t)
	if err != nil {
		return nil, err
	}
	defer func() { _, _ = tpm2.FlushContext{FlushHandle: object.ObjectHandle}.Execute(t) }() // the resource manager does it too
	session, err := r.session(srk)
	if err != nil {
		return nil, err
	}
	out, err := tpm2.Unseal{ItemHandle: tpm2.AuthHandle{Handle: object.ObjectHandle, Name: object.Name, Auth: session}}.Execute(t)
	if err != nil {
		return nil, err
	}
	return out.OutData.Buffer, nil
}

// session proves the state of the PCRs where they count.
func (r *Root) session(srk *tpm2.CreatePrimaryResponse) (tpm2.Session, error) {
	public, err := srk.OutPublic.Contents()
	if err != nil {
		return nil, err
	}
	options := []tpm2.AuthOption{tpm2.Salted(srk.ObjectHandle, *public), tpm2.AESEncryption(128, tpm2.EncryptOut)}
	if len(r.pcrs) == 0 {
		return tpm2.HMAC(tpm2.TPMAlgSHA256, 16, options...), nil
	}
	return tpm2.Policy(tpm2.TPMAlgSHA256, 16, func(t transport.TPM, h tpm2.TPMISHPolicy, _ tpm2.TPM2BNonce) error {
		return r.bind(t, h)
	}, options...), nil
}

func (r *Root) bind(t transport.TPM, session tpm2.TPMISHPolicy) error {
	_, err := tpm2.PolicyPCR{PolicySession: session, Pcrs: tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{
		Hash: tpm2.TPMAlgSHA256, PCRSelect: tpm2.PCClientCompatible.PCRs(r.pcrs...),
	}}}}.Execute(t)
	return err
}

// policy is the digest that demands the PCRs as they are now; nothing if none count.
func (r *Root) policy(t transport.TPM) (digest []byte, err error) {
	if len(r.pcrs) == 0 {
		return nil, nil
	}
	session, end, err := tpm2.PolicySession(t, tpm2.TPMAlgSHA256, 16, tpm2.Trial())
	if err != nil {
		return nil, err
	}
	defer end()
	if err := r.bind(t, session.Handle()); err != nil {
		return nil, err
	}
	out, err := tpm2.PolicyGetDigest{PolicySession: session.Handle()}.Execute(t)
	if err != nil {
		return nil, err
	}
	return out.PolicyDigest.Buffer, nil
}
