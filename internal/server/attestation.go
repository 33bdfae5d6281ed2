package server

import (
	"fmt"
	"os"
	"strings"

	"trent/internal/config"
	"trent/internal/recipient"
	"trent/internal/recipient/nitro"
)

// evidence makes what verifies attestation documents.
func evidence(c config.Serve) (*recipient.Verifier, error) {
	roots, err := attestationRoots(c)
	if err != nil {
		return nil, err
	}
	v, err := nitro.New(nitro.Settings{Roots: roots, MaxAge: c.AttestationMaxAge, MaxSkew: c.AttestationSkew, AllowDebug: c.AttestationAllowDebug})
	if err != nil {
		return nil, fmt.Errorf("attestation: %w", err)
	}
	return recipient.NewVerifier(v), nil
}

func attestationRoots(c config.Serve) (roots []nitro.Root, err error) {
	if !c.AttestationWithoutAWS {
		roots = append(roots, nitro.AWS())
	}
	for _, setting := range c.AttestationRoots {
		label, path, ok := strings.Cut(setting, "=")
		if !ok {
			return nil, fmt.Errorf("attestation-root: %q is not LABEL=FILE", setting)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("attestation-root: %w", err)
		}
		root, err := nitro.LoadRoot(label, content)
		if err != nil {
			return nil, fmt.Errorf("attestation-root: %s: %w", path, err)
		}
		roots = append(roots, root)
	}
	if c.AttestationDevRoot == "" {
		return roots, nil
	}
	content, err := os.ReadFile(c.AttestationDevRoot)
	if err != nil {
		return nil, fmt.Errorf("attestation-dev-root: %w", err)
	}
	root, err := nitro.LoadDevelopmentRoot(content)
	if err != nil {
		return nil, fmt.Errorf("attestation-dev-root: %s: %w", c.AttestationDevRoot, err)
	}
	return append(roots, root), nil
}

// warnOfAttestation says what is not for production.
func (s *Server) warnOfAttestation() {
	if s.config.AttestationDevRoot != "" {
		s.log.Warn("a DEVELOPMENT ROOT of attestation documents is trusted: whoever has its file makes documents that say anything", "file", s.config.AttestationDevRoot)
	}
	if s.config.AttestationAllowDebug {
		s.log.Warn("documents of enclaves in debug mode are taken: whoever runs such an enclave reads its memory")
	}
}
