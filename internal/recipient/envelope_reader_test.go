package recipient_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// This file reads envelopes by X.690, RFC 5652 and RFC 4055, and calls no code of the package
// under test. What it wants of the framing is what AWS KMS writes.

// A value is one of BER. Its content is part of the envelope that was read.
type value struct {
	tag        byte
	indefinite bool
	content    []byte  // of a primitive one
	inner      []value // of a constructed one
}

// readValue reads one value and gives what follows it.
func readValue(b []byte) (v value, rest []byte, err error) {
	if len(b) < 2 {
		return v, nil, fmt.Errorf("%d bytes are no value", len(b))
	}
	v.tag = b[0]
	n, b, err := readLength(b[1:])
	if err != nil {
		return v, nil, err
	}
	switch constructed := v.tag&0x20 != 0; {
	case n < 0 && !constructed:
		return v, nil, fmt.Errorf("tag %02x is primitive and of indefinite length", v.tag)
	case n < 0:
		v.indefinite = true
		v.inner, rest, err = readUntilEnd(b)
		return v, rest, err
	case n > len(b):
		return v, nil, fmt.Errorf("tag %02x of %d bytes, and %d are left", v.tag, n, len(b))
	case !constructed:
		v.content = b[:n]
		return v, b[n:], nil
	}
	for inner := b[:n]; len(inner) > 0; {
		var i value
		if i, inner, err = readValue(inner); err != nil {
			return v, nil, err
		}
		v.inner = append(v.inner, i)
	}
	return v, b[n:], nil
}

// readLength reads a length in its shortest form; -1 is an indefinite one.
func readLength(b []byte) (n int, rest []byte, err error) {
	first, b := b[0], b[1:]
	octets := int(first & 0x7f)
	switch {
	case first < 0x80:
		return int(first), b, nil
	case first == 0x80:
		return -1, b, nil
	case octets > 2 || octets > len(b):
		return 0, nil, fmt.Errorf("a length of %d octets", octets)
	}
	for _, o := range b[:octets] {
		n = n<<8 | int(o)
	}
	if n < 0x80 || octets == 2 && n < 0x100 {
		return 0, nil, fmt.Errorf("the length %d in %d octets", n, octets)
	}
	return n, b[octets:], nil
}

// readUntilEnd reads values up to end-of-contents octets.
func readUntilEnd(b []byte) (inner []value, rest []byte, err error) {
	for !bytes.HasPrefix(b, []byte{0, 0}) {
		var v value
		if v, b, err = readValue(b); err != nil {
			return nil, nil, err
		}
		inner = append(inner, v)
	}
	return inner, b[2:], nil
}

// An envelope is what varies between two of them.
type envelope struct {
	keyID, encryptedKey, iv []byte
	chunks                  [][]byte
}

// framing is everything else. A tag has i behind it where its length is indefinite;
// names stand for what varies.
const framing = `30i(06:2a864886f70d010703 a0i(30i(02:02 ` +
	`31(30(02:02 80:keyID 30(06:2a864886f70d010107 30(a0(30(06:608648016503040201 05:)) a1(30(06:2a864886f70d010108 30(06:608648016503040201 05:))))) 04:encryptedKey)) ` +
	`30i(06:2a864886f70d010701 30(06:60864801650304012a 04:iv) a0i(chunks)))))`

// readEnvelope reads a whole envelope.
func readEnvelope(b []byte) (*envelope, error) {
	v, rest, err := readValue(b)
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%d bytes behind the envelope", len(rest))
	}
	var e envelope
	var text strings.Builder
	e.take(&text, "", v)
	if text.String() != framing {
		return nil, fmt.Errorf("the framing is\n%s, want\n%s", text.String(), framing)
	}
	return &e, nil
}

// take writes down the framing of v, which is at a path, and keeps what varies.
func (e *envelope) take(text *strings.Builder, path string, v value) {
	fmt.Fprintf(text, "%02x", v.tag)
	if v.indefinite {
		text.WriteByte('i')
	}
	if v.tag&0x20 == 0 {
		text.WriteString(":" + e.varies(path, v.content))
		return
	}
	text.WriteByte('(')
	if path == contentPath {
		text.WriteString(e.takeChunks(v.inner))
	} else {
		for i, inner := range v.inner {
			if i > 0 {
				text.WriteByte(' ')
			}
			e.take(text, fmt.Sprintf("%s/%d", path, i), inner)
		}
	}
	text.WriteByte(')')
}

// Where things are in the tree of values.
const (
	keyIDPath        = "/1/0/1/0/1"
	encryptedKeyPath = "/1/0/1/0/3"
	ivPath           = "/1/0/2/1/1"
	contentPath      = "/1/0/2/2"
)

func (e *envelope) varies(path string, content []byte) string {
	switch path {
	case keyIDPath:
		e.keyID = content
		return "keyID"
	case encryptedKeyPath:
		e.encryptedKey = content
		return "encryptedKey"
	case ivPath:
		e.iv = content
		return "iv"
	}
	return hex.EncodeToString(content)
}

// takeChunks wants OCTET STRINGs of 1,000 bytes, and of 1 to 1,000 at the end.
func (e *envelope) takeChunks(inner []value) string {
	for i, c := range inner {
		last := i == len(inner)-1
		if n := len(c.content); c.tag != 4 || n == 0 || n > 1000 || !last && n != 1000 {
			return fmt.Sprintf("chunk %d of %d: tag %02x, %d bytes", i+1, len(inner), c.tag, n)
		}
		e.chunks = append(e.chunks, c.content)
	}
	if len(inner) == 0 {
		return "nothing"
	}
	return "chunks"
}

// contentKey decrypts the key of the content.
func (e *envelope) contentKey(key *rsa.PrivateKey) ([]byte, error) {
	k, err := rsa.DecryptOAEP(sha256.New(), nil, key, e.encryptedKey, nil)
	if err == nil && len(k) != 32 {
		err = fmt.Errorf("a content key of %d bytes", len(k))
	}
	return k, err
}

// open decrypts the content.
func (e *envelope) open(key *rsa.PrivateKey) ([]byte, error) {
	k, err := e.contentKey(key)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(k)
	if err != nil {
		return nil, err
	}
	content := bytes.Join(e.chunks, nil)
	if len(content)%aes.BlockSize != 0 || len(e.iv) != aes.BlockSize {
		return nil, fmt.Errorf("a content of %d bytes under an IV of %d", len(content), len(e.iv))
	}
	cipher.NewCBCDecrypter(block, e.iv).CryptBlocks(content, content)
	padding := content[len(content)-1]
	plain := content[:len(content)-min(int(padding), len(content))]
	if padding == 0 || padding > aes.BlockSize || !bytes.Equal(content[len(plain):], bytes.Repeat([]byte{padding}, int(padding))) {
		return nil, fmt.Errorf("the padding is wrong")
	}
	return plain, nil
}

// masked is the envelope with zeros for what varies.
func masked(b []byte) ([]byte, error) {
	b = bytes.Clone(b)
	e, err := readEnvelope(b)
	if err != nil {
		return nil, err
	}
	for _, part := range append(e.chunks, e.keyID, e.encryptedKey, e.iv) {
		clear(part)
	}
	return b, nil
}
