// Package tpm is the root of trust that is the TPM 2.0 of the machine: what it wraps is
// opened by this TPM alone and, if PCRs are named, only while they are as they were.
// docs/spec/tpm-root.md has the format.
package tpm

import (
	"context"
	"crypto/fips140"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"trent/internal/root"
	"trent/internal/root/kek"
	"trent/internal/secret"
)

// DefaultDevice is the kernel's resource manager, which many programs may use at once.
const DefaultDevice = "/dev/tpmrm0"

// maxPCR is the highest PCR of a PC.
const maxPCR = 23

// Root implements root.Root.
type Root struct {
	id   string
	path string
	pcrs []uint

	mu sync.Mutex // a TPM does one thing after the other
}

// Open finds the TPM at tpm (/dev/tpmrm0), tpm:DEVICE or tpm:SOCKET; with ?pcrs=7.11 what is
// wrapped is bound to what these PCRs of the SHA-256 bank are at that time.
func Open(l root.Locator) (*Root, error) {
	if err := l.Only("pcrs"); err != nil {
		return nil, err
	}
	pcrs, err := parsePCRs(l.Settings.Get("pcrs"))
	if err != nil {
		return nil, fmt.Errorf("root of trust %s: %w", l, err)
	}
	r := &Root{path: DefaultDevice, pcrs: pcrs}
	if l.Place != "" {
		r.path = l.Place
	}
	err = r.with(func(_ transport.TPM, p *tpm2.CreatePrimaryResponse) error {
		r.id = "tpm:" + kek.Name("trent tpm id v1", p.Name.Buffer)
		return nil
	})
	if len(pcrs) > 0 {
		r.id += ":" + l.Settings.Get("pcrs")
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// parsePCRs reads numbers, ascending, with dots between them.
func parsePCRs(text string) (pcrs []uint, err error) {
	if text == "" {
		return nil, nil
	}
	for _, part := range strings.Split(text, ".") {
		n, err := strconv.ParseUint(part, 10, 8)
		if err != nil || n > maxPCR || part != strconv.FormatUint(n, 10) || len(pcrs) > 0 && uint(n) <= pcrs[len(pcrs)-1] || len(pcrs) == 8 {
			return nil, fmt.Errorf("pcrs=%q are not at most 8 ascending numbers up to %d with dots between them, such as 7.11", text, maxPCR)
		}
		pcrs = append(pcrs, uint(n))
	}
	return pcrs, nil
}

// ID implements root.Root. It names the TPM by its storage root key, and the PCRs.
func (r *Root) ID() string { return r.id }

// with opens the TPM, makes its storage root key, which is the same each time, and runs
// act. The protection of the bus is the TPM's own, AES-CFB, which is not in the FIPS
// 140-3 module; the keys that are sent over it are protected by nothing else there.
func (r *Root) with(act func(transport.TPM, *tpm2.CreatePrimaryResponse) error) (err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t, err := dial(r.path)
	if err != nil {
		return fmt.Errorf("the TPM at %s: %w: %w", r.path, root.ErrUnavailable, err)
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	fips140.WithoutEnforcement(func() {
		err = r.explain(withStorageKey(t, act))
	})
	return err
}

func withStorageKey(t transport.TPM, act func(transport.TPM, *tpm2.CreatePrimaryResponse) error) error {
	srk, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(tpm2.ECCSRKTemplate)}.Execute(t)
	if err != nil {
		return err
	}
	err = act(t, srk)
	_, flushed := tpm2.FlushContext{FlushHandle: srk.ObjectHandle}.Execute(t)
	return errors.Join(err, flushed)
}

// explain tells the three kinds of failure apart.
func (r *Root) explain(err error) error {
	if err == nil || errors.Is(err, root.ErrBadData) {
		return err
	}
	kind := root.ErrUnavailable
	if code, answered := errors.AsType[tpm2.TPMRC](err); answered {
		kind = kindOf(code)
	}
	return fmt.Errorf("the TPM at %s: %w: %w", r.path, kind, err)
}

func kindOf(code tpm2.TPMRC) error {
	is := func(target tpm2.TPMRC) bool { return errors.Is(code, target) }
	switch {
	case slices.ContainsFunc([]tpm2.TPMRC{tpm2.TPMRCPolicyFail, tpm2.TPMRCPCRChanged, tpm2.TPMRCLockout, tpm2.TPMRCAuthFail, tpm2.TPMRCBadAuth}, is):
		return root.ErrRefused
	case code.IsWarning(), is(tpm2.TPMRCInitialize), is(tpm2.TPMRCFailure):
		return root.ErrUnavailable
	}
	return root.ErrBadData
}

// Wrap implements root.Root.
func (r *Root) Wrap(_ context.Context, key secret.Bytes, aad []byte) ([]byte, error) {
	fresh := make([]byte, root.KeySize)
	rand.Read(fresh)
	defer clear(fresh)
	var sealed []byte
	err := r.with(func(t transport.TPM, srk *tpm2.CreatePrimaryResponse) (err error) {
		sealed, err = r.seal(t, srk, fresh)
		return err
	})
	if err != nil {
		return nil, err
	}
	k, err := kek.New(fresh)
	if err != nil {
		return nil, err
	}
	return k.Wrap(sealed, key, slices.Concat(sealed, aad)), nil
}

// Unwrap implements root.Root.
func (r *Root) Unwrap(_ context.Context, blob, aad []byte) (secret.Bytes, error) {
	b, err := parse(blob)
	if err != nil {
		return secret.Bytes{}, err
	}
	var opened []byte
	err = r.with(func(t transport.TPM, srk *tpm2.CreatePrimaryResponse) (err error) {
		opened, err = r.unseal(t, srk, b)
		return err
	})
	if err != nil {
		return secret.Bytes{}, err
	}
	defer clear(opened)
	if len(opened) != root.KeySize {
		return secret.Bytes{}, root.ErrBadData
	}
	k, err := kek.New(opened)
	if err != nil {
		return secret.Bytes{}, err
	}
	return k.Unwrap(b.wrapped, slices.Concat(b.header, aad))
}
