package trenttest

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"trent/internal/recipient/devroot"
)

// WithEnclaves lets the server take attestation documents that AttestationDocument makes, under
// a development root of its own. Those of AWS it takes in any case.
func WithEnclaves() Option { return func(o *options) { o.enclaves = true } }

// AttestationDocument makes the document of an enclave (docs/enclaves.md): with a public key, which
// is the DER of an RSA SubjectPublicKeyInfo, and platform configuration registers, which
// are 48 bytes each. The server must have been started WithEnclaves, and takes it for five
// minutes.
func (s *Server) AttestationDocument(t testing.TB, publicKey []byte, pcrs map[int][]byte) []byte {
	t.Helper()
	if s.module == nil {
		t.Fatal("trenttest: the server was not started WithEnclaves")
	}
	doc, err := s.module.Sign(devroot.Content{Time: s.o.now(), PCRs: pcrs, PublicKey: publicKey})
	if err != nil {
		t.Fatalf("trenttest: %v", err)
	}
	return doc
}

// makeEnclaves makes the root of the documents, as a file for the server, and what signs them.
func (s *Server) makeEnclaves(now time.Time) error {
	root, err := devroot.New(now)
	if err != nil {
		return err
	}
	content, err := root.PEM()
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.attestationRoot(), content, 0o600); err != nil {
		return err
	}
	s.module, err = root.NewModule(devroot.DefaultModuleID, now)
	return err
}

func (s *Server) attestationRoot() string {
	return filepath.Join(filepath.Dir(s.Dir), "attestation-root.pem")
}
