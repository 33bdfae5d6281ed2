package server

import (
	"context"

	"trent/internal/follow"
)

// newFollower makes what keeps the caches true where other nodes write to the store as well; nil
// where none do.
func (s *Server) newFollower() *follow.Follower {
	shared, ok := s.raw.(follow.Store)
	if !ok {
		return nil
	}
	return follow.New(shared, follow.Options{Bound: s.config.MaxStaleness, Log: s.log, Caches: []follow.Cache{rootKeys{s}, s.users, s.ring}})
}

// followStore lets it run until unfollow is called.
func (s *Server) followStore() {
	var ctx context.Context
	ctx, s.unfollow = context.WithCancel(context.Background())
	if s.follow != nil {
		s.sweeping.Go(func() { s.follow.Run(ctx) })
	}
}

// fresh is what requests ask before they believe a cache; nil where nobody else writes.
func (s *Server) fresh() func(context.Context) error {
	if s.follow == nil {
		return nil
	}
	return s.follow.Fresh
}
