package server

import (
	"context"
	"fmt"
	"io"
	"os"

	"trent/internal/action"
	"trent/internal/arn"
	"trent/internal/audit"
	"trent/internal/declare"
	"trent/internal/httpd"
	"trent/internal/iam"
	"trent/internal/sigv4"
)

// declaration is the file that is applied at the start.
type declaration struct {
	*declare.Declaration
	path   string
	digest string
}

// readDeclaration reads and checks the file before anything is opened: one that is
// malformed changes nothing. Without a path there is none.
func readDeclaration(path string) (*declaration, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the declaration: %w", err)
	}
	defer f.Close()
	switch info, err := f.Stat(); {
	case err != nil:
		return nil, fmt.Errorf("read the declaration: %w", err)
	case info.Mode().Perm()&0o002 != 0:
		return nil, fmt.Errorf("the declaration %s can be written by anybody (mode %04o), who could make themselves administrators: run chmod o-w on it", path, info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, declare.MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("read the declaration: %w", err)
	}
	defer clear(text)
	d, err := declare.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("the declaration %s is not applied, and nothing was changed:\n%w", path, err)
	}
	return &declaration{d, path, audit.Digest(text)}, nil
}

func (s *Server) newDeclare(regions sigv4.Regions) *declare.Engine {
	return declare.New(declare.Options{
		Partition: s.set.Partition, Home: regions.Home, FirstAccount: s.set.Account, Dev: s.config.Dev,
		Root: func(account string) (*iam.Principal, bool) {
			return s.users.View().Principal(arn.AccountRoot(s.set.Partition, account))
		},
		AcceptsRegion: regions.Has, NewID: httpd.NewRequestID, Log: s.log, Now: s.now,
	})
}

// applyDeclaration makes the deployment what the file says. It fails if that is not
// wholly so afterwards.
func (s *Server) applyDeclaration(ctx context.Context, d *declaration) error {
	if d == nil {
		return nil
	}
	keyFile := func(k action.DeclaredKey) string { return declare.KeyFile(d.path, k.File) }
	made, err := s.declare.Apply(ctx, s.road, declare.Order{
		Declaration: d.Declaration, Origin: declare.Origin(d.digest, ""),
		Keep: func(k action.DeclaredKey) error { return declare.WriteAccessKey(keyFile(k), k) },
	})
	if err != nil {
		return fmt.Errorf("the declaration %s is not applied, and nothing was changed: %w", d.path, err)
	}
	for _, c := range made.Changes {
		if c.Done {
			s.log.Info("declared", "change", c.String())
		}
	}
	for _, k := range made.AccessKeys {
		s.log.Info("made an access key", "account", k.Account, "user", k.User, "id", k.ID, "file", keyFile(k))
	}
	if made.Failure != "" {
		return fmt.Errorf("the declaration %s is applied in part:\n%s", d.path, made.Progress())
	}
	s.log.Info("applied the declaration", "file", d.path, "changes", len(made.Changes))
	return nil
}
