package shares

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"trent/internal/secret"
)

// A Share is one of a set.
type Share struct {
	Set       string // name of the set, 16 hexadecimal digits
	Threshold int    // how many open the store
	Of        int    // how many there are
	Index     int    // from 1
	value     secret.Bytes
}

// The text of a share: trent-share-v1:SET:THRESHOLD:OF:INDEX:VALUE:CHECK.
const magic = "trent-share-v1"

const valueSize = 32

var shareForm = regexp.MustCompile(`^` + magic + `:([0-9a-f]{16}):([1-9][0-9]?):([1-9][0-9]?):([1-9][0-9]?):([0-9a-f]{64}):([0-9a-f]{8})$`)

// Text is the share to keep: one line, without a line end. It is a secret.
func (s Share) Text() string {
	front := fmt.Sprintf("%s:%s:%d:%d:%d:%x", magic, s.Set, s.Threshold, s.Of, s.Index, s.value.Expose())
	return front + ":" + checkOf(front)
}

// Parse reads the text of a share. Its errors say what is wrong, and nothing of the
// value.
func Parse(text string) (Share, error) {
	text = strings.ToLower(strings.TrimSpace(text))
	if !strings.HasPrefix(text, magic+":") {
		return Share{}, errors.New("this is no share: a share begins with " + magic)
	}
	m := shareForm.FindStringSubmatch(text)
	if m == nil {
		return Share{}, fmt.Errorf("the share is not complete: after %s come five parts and a check of 8 digits, with colons between them", magic)
	}
	if checkOf(strings.TrimSuffix(text, ":"+m[6])) != m[6] {
		return Share{}, fmt.Errorf("share %s of the set %s has a slip in it: its check does not match", m[4], m[1])
	}
	s := Share{Set: m[1], Threshold: number(m[2]), Of: number(m[3]), Index: number(m[4])}
	if s.Threshold < MinThreshold || s.Threshold > s.Of || s.Of > MaxShares || s.Index > s.Of {
		return Share{}, fmt.Errorf("share %d of %d with threshold %d: no such set is made", s.Index, s.Of, s.Threshold)
	}
	value, err := hex.DecodeString(m[5])
	if err != nil || len(value) != valueSize {
		return Share{}, errors.New("the value of the share is not 64 hexadecimal digits")
	}
	if err := field().NewScalar().UnmarshalBinary(value); err != nil {
		return Share{}, errors.New("the value of the share is out of range")
	}
	s.value = secret.New(value)
	return s, nil
}

// number reads what the form has let through: one or two digits.
func number(digits string) int {
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0 // refused by the bounds
	}
	return n
}

// checkOf finds slips of the hand. It hinders nobody who makes a share on purpose; that
// is found when the secret is there.
func checkOf(front string) string {
	h := sha256.Sum256([]byte("trent share check v1\x00" + front))
	return hex.EncodeToString(h[:4])
}
