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
	ErrNoBackup = errors.New("There is no such backup, or it has gone on to another page. One that is not asked for within a minute is dropped, and each node has its own: begin anew.")
	ErrBackups  = errors.New("As many backups as may be at once are being read. One that is not asked for is dropped after a minute.")
)
