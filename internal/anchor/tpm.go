package anchor

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/linuxtpm"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"

	"trent/internal/root"
)

// Of the NV index: where it is unless the locator says so, in the range that is the owner's,
// and its size, in bytes: a length (2), and room for the value.
const (
	defaultIndex = 0x01800d5e
	nvSize       = 256
)

// An nv is an NV area of a TPM 2.0. It outlives the disk, but whoever has the TPM's owner
// authorisation can write it: it is an anchor against whoever has the disk, or its backups.
type nv struct {
	path  string
	index tpm2.TPMHandle
	mu    sync.Mutex
}

// openTPM names tpm (/dev/tpmrm0), tpm:DEVICE or tpm:SOCKET, with ?index=0x01800d5e.
func openTPM(l root.Locator) (place, error) {
	if err := l.Only("index"); err != nil {
		return nil, err
	}
	n := &nv{path: "/dev/tpmrm0", index: defaultIndex}
	if l.Place != "" {
		n.path = l.Place
	}
	if text := l.Settings.Get("index"); text != "" {
		i, err := strconv.ParseUint(text, 0, 32)
		if err != nil || i>>24 != 1 {
			return nil, fmt.Errorf("index=%s is no NV index such as 0x01800d5e", text)
		}
		n.index = tpm2.TPMHandle(i)
	}
	return n, nil
}

// pace spares the memory of the TPM, which wears out after some hundred thousand writes.
func (n *nv) pace() time.Duration { return 10 * time.Minute }

func (n *nv) with(act func(transport.TPM) error) (err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	t, err := n.dial()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	return act(t)
}

func (n *nv) dial() (transport.TPMCloser, error) {
	info, err := os.Stat(n.path)
	if err != nil {
		return nil, err
	}
	if info.Mode()&os.ModeSocket != 0 {
		return linuxudstpm.Open(n.path)
	}
	return linuxtpm.Open(n.path)
}

func (n *nv) read(context.Context) (value []byte, version string, err error) {
	err = n.with(func(t transport.TPM) error {
		name, there, err := n.name(t)
		if err != nil || !there {
			return err
		}
		out, err := tpm2.NVRead{AuthHandle: owner(), NVIndex: tpm2.NamedHandle{Handle: n.index, Name: name}, Size: nvSize}.Execute(t)
		if errors.Is(err, tpm2.TPMRCNVUninitialized) {
			return nil // defined and never written
		} else if err != nil {
			return err
		}
		b := out.Data.Buffer
		if len(b) < 2 || int(binary.BigEndian.Uint16(b)) > len(b)-2 {
			return errors.New("the NV area is not an anchor")
		}
		value = b[2 : 2+binary.BigEndian.Uint16(b)]
		return nil
	})
	sum := sha256.Sum256(value)
	return value, hex.EncodeToString(sum[:]), err
}

// name is that of the index, if it is there.
func (n *nv) name(t transport.TPM) (tpm2.TPM2BName, bool, error) {
	out, err := tpm2.NVReadPublic{NVIndex: n.index}.Execute(t)
	if errors.Is(err, tpm2.TPMRCHandle) {
		return tpm2.TPM2BName{}, false, nil
	} else if err != nil {
		return tpm2.TPM2BName{}, false, err
	}
	public, err := out.NVPublic.Contents()
	if err == nil && public.DataSize != nvSize {
		err = fmt.Errorf("the NV index %#x is something else: it has %d bytes", n.index, public.DataSize)
	}
	return out.NVName, true, err
}

func owner() tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)}
}

func (n *nv) write(ctx context.Context, value []byte, was string) error {
	if _, now, err := n.read(ctx); err != nil || now != was {
		return errors.Join(err, errMoved)
	}
	if len(value) > nvSize-2 {
		return fmt.Errorf("%d bytes do not fit into the NV area", len(value))
	}
	area := make([]byte, nvSize)
	binary.BigEndian.PutUint16(area, uint16(len(value)))
	copy(area[2:], value)
	return n.with(func(t transport.TPM) error {
		name, there, err := n.name(t)
		if err == nil && !there {
			name, err = n.define(t)
		}
		if err != nil {
			return err
		}
		_, err = tpm2.NVWrite{AuthHandle: owner(), NVIndex: tpm2.NamedHandle{Handle: n.index, Name: name}, Data: tpm2.TPM2BMaxNVBuffer{Buffer: area}}.Execute(t)
		return err
	})
}

func (n *nv) define(t transport.TPM) (tpm2.TPM2BName, error) {
	_, err := tpm2.NVDefineSpace{AuthHandle: owner(), PublicInfo: tpm2.New2B(tpm2.TPMSNVPublic{
		NVIndex: n.index, NameAlg: tpm2.TPMAlgSHA256, DataSize: nvSize,
		Attributes: tpm2.TPMANV{OwnerRead: true, OwnerWrite: true, NT: tpm2.TPMNTOrdinary, NoDA: true},
	})}.Execute(t)
	if err != nil {
		return tpm2.TPM2BName{}, err
	}
	name, _, err := n.name(t)
	return name, err
}
