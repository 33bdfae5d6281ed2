package recipient

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"slices"

	"trent/internal/secret"
)

// MaxPlaintext is the most that one envelope holds, in bytes: what Decrypt gives.
const MaxPlaintext = 4096

const (
	contentKeySize = 32   // AES-256
	chunkSize      = 1000 // of the encrypted content, in bytes; the last one is what is left
)

// Parts that never differ, in their encoding (docs/spec/recipient-envelope.md).
const (
	version2      = "\x02\x01\x02"
	envelopedData = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03"
	data          = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01"
	aes256CBC     = "\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x2a"
	sha256NULL    = "\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00"
	mgf1SHA256    = "\x30\x1a\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08" + sha256NULL
	oaepSHA256    = "\x30\x3c\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x07\x30\x2f" + "\xa0\x0f" + sha256NULL + "\xa1\x1c" + mgf1SHA256
)

// Seal encrypts plain (1 to MaxPlaintext bytes) to the key, as CiphertextForRecipient: CMS
// EnvelopedData (RFC 5652) in the one layout that all clients of enclaves read, under a new
// content key each time. docs/spec/recipient-envelope.md has it byte by byte.
func (k *PublicKey) Seal(plain secret.Bytes) ([]byte, error) {
	if n := plain.Len(); n == 0 || n > MaxPlaintext {
		return nil, fmt.Errorf("recipient: plaintext of %d bytes", n)
	}
	contentKey := make([]byte, contentKeySize)
	defer clear(contentKey)
	rand.Read(contentKey)
	iv := make([]byte, aes.BlockSize)
	rand.Read(iv)

	content, err := encryptContent(contentKey, iv, plain)
	if err != nil {
		return nil, err
	}
	encryptedKey, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, k.RSA, contentKey, nil)
	if err != nil {
		return nil, fmt.Errorf("recipient: encrypt content key: %w", err)
	}
	keyID := sha256.Sum256(k.SPKI)
	return encodeEnvelope(keyID[:], encryptedKey, iv, content), nil
}

// encryptContent pads (RFC 5652, section 6.3) and encrypts in place, so that no copy of the
// plaintext is left behind.
func encryptContent(key, iv []byte, plain secret.Bytes) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("recipient: content key: %w", err)
	}
	n := plain.Len()
	padding := aes.BlockSize - n%aes.BlockSize
	content := make([]byte, n+padding)
	copy(content, plain.Expose())
	for i := n; i < len(content); i++ {
		content[i] = byte(padding)
	}
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(content, content)
	return content, nil
}

// encodeEnvelope writes what was encrypted as CMS. Lengths are definite inside of
// RecipientInfos and of the content's algorithm, and indefinite around them.
func encodeEnvelope(keyID, encryptedKey, iv, content []byte) []byte {
	recipientSize := len(version2) + sizeOf(len(keyID)) + len(oaepSHA256) + sizeOf(len(encryptedKey))
	algorithmSize := len(aes256CBC) + sizeOf(len(iv))
	size := 5*indefiniteSize + len(envelopedData) + len(version2) + sizeOf(sizeOf(recipientSize)) +
		len(data) + sizeOf(algorithmSize) + chunksSize(len(content))

	e := make(encoder, 0, size)
	e.begin(sequence) // ContentInfo
	e.write(envelopedData)
	e.begin(constructed0)
	e.begin(sequence) // EnvelopedData
	e.write(version2)
	e.head(set, sizeOf(recipientSize)) // RecipientInfos
	e.head(sequence, recipientSize)    // KeyTransRecipientInfo
	e.write(version2)
	e.value(subjectKeyID, keyID)
	e.write(oaepSHA256)
	e.value(octetString, encryptedKey)
	e.begin(sequence) // EncryptedContentInfo
	e.write(data)
	e.head(sequence, algorithmSize)
	e.write(aes256CBC)
	e.value(octetString, iv)
	e.begin(constructed0) // EncryptedContent
	for chunk := range slices.Chunk(content, chunkSize) {
		e.value(octetString, chunk)
	}
	for range 5 {
		e.end()
	}
	return e
}

// An encoder appends BER (X.690) to room that holds all of it.
type encoder []byte

// Identifier octets.
const (
	octetString  = 0x04
	sequence     = 0x30
	set          = 0x31
	subjectKeyID = 0x80 // [0], primitive
	constructed0 = 0xa0 // [0] around EnvelopedData, and around an OCTET STRING in pieces
)

func (e *encoder) write(encoded string) { *e = append(*e, encoded...) }

// begin starts a value of indefinite length, and end ends the one that was begun last.
func (e *encoder) begin(tag byte) { *e = append(*e, tag, 0x80) }

func (e *encoder) end() { *e = append(*e, 0, 0) }

// indefiniteSize is what begin and end write.
const indefiniteSize = 4

// value writes a whole value with a definite length.
func (e *encoder) value(tag byte, content []byte) {
	e.head(tag, len(content))
	*e = append(*e, content...)
}

// head writes a tag and a length below 65,536, in as few octets as it takes.
func (e *encoder) head(tag byte, n int) {
	switch headSize(n) {
	case 2:
		*e = append(*e, tag, byte(n))
	case 3:
		*e = append(*e, tag, 0x81, byte(n))
	default:
		*e = append(*e, tag, 0x82, byte(n>>8), byte(n))
	}
}

// headSize is what head writes for a content of n bytes.
func headSize(n int) int {
	switch {
	case n < 0x80:
		return 2
	case n < 0x100:
		return 3
	}
	return 4
}

// sizeOf is the size of a value with its head.
func sizeOf(n int) int { return headSize(n) + n }

// chunksSize is the size of n bytes cut into chunks.
func chunksSize(n int) int {
	size := n / chunkSize * sizeOf(chunkSize)
	if rest := n % chunkSize; rest > 0 {
		size += sizeOf(rest)
	}
	return size
}
