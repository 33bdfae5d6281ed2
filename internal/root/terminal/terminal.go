// Package terminal asks the person at the terminal for a secret.
package terminal

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/term"

	"trent/internal/secret"
)

// Ask shows a prompt on the controlling terminal, whatever standard input is, and
// reads a line that is not shown.
func Ask(prompt string) (secret.Bytes, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return secret.Bytes{}, errors.New("there is no terminal to ask at")
	}
	defer tty.Close()
	if _, err := fmt.Fprint(tty, prompt+": "); err != nil {
		return secret.Bytes{}, fmt.Errorf("ask at the terminal: %w", err)
	}
	line, err := term.ReadPassword(int(tty.Fd()))
	fmt.Fprintln(tty)
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("read from the terminal: %w", err)
	}
	return secret.New(line), nil
}

// Say shows a line on the controlling terminal.
func Say(line string) error {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return errors.New("there is no terminal")
	}
	defer tty.Close()
	_, err = fmt.Fprintln(tty, line)
	return err
}
