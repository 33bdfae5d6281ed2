package xksproxy

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"

	"trent/internal/fault"
)

// The sizes of what is sealed, in bytes. The metadata of version 1 is version(1) ‖ nonce N(16).
const (
	ivSize  = 12
	tagSize = 16

	metadataVersion = 1
	nonceSize       = 16
	metadataSize    = 1 + nonceSize
)

// sealed is a ciphertext in the parts that the API has.
type sealed struct{ ciphertext, metadata, iv, tag []byte }

// derivation is what the key of one message follows from: the input of the KDF in counter mode of NIST SP
// 800-108r1 (section 4.1) with HMAC-SHA-256, for its only block:
// i = 1 (4) ‖ label ‖ 00 ‖ N (16) ‖ external key id ‖ L = 256 (4).
func derivation(id string, nonce []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, 1)
	b = append(b, "trent xks message v1\x00"...)
	b = append(b, nonce...)
	b = append(b, id...)
	return binary.BigEndian.AppendUint32(b, 256)
}

// messageKey asks the manager for the key of one message.
func (p *Proxy) messageKey(ctx context.Context, id string, nonce []byte) (cipher.AEAD, error) {
	k, err := p.o.Manager.Derive(ctx, id, derivation(id, nonce))
	if err != nil {
		return nil, err
	}
	defer k.Wipe()
	if k.Len() != 32 {
		return nil, fmt.Errorf("xksproxy: a derived key of %d bytes", k.Len())
	}
	block, err := aes.NewCipher(k.Expose())
	if err != nil {
		return nil, fmt.Errorf("xksproxy: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// authenticated is what a ciphertext is bound to, injectively (Encrypt, ciphertextMetadata, of the API):
// length of data(2) ‖ data ‖ length of metadata(1) ‖ metadata.
func authenticated(data, metadata []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(data)))
	b = append(b, data...)
	b = append(b, byte(len(metadata)))
	return append(b, metadata...)
}

// seal encrypts under a key of its own, and gives the checksum of the parts (Appendix C of the API). The
// checksum is made first, and then the parts are seen to open: should a bit flip, it is found here or by
// who asked.
func (p *Proxy) seal(ctx context.Context, id string, plaintext, data []byte) (*sealed, []byte, error) {
	metadata := append([]byte{metadataVersion}, make([]byte, nonceSize)...)
	rand.Read(metadata[1:])
	aead, err := p.messageKey(ctx, id, metadata[1:])
	if err != nil {
		return nil, nil, err
	}
	out := aead.Seal(nil, nil, plaintext, authenticated(data, metadata))
	end := len(out) - tagSize
	s := &sealed{ciphertext: out[ivSize:end], metadata: metadata, iv: out[:ivSize], tag: out[end:]}
	sum := checksum(data, s)
	again, err := aead.Open(nil, nil, out, authenticated(data, s.metadata))
	if err != nil || !bytes.Equal(again, plaintext) {
		return nil, nil, errors.New("xksproxy: what was encrypted does not decrypt: the memory of this machine may be bad")
	}
	clear(again)
	return s, sum, nil
}

// checksum is ciphertextDataIntegrityValue.
func checksum(data []byte, s *sealed) []byte {
	h := sha256.New()
	for _, part := range [][]byte{data, s.metadata, s.iv, s.ciphertext, s.tag} {
		h.Write(part)
	}
	return h.Sum(nil)
}

// open decrypts. What was not sealed here, under this key and this data, is an
// InvalidCiphertextException, without a difference.
func (p *Proxy) open(ctx context.Context, id string, s *sealed, data []byte) ([]byte, error) {
	if len(s.metadata) != metadataSize || s.metadata[0] != metadataVersion || len(s.iv) != ivSize {
		return nil, errCiphertext()
	}
	aead, err := p.messageKey(ctx, id, s.metadata[1:])
	if err != nil {
		return nil, err
	}
	whole := append(append(append(make([]byte, 0, ivSize+len(s.ciphertext)+tagSize), s.iv...), s.ciphertext...), s.tag...)
	plain, err := aead.Open(nil, nil, whole, authenticated(data, s.metadata))
	if err != nil {
		return nil, errCiphertext()
	}
	return plain, nil
}

func errCiphertext() error {
	return fault.New(InvalidCiphertext, "The ciphertext, its parts or the additional authenticated data are not those of an encryption by this key.")
}

// newID draws a random UUID (RFC 9562, version 4).
func newID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
