package server

import (
	"context"
	"errors"
	"time"

	"trent/internal/audit"
	"trent/internal/httpd"
	"trent/internal/key"
)

// sweepEvery is how often what is over is cleared away and what is due is done.
const sweepEvery = time.Minute

// usesEvery is how often the last uses of keys are stored. Those since the last time are lost
// with a server that does not end in good order.
const usesEvery = 15 * time.Minute

func (s *Server) sweep() {
	t := time.NewTicker(sweepEvery)
	defer t.Stop()
	uses := time.NewTicker(usesEvery)
	defer uses.Stop()
	for {
		var err error
		select {
		case <-s.stop:
			return
		case <-uses.C:
			err = s.ring.StoreUses(context.Background())
		case <-t.C:
			s.reading.dropUnused(s.now())
			err = errors.Join(s.sweepNow(), s.users.StoreUses(context.Background()), s.tidy(context.Background()))
		}
		if err != nil {
			s.log.Error("sweep", "error", err)
		}
	}
}

func (s *Server) sweepNow() error {
	now := s.now()
	believed, err := s.believedTime(now)
	if err != nil {
		return err
	}
	return errors.Join(s.sweepKeys(now, believed), s.sweepAccounts(now, believed))
}

// sweepKeys does what nobody asks for, and writes down what an auditor would look for.
func (s *Server) sweepKeys(now, believed time.Time) error {
	swept, err := s.ring.Sweep(context.Background(), now, believed)
	for _, k := range swept.Deleted {
		s.log.Info("deleted a key whose waiting period is over", "key", k.ARN)
		err = errors.Join(err, s.writeDown("DeleteKey", k, now, k.ARN))
	}
	for _, k := range swept.Rotated {
		s.log.Info("rotated a key that was due", "key", k.ARN, "next", k.Rotation.Next.Time())
		err = errors.Join(err, s.writeDown("RotateKey", k, now, k.ARNs()...))
	}
	for _, k := range swept.Expired {
		s.log.Info("deleted imported key material that had expired", "key", k.ARN)
		err = errors.Join(err, s.writeDown("DeleteExpiredKeyMaterial", k, now, k.ARN))
	}
	return err
}

// itself is who asks where nobody did.
const itself = "trent"

// writeDown makes an audit record of what the server did to a key by itself, under the name
// that AWS CloudTrail has for it.
func (s *Server) writeDown(event string, k *key.Record, now time.Time, about ...string) error {
	rec := audit.Record{
		Time: now, RequestID: httpd.NewRequestID(), Source: itself, Principal: itself, Account: k.Account(), Region: k.Region(),
		Operation: event, Mutates: true, Resources: about, Status: 200,
	}
	return s.audit.Append(rec.Append(nil))
}
