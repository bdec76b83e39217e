package xds

import (
	"context"
	"time"
)

// idle is how long Run sleeps when nothing is due; whatever changes wakes it.
const idle = time.Hour

// Run takes away what no Envoy needs any more and tries again what was refused, until the context ends; then it ends all
// streams, so that a graceful stop of the gRPC server has nothing to wait for. It may be called once.
func (s *Server) Run(ctx context.Context) error {
	defer s.stop()
	timer := time.NewTimer(idle)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.changed:
		case <-timer.C:
		}
		next, tell, err := s.tend(time.Now())
		for _, t := range tell {
			t()
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
		timer.Reset(next)
	}
}

// tend does what is due and says how long nothing else will be.
func (s *Server) tend(now time.Time) (next time.Duration, tell []func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgetRefused(now)
	if s.published == nil {
		return idle, nil, nil
	}
	if !s.settled && s.allHold() {
		s.settled = true
		digest, table := s.published.Digest(), s.published.Table()
		tell = append(tell, func() { s.events.settled(digest, table) })
	}
	next = idle
	for session := range s.sessions {
		soon, err := s.retry(session, now)
		if err != nil {
			return next, tell, err
		}
		next = min(next, soon)
	}
	soon, err := s.retire(now)
	return min(next, soon), tell, err
}

// allHold reports that every connected Envoy holds the published snapshot. Without any Envoy nothing is known: one that
// was connected before may still hold the old routes.
func (s *Server) allHold() bool {
	for session := range s.sessions {
		if !session.holds(s.wanted) {
			return false
		}
	}
	return len(s.sessions) > 0
}

// retry sends one refused version of each type again whose time has come.
func (s *Server) retry(session *session, now time.Time) (next time.Duration, err error) {
	next = idle
	tried := false
	for _, t := range deliveredTypes {
		due, at := session.due(t.url, s.wanted, now)
		if due != nil {
			due.trying, due.next, tried = true, now.Add(answerWithin), true
			next = min(next, answerWithin)
		} else if !at.IsZero() {
			next = min(next, max(at.Sub(now), time.Millisecond))
		}
	}
	if tried {
		err = s.fit(session, "")
	}
	return next, err
}

// retire takes away what lingers, a while after every connected Envoy holds what it is given; but for what that names.
func (s *Server) retire(now time.Time) (next time.Duration, err error) {
	lingers := !s.lingering.empty()
	for session := range s.sessions {
		lingers = lingers || !session.ghosts.empty()
		if !session.quiet() {
			s.calmSince = time.Time{}
			return idle, nil
		}
	}
	if !lingers || len(s.sessions) == 0 {
		s.calmSince = time.Time{}
		return idle, nil
	}
	if s.calmSince.IsZero() {
		s.calmSince = now
	}
	if rest := s.calmSince.Add(s.linger).Sub(now); rest > 0 {
		return rest, nil
	}
	s.calmSince = time.Time{}
	var serving []contents
	dropped := false
	for session := range s.sessions {
		serving = append(serving, session.serving.contents())
		if !session.ghosts.empty() && !session.standsAnywhere() {
			session.ghosts, dropped = contents{}, true
		}
	}
	keep := needed(s.lingering, s.wanted, serving)
	if !dropped && keep.size() == s.lingering.size() {
		return idle, nil // what is left is needed; only something else makes a difference
	}
	s.lingering = keep
	s.tidy()
	return idle, s.fitAll()
}

func (c contents) size() (n int) {
	for _, items := range c {
		n += len(items)
	}
	return n
}

// standsAnywhere reports that the Envoy goes on with something of which only itself knows what it names.
func (s *session) standsAnywhere() bool {
	for _, r := range s.refused {
		if r.stands {
			return true
		}
	}
	return false
}
