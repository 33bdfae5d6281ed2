package declare

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"trent/internal/action"
	"trent/internal/api/adminapi"
	"trent/internal/fault"
	"trent/internal/iam"
	"trent/internal/pipeline"
)

// Options of an Engine.
type Options struct {
	Partition    string
	Home         string // Region that IAM is signed for
	FirstAccount string // of the deployment, whose root user makes accounts
	// Dev lets a declaration have fixed ids, materials and access keys.
	Dev bool
	// Root gives the root user of an account that is open.
	Root func(account string) (*iam.Principal, bool)
	// AcceptsRegion reports whether requests may be made in a Region.
	AcceptsRegion func(name string) bool
	NewID         func() string // of a request: a UUID
	Log           *slog.Logger
	Now           func() time.Time
}

// An Engine carries out declarations, one at a time.
type Engine struct {
	o  Options
	mu sync.Mutex
}

// New makes an engine.
func New(o Options) *Engine { return &Engine{o: o} }

// An Order is a declaration with how it is to be carried out.
type Order struct {
	Declaration *Declaration
	// Origin says in the audit whence the requests come: a digest of the document.
	Origin string
	// PlanOnly only says what would be changed.
	PlanOnly bool
	// Keep is given each access key that is made, at once. An error takes it back. nil:
	// they are in the result.
	Keep func(action.DeclaredKey) error
}

// Apply compares a declaration with what there is and makes the difference. An error
// says that nothing was changed. That a change failed is in the result: those before
// it are made, and it and those behind it are not.
func (e *Engine) Apply(ctx context.Context, road Walker, order Order) (*action.Declared, error) {
	if err := e.check(order.Declaration); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	p := &planner{courier: &courier{&e.o, road, order.Origin}, made: new(action.Declared), keep: order.Keep}
	if err := p.plan(ctx, order.Declaration); err != nil {
		return nil, err
	}
	steps := p.steps()
	for _, s := range steps {
		p.made.Changes = append(p.made.Changes, s.DeclaredChange)
	}
	if order.PlanOnly {
		return p.made, nil
	}
	if order.Declaration.Fixed() {
		e.o.Log.Warn("DEV MODE: this declaration has fixed ids, materials or secrets: whoever has read it has those keys")
	}
	for i, s := range steps {
		if err := s.do(ctx); err != nil {
			p.made.Failure = err.Error()
			break
		}
		p.made.Changes[i].Done = true
	}
	return p.made, nil
}

// check refuses what this server does not take, whatever is there.
func (e *Engine) check(d *Declaration) error {
	if d.Fixed() && !e.o.Dev {
		return fmt.Errorf("line %d: fixed key ids, materials and access keys are for dev mode alone: start the server with --dev, or leave them out", d.fixedAt)
	}
	for _, a := range d.Accounts {
		for _, k := range a.Keys {
			if !e.o.AcceptsRegion(k.Region) {
				return fmt.Errorf("key %s is in the Region %s, which this server does not take (setting regions)", k.name(), k.Region)
			}
		}
	}
	return nil
}

// Declare implements pipeline.Declarer for declarations that come by request.
func (e *Engine) Declare(ctx context.Context, road *pipeline.Road, from pipeline.Declaration) (*action.Declared, error) {
	d, err := Parse(from.Document.Expose())
	if err != nil {
		return nil, fault.New(adminapi.InvalidDeclaration, err.Error())
	}
	made, err := e.Apply(ctx, road, Order{Declaration: d, Origin: Origin(from.Digest, from.Request), PlanOnly: from.PlanOnly})
	if err != nil {
		return nil, fault.New(adminapi.InvalidDeclaration, "Nothing was changed: "+err.Error())
	}
	return made, nil
}

// Origin is what the audit has in the place of a user agent: the digest of the
// document, and the request that brought it, if one did.
func Origin(digest, request string) string {
	origin := "declaration sha256:" + digest
	if request != "" {
		origin += " request:" + request
	}
	return origin
}
