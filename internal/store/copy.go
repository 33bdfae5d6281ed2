package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
)

// ErrDiffers names a record that is not the same in two stores.
var ErrDiffers = errors.New("store: a record is not the same in both stores")

// Of a batch of Copy: the number of records, with a condition each, and the size of all values,
// in bytes, below which one more is added.
const (
	copyRecords = MaxBatch / 2
	copyBytes   = MaxValue / 4
)

// Copy copies all records into a store in which there is nothing but what an earlier Copy from
// the same store has left: it goes on where that was cut off, and never overwrites. The records at
// the paths in last are copied when all others are there, in that order. Then it compares the two, record by
// record, and returns how many there are. Nobody may write to either meanwhile; if somebody does, that is
// found, as ErrDiffers. tell, if not nil, is called with the number of records that are there.
//
// Revisions are not copied: a store counts its own.
func Copy(ctx context.Context, from Reader, to Store, last []string, tell func(done int)) (int, error) {
	c := copying{ctx: ctx, from: from, to: to, tell: tell}
	err := Each(ctx, from, func(r Record) error {
		if slices.Contains(last, r.Path) {
			return nil
		}
		return c.add(r)
	})
	if err == nil {
		err = c.flush()
	}
	for _, path := range last {
		if err == nil {
			err = c.alone(path)
		}
	}
	if err != nil {
		return 0, err
	}
	return compare(ctx, from, to)
}

type copying struct {
	ctx   context.Context
	from  Reader
	to    Store
	tell  func(int)
	batch Batch
	bytes int
	done  int
}

// add puts a record into the batch if it is not there yet.
func (c *copying) add(r Record) error {
	there, err := c.to.Get(c.ctx, r.Path)
	switch {
	case err == nil && bytes.Equal(there.Value, r.Value):
		c.done++
		return nil
	case err == nil:
		return fmt.Errorf("%w: %s: the target must be empty, or what a copy that was cut off has left", ErrDiffers, r.Path)
	case !errors.Is(err, ErrNotFound):
		return err
	}
	c.batch.If = append(c.batch.If, Condition{Path: r.Path})
	c.batch.Put = append(c.batch.Put, Put{Path: r.Path, Value: r.Value})
	if c.bytes += len(r.Value); c.bytes > copyBytes || len(c.batch.Put) == copyRecords {
		return c.flush()
	}
	return nil
}

func (c *copying) flush() error {
	if n := len(c.batch.Put); n > 0 {
		if _, err := c.to.Commit(c.ctx, c.batch); err != nil {
			return fmt.Errorf("copy %s and what follows it: %w", c.batch.Put[0].Path, err)
		}
		c.done += n
	}
	c.batch, c.bytes = Batch{}, 0
	if c.tell != nil {
		c.tell(c.done)
	}
	return nil
}

// alone copies one record, if there is one.
func (c *copying) alone(path string) error {
	r, err := c.from.Get(c.ctx, path)
	if errors.Is(err, ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	if err := c.add(r); err != nil {
		return err
	}
	return c.flush()
}

// compare returns how many records both stores have, which must be the same.
func compare(ctx context.Context, from Reader, to Store) (n int, err error) {
	err = Each(ctx, from, func(r Record) error {
		n++
		there, err := to.Get(ctx, r.Path)
		if err == nil && !bytes.Equal(there.Value, r.Value) || errors.Is(err, ErrNotFound) {
			return fmt.Errorf("%w: %s", ErrDiffers, r.Path)
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	there := 0
	err = Each(ctx, to, func(r Record) error {
		there++
		_, err := from.Get(ctx, r.Path)
		if errors.Is(err, ErrNotFound) {
			return fmt.Errorf("%w: %s is in the target alone", ErrDiffers, r.Path)
		}
		return err
	})
	if err == nil && there != n {
		err = fmt.Errorf("%w: %d are in the target, and %d in the source: somebody writes to them", ErrDiffers, there, n)
	}
	return n, err
}

// eachPage is how many records are read at once.
const eachPage = 64

// Each calls do with every record, in order.
func Each(ctx context.Context, s Reader, do func(Record) error) error {
	after := ""
	for {
		page, err := s.List(ctx, "", after, eachPage, false)
		if err != nil {
			return err
		}
		for _, r := range page {
			if err := do(r); err != nil {
				return err
			}
		}
		if len(page) < eachPage {
			return nil
		}
		after = page[len(page)-1].Path
	}
}
