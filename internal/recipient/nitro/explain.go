package nitro

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// An Explanation is what a document says, believed by nobody, and what each check says
// of it.
type Explanation struct {
	Accepted bool
	Root     string    // label of the root that vouches for it, if it is one of ours
	Checks   []Verdict // in their order
	Contents *Contents // nil: it cannot be read

	// Certificates are the chain, the root first; empty if it cannot be read.
	Certificates []Certificate
}

// Contents are the members of a document. Bytes are in hexadecimal.
type Contents struct {
	Kind         string
	Module       string
	Time         time.Time
	Measurements []Register
	PublicKey    string
	KeyBits      int // of RSA; 0: it is no key that answers could be encrypted to
	UserData     string
	Nonce        string
}

// A Register is one of the PCRs.
type Register struct{ Name, Value string }

// A Certificate is one of a chain.
type Certificate struct {
	Place     string // such as "intermediate 1"
	Subject   string
	NotBefore time.Time
	NotAfter  time.Time
	SHA256    string // of its DER, as fingerprints of roots are given
}

// A Verdict is what a check says.
type Verdict struct {
	Check  string
	Result string // "passed", "failed" or "not made"
	Reason string // why it failed, or was not made
	Cause  string // what a library said of it, if that is more
}

// The results of checks.
const (
	Passed  = "passed"
	Failed  = "failed"
	NotMade = "not made"
)

// Explain makes all checks of a document that can be made, those of Verify, and goes on
// where Verify would end. It remembers nothing.
func (v *Verifier) Explain(evidence []byte, now time.Time) *Explanation {
	alone := &Verifier{settings: v.settings, roots: v.roots, chains: newChains(1)}
	x := &examination{raw: evidence, now: now}
	e := &Explanation{Accepted: true}
	failed := make(map[string]bool)
	for i := range checks {
		c := &checks[i]
		verdict := Verdict{Check: c.name, Result: Passed}
		if failed[c.needs] {
			verdict.Result, verdict.Reason = NotMade, fmt.Sprintf("it needs the check of the %s", c.needs)
		} else if err := c.check(alone, x); err != nil {
			verdict.Result, verdict.Reason = Failed, err.Error()
			if f, ok := errors.AsType[*flaw](err); ok && f.cause != nil {
				verdict.Cause = f.cause.Error()
			}
		}
		failed[c.name] = verdict.Result != Passed
		e.Accepted = e.Accepted && verdict.Result == Passed
		e.Checks = append(e.Checks, verdict)
	}
	e.describe(x, !failed["document"])
	return e
}

// describe says what the examination has found.
func (e *Explanation) describe(x *examination, readable bool) {
	if !readable {
		return
	}
	if x.chain.root != nil {
		e.Root = x.chain.root.Label
	}
	d := x.doc
	e.Contents = &Contents{
		Kind: d.kind, Module: d.module, Time: d.made, PublicKey: hex.EncodeToString(d.publicKey),
		UserData: hex.EncodeToString(d.userData), Nonce: hex.EncodeToString(d.nonce),
	}
	if x.key != nil {
		e.Contents.KeyBits = x.key.RSA.N.BitLen()
	}
	for _, p := range d.pcrs {
		e.Contents.Measurements = append(e.Contents.Measurements, Register{prefix(d.kind) + strconv.Itoa(p.index), hex.EncodeToString(p.value)})
	}
	for i, c := range x.certificates {
		digest := sha256.Sum256(c.Raw)
		e.Certificates = append(e.Certificates, Certificate{
			Place: position(i, len(d.bundle)), Subject: c.Subject.String(),
			NotBefore: c.NotBefore.UTC(), NotAfter: c.NotAfter.UTC(), SHA256: hex.EncodeToString(digest[:]),
		})
	}
}
