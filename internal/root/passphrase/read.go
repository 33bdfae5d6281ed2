package passphrase

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"trent/internal/root"
	"trent/internal/root/terminal"
	"trent/internal/secret"
)

// Open opens the root of trust at passphrase:FILE, at passphrase?fd=N, or at
// passphrase, which asks at the terminal.
func Open(l root.Locator) (*Root, error) {
	phrase, err := read(l)
	if err != nil {
		return nil, err
	}
	return New(nameOf(l), phrase, DefaultCost())
}

// Create is Open for a passphrase that is new: it must be long enough, and at a terminal
// it is asked for twice.
func Create(l root.Locator) (*Root, error) {
	phrase, err := read(l)
	if err != nil {
		return nil, err
	}
	if err := CheckNew(phrase); err != nil {
		return nil, err
	}
	if prompts(l) {
		again, err := terminal.Ask("The same passphrase again")
		if err != nil {
			return nil, err
		}
		if !again.Equal(phrase) {
			return nil, errors.New("the two passphrases differ; nothing was changed")
		}
	}
	return New(nameOf(l), phrase, DefaultCost())
}

// Unattended reports whether the passphrase can be read again without a person.
func Unattended(l root.Locator) bool { return l.Place != "" }

func prompts(l root.Locator) bool { return l.Place == "" && !l.Settings.Has("fd") }

func nameOf(l root.Locator) string {
	if name := l.Settings.Get("name"); name != "" {
		return name
	}
	return "main"
}

func read(l root.Locator) (secret.Bytes, error) {
	if err := l.Only("name", "fd"); err != nil {
		return secret.Bytes{}, err
	}
	if prompts(l) {
		phrase, err := terminal.Ask("Passphrase " + nameOf(l) + " of the store")
		if err != nil {
			return secret.Bytes{}, fmt.Errorf("%w: give the passphrase in a file (passphrase:FILE) or by a file descriptor (passphrase?fd=N)", err)
		}
		return phrase, nil
	}
	f, err := source(l)
	if err != nil {
		return secret.Bytes{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxLength+3)) // and a line end, and one too many
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("read the passphrase: %w", err)
	}
	text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
	if bytes.ContainsAny(text, "\n\x00") {
		return secret.Bytes{}, errors.New("a passphrase is one line of text")
	}
	return secret.New(text), nil
}

func source(l root.Locator) (*os.File, error) {
	if fd := l.Settings.Get("fd"); fd != "" {
		n, err := strconv.ParseUint(fd, 10, 16)
		if err != nil || l.Place != "" {
			return nil, fmt.Errorf("root of trust %s: fd is the number of a file descriptor, and there is no file beside it", l)
		}
		return os.NewFile(uintptr(n), "fd "+fd), nil
	}
	f, err := os.Open(l.Place)
	if err != nil {
		return nil, fmt.Errorf("read the passphrase: %w", err)
	}
	info, err := f.Stat()
	if err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		err = fmt.Errorf("the passphrase file %s can be read by others (mode %04o): consider it known, and run chmod 600 on it if you are sure that it is not", l.Place, info.Mode().Perm())
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
