package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"trent/internal/config"
	"trent/internal/root"
	"trent/internal/root/awskms"
	"trent/internal/root/file"
	"trent/internal/root/passphrase"
	"trent/internal/root/pkcs11"
	"trent/internal/root/shares"
	"trent/internal/root/tpm"
	"trent/internal/seal"
	"trent/internal/store"
)

// defaultRoot is where the root of trust is if no setting says so.
const defaultRoot = "file"

// locatorsOf reads the setting of the roots of trust, in its order.
func locatorsOf(c config.Store) ([]root.Locator, error) {
	texts := c.Roots
	if len(texts) == 0 {
		texts = []string{defaultRoot}
	}
	var found []root.Locator
	for _, text := range texts {
		l, err := root.ParseLocator(text)
		if err != nil {
			return nil, err
		}
		found = append(found, l)
	}
	return found, nil
}

// openRoot opens the root of trust at a locator.
func openRoot(ctx context.Context, f files, l root.Locator) (root.Root, error) {
	switch l.Kind {
	case "file":
		path, err := rootFile(f, l)
		if err != nil {
			return nil, err
		}
		return file.Open(path)
	case "passphrase":
		return passphrase.Open(l)
	case "shares":
		return shares.Open(l)
	case "awskms":
		return awskms.Open(l)
	case "tpm":
		return tpm.Open(l)
	case "pkcs11":
		return pkcs11.Open(ctx, l)
	}
	return nil, unknownKind(l)
}

// createRoot makes a new root of trust at a locator.
func createRoot(ctx context.Context, f files, l root.Locator) (root.Root, error) {
	switch l.Kind {
	case "file":
		path, err := rootFile(f, l)
		if err != nil {
			return nil, err
		}
		return file.Create(path)
	case "passphrase":
		return passphrase.Create(l)
	case "shares":
		return shares.Create(l)
	case "awskms":
		return awskms.Open(l) // the key is there already
	case "tpm":
		return tpm.Open(l) // and so is the TPM
	case "pkcs11":
		return pkcs11.Create(ctx, l)
	}
	return nil, unknownKind(l)
}

func unknownKind(l root.Locator) error {
	return fmt.Errorf("root of trust %s: there is no kind %q; there are file, passphrase, shares, awskms, tpm and pkcs11", l, l.Kind)
}

func rootFile(f files, l root.Locator) (string, error) {
	if l.Place == "" {
		return f.root, l.Only()
	}
	return l.Place, l.Only()
}

// unattended reports whether the root of trust can be opened again at any time,
// without a person.
func unattended(l root.Locator) bool {
	switch l.Kind {
	case "file", "awskms", "tpm", "pkcs11":
		return true
	case "passphrase":
		return passphrase.Unattended(l)
	}
	return false
}

// unseal opens the store with the first root of trust that does.
func unseal(ctx context.Context, st store.Reader, f files, locators []root.Locator, log *slog.Logger) (unsealed, error) {
	stored, err := st.Get(ctx, rootKeysPath)
	if err != nil {
		return unsealed{}, fmt.Errorf("the store %s has no root keys (%w): it is not a store of Trent's, or it is damaged; put it back from a backup", f.store, err)
	}
	name, sealer, err := openContainer(ctx, f, stored.Value, locators, log)
	if err != nil {
		return unsealed{}, err
	}
	set, rev, err := readSettings(ctx, st, f, sealer)
	return unsealed{name, sealer, set, rev}, err
}

// openContainer opens the container of root keys with the first root of trust that does, and says which
// that was and why those before it did not.
func openContainer(ctx context.Context, f files, stored []byte, locators []root.Locator, log *slog.Logger) (string, *seal.Sealer, error) {
	var failed []error
	for _, l := range locators {
		name, sealer, err := openContainerWith(ctx, f, stored, l)
		if err == nil {
			log.Info("the store is unsealed", "root", name)
			return name, sealer, nil
		}
		if _, ours := errors.AsType[*seal.WrongRootError](err); ours || errors.Is(err, errRoot) {
			log.Warn("a root of trust does not open the store", "root", l.String(), "error", err)
			failed = append(failed, err)
			continue
		}
		return "", nil, err // the store itself is at fault, and no other root helps
	}
	return "", nil, errors.Join(failed...)
}

// unsealed is a store that has been opened.
type unsealed struct {
	root   string // the name of the root of trust that did it
	sealer *seal.Sealer
	set    settings
	rev    store.Rev // of the settings
}

// errRoot is every failure of a root of trust, where another one may do.
var errRoot = errors.New("root of trust")

// rootError keeps the words of an error and lets it be known as one of a root's.
type rootError struct{ error }

func (rootError) Is(target error) bool { return target == errRoot }
func (e rootError) Unwrap() error      { return e.error }

func unsealWith(ctx context.Context, st store.Reader, f files, stored []byte, l root.Locator) (unsealed, error) {
	name, sealer, err := openContainerWith(ctx, f, stored, l)
	if err != nil {
		return unsealed{}, err
	}
	set, rev, err := readSettings(ctx, st, f, sealer)
	return unsealed{name, sealer, set, rev}, err
}

func openContainerWith(ctx context.Context, f files, stored []byte, l root.Locator) (string, *seal.Sealer, error) {
	if _, err := seal.Roots(stored); err != nil {
		return "", nil, err
	}
	r, err := openRoot(ctx, f, l)
	if err != nil {
		return "", nil, rootError{err}
	}
	sealer, err := seal.Open(ctx, stored, []root.Root{r})
	if err != nil {
		where := l.String()
		if path, err := rootFile(f, l); l.Kind == "file" && err == nil {
			where = path
		}
		return "", nil, rootError{fmt.Errorf("the root of trust %s does not open the store %s: %w", where, f.store, err)}
	}
	return r.ID(), sealer, nil
}
