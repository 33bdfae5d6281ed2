package action

import "errors"

// A BackupPage is a part of a backup that is being read.
type BackupPage struct {
	Backup  string // its id
	Data    []byte
	Last    bool
	Records int // in the backup, with the last page
}

// What ReadBackup refuses with.
var (
	ErrNoBackup = errors.New("no such backup is being read, or it has gone on to another page")
	ErrBackups  = errors.New("as many backups as may be at once are being read")
)
