package iam

import (
	"errors"
	"fmt"
)

// What Check refuses a statement for, each wrapped with ErrMalformed.
var (
	ErrHasPrincipal = errors.New("a policy of a user or role speaks of whoever has it, and has no Principal")
	ErrNoPrincipal  = errors.New("no Principal")
	ErrHasResource  = errors.New("a trust policy is about its role, and has no Resource")
	ErrIncomplete   = errors.New("no Action, or no Resource")
)

// Check says whether a document may be stored as a policy of the kind. Its
// errors wrap ErrMalformed.
//
// A key policy and a trust policy say whom they concern. A key policy must not
// use ForAllValues with kms:EncryptionContext:… or aws:RequestTag/…, which
// have one value: it would be true where the key is absent
// (ErrOverlyPermissive). An identity policy has no Principal, and says what it
// allows on what. A trust policy has no Resource.
func Check(p *Policy, kind PolicyKind) error {
	for i := range p.Statements {
		if err := p.Statements[i].check(kind); err != nil {
			return inStatement(i, err)
		}
	}
	return nil
}

func (s *Statement) check(kind PolicyKind) error {
	switch {
	case kind == IdentityPolicy && s.principal.present:
		return ErrHasPrincipal
	case kind == IdentityPolicy && !s.resource.present, kind != KeyPolicy && !s.action.present:
		return ErrIncomplete
	case kind != IdentityPolicy && !s.principal.present:
		return ErrNoPrincipal
	case kind == TrustPolicy && s.resource.present:
		return ErrHasResource
	case kind == KeyPolicy:
		return s.checkSets()
	}
	return nil
}

func (s *Statement) checkSets() error {
	for _, c := range s.conditions {
		if c.op.set == allValues && (c.key.Name == "kms:encryptioncontext" || c.key.Name == "aws:requesttag") {
			return fmt.Errorf("%w: ForAllValues is true where the key is absent, and kms:EncryptionContext:… and aws:RequestTag/… have one value; leave ForAllValues out", ErrOverlyPermissive)
		}
	}
	return nil
}
