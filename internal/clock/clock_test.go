package clock_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"trent/internal/clock"
)

// A machine has a wall clock that may be wrong, one that counts, and a node on it that may be
// down. The mark is in a store that several share.
type machine struct {
	now   *time.Time
	mark  *clock.Mark
	wrong time.Duration
	boot  time.Time
	judge *clock.Judge
}

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func start(now *time.Time, mark *clock.Mark) *machine {
	return &machine{now: now, mark: mark, boot: *now, judge: new(clock.Judge)}
}

// restart is of the machine, so that the counting clock begins anew.
func (m *machine) restart() { m.boot, m.judge = *m.now, new(clock.Judge) }

func (m *machine) observe() clock.Opinion {
	o := m.judge.Observe(m.now.Add(m.wrong), m.now.Sub(m.boot), *m.mark)
	*m.mark = o.Mark
	return o
}

// run lets the machine observe every minute.
func (m *machine) run(d time.Duration) (o clock.Opinion) {
	for range d / time.Minute {
		*m.now = m.now.Add(time.Minute)
		o = m.observe()
	}
	return o
}

const day = 24 * time.Hour

func TestSEC_E08_JumpForward(t *testing.T) {
	for _, jump := range []time.Duration{2 * time.Hour, day, 365 * day} {
		for _, restarted := range []bool{false, true} {
			now, mark := noon, clock.Mark{}
			m := start(&now, &mark)
			m.run(time.Hour)
			m.wrong = jump
			if restarted {
				m.restart()
			}
			if o := m.run(23 * time.Hour); o.Believed.After(now.Add(clock.Lead)) || o.Ahead <= 0 || o.Until <= 0 {
				t.Errorf("%s, restarted: %t: after 23 hours %+v", jump, restarted, o)
			}
			if o := m.run(2 * time.Hour); o.Ahead != 0 || !o.Believed.Equal(now.Add(jump)) {
				t.Errorf("%s, restarted: %t: two observations a day apart agree, and it is not believed: %+v", jump, restarted, o)
			}
		}
	}
}

// A clock that is set right again has done nothing.
func TestJumpAndBack(t *testing.T) {
	now, mark := noon, clock.Mark{}
	m := start(&now, &mark)
	m.run(time.Hour)
	m.wrong = 30 * day
	m.run(20 * time.Hour)
	m.wrong = 0
	if o := m.run(time.Minute); !o.Believed.Equal(now) || o.Ahead != 0 {
		t.Errorf("%+v", o)
	}
	m.wrong = 30 * day
	if o := m.run(20 * time.Hour); o.Ahead <= 0 {
		t.Errorf("the day of another jump counts: %+v", o)
	}
}

func TestBackwards(t *testing.T) {
	now, mark := noon, clock.Mark{}
	m := start(&now, &mark)
	m.run(time.Hour)
	m.wrong = -day
	if o := m.run(time.Minute); !o.Believed.Equal(now.Add(-day)) {
		t.Errorf("%+v", o)
	}
}

// A server that runs for two hours a day deletes all the same.
func TestRunsNowAndThen(t *testing.T) {
	now, mark := noon, clock.Mark{}
	m := start(&now, &mark)
	m.run(2 * time.Hour)
	held := 0
	for range 10 {
		now = now.Add(22 * time.Hour)
		m.restart()
		if o := m.run(2 * time.Hour); o.Ahead > 0 {
			held++
		}
	}
	if held > 5 {
		t.Errorf("on %d of 10 days the clock was not believed", held)
	}
}

// A node whose clock has jumped is not believed while another goes on.
func TestNodesDiffer(t *testing.T) {
	now, mark := noon, clock.Mark{}
	a, b := start(&now, &mark), start(&now, &mark)
	a.run(time.Hour)
	b.wrong = 30 * day
	for range 5 * day / time.Minute {
		now = now.Add(time.Minute)
		if o := a.observe(); !o.Believed.Equal(now) {
			t.Fatalf("the good node at %s: %+v", now, o)
		}
		if o := b.observe(); o.Believed.After(now.Add(clock.Lead)) {
			t.Fatalf("the other at %s: %+v", now, o)
		}
	}
}

// Whatever else happens, one jump is not believed within a day, and a clock that is right is
// believed by a node that runs for longer than that.
func TestSEC_E08_Property(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now, mark := noon, clock.Mark{}
		m := start(&now, &mark)
		jumped := false
		var at time.Time
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				m.run(time.Duration(rapid.IntRange(1, 26*60).Draw(t, "minutes")) * time.Minute)
			case 1:
				now = now.Add(time.Duration(rapid.IntRange(1, 10*24*60).Draw(t, "minutes down")) * time.Minute)
				m.restart()
			case 2: // time servers correct
				if !jumped {
					m.wrong = time.Duration(rapid.IntRange(-30, 30).Draw(t, "seconds")) * time.Second
				}
			case 3:
				if !jumped {
					m.observe()
					jumped, at = true, now
					m.wrong = time.Duration(rapid.IntRange(2, 1000).Draw(t, "hours")) * time.Hour
				}
			}
			o := m.observe()
			if truth := now.Add(clock.Lead + time.Minute); o.Believed.After(truth) && now.Before(at.Add(clock.Steady)) {
				t.Fatalf("at %s, %s after the jump, %s is believed", now, now.Sub(at), o.Believed)
			}
			if !jumped && o.Believed.After(now.Add(time.Minute)) {
				t.Fatalf("at %s, %s is believed", now, o.Believed)
			}
		}
		if o := m.run(clock.Steady + time.Hour); o.Ahead > 0 {
			t.Fatalf("after a day: %+v", o)
		}
	})
}
