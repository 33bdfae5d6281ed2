package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"trent/internal/backup"
	"trent/internal/config"
	"trent/internal/server"
)

type backupCmd struct {
	Make   backupMakeCmd   `cmd:"" default:"withargs" help:"Get a backup of a running server's store, encrypted."`
	Verify backupVerifyCmd `cmd:"" help:"Read all of a backup, and tell what is wrong with it. Needs a root of trust, and no server."`
}

type backupMakeCmd struct {
	connection
	Out string `name:"out" short:"f" required:"" placeholder:"FILE" help:"New file for the backup, or - for standard output."`
}

// backupPage is one answer of ReadBackup.
type backupPage struct {
	BackupId string
	Data     string
	IsLast   bool
	Records  int
}

// Run implements the command.
func (c *backupMakeCmd) Run(w *world) error {
	o, err := c.operator()
	if err != nil {
		return err
	}
	if c.Out == "-" {
		_, err := c.fetch(w, o, w.stdout)
		return err
	}
	// The file has its name when all of it is there.
	f, err := os.CreateTemp(filepath.Dir(c.Out), filepath.Base(c.Out)+".part*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	n, err := c.fetch(w, o, f)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), c.Out); err != nil {
		return fmt.Errorf("%w: a backup is never overwritten", err)
	}
	_, err = fmt.Fprintf(w.stdout, "%d records are in %s. It was not verified, which takes a root of trust: trent backup verify %s --root KIND:PLACE\n", n, c.Out, c.Out)
	return err
}

// fetch asks for all pages. What begins it must be the header of a backup.
func (c *backupMakeCmd) fetch(w *world, o *operator, to io.Writer) (records int, err error) {
	id := ""
	for page := 0; ; page++ {
		params := url.Values{"Page": {strconv.Itoa(page)}}
		if id != "" {
			params.Set("BackupId", id)
		}
		var out struct {
			Result backupPage `xml:"ReadBackupResult"`
		}
		if err := o.call(w.ctx, "ReadBackup", params, &out); err != nil {
			return 0, err
		}
		data, err := base64.StdEncoding.DecodeString(out.Result.Data)
		if err != nil {
			return 0, fmt.Errorf("the answer is not what a server of this version says: %w", err)
		}
		if page == 0 {
			if _, _, err := backup.ReadHeader(bytes.NewReader(data)); err != nil {
				return 0, err
			}
		}
		if _, err := to.Write(data); err != nil {
			return 0, err
		}
		if out.Result.IsLast {
			return out.Result.Records, nil
		}
		id = out.Result.BackupId
	}
}

type backupVerifyCmd struct {
	config.Store
	File string `arg:"" help:"The backup."`
}

// Run implements the command. It fails if it finds anything.
func (c *backupVerifyCmd) Run(w *world) error {
	if err := harden(); err != nil {
		fmt.Fprintln(w.stderr, "trent: the process could not be kept from being dumped:", err)
	}
	b, err := server.VerifyBackup(w.ctx, c.Store, c.File)
	if err != nil {
		return err
	}
	for _, f := range b.Findings {
		fmt.Fprintln(w.stdout, f)
	}
	fmt.Fprintf(w.stdout, "A backup of %s, at revision %d: %d records, and %d of passing interest. These roots of trust open it: %q\n",
		b.Time.Format(time.RFC3339), b.Revision, b.Records, b.Passing, b.Roots)
	if n := len(b.Findings) + b.More; n > 0 {
		return fmt.Errorf("%d findings: what was backed up was not what Trent has left in its store", n)
	}
	_, err = fmt.Fprintln(w.stdout, "Every record opens and is what the log of changes says.")
	return err
}
