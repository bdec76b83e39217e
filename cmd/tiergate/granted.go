package main

import (
	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/follow"
)

// followGranted follows what people grant at run time, and has decisions take it: in a shared store what a receiver signed,
// and nothing else. While the store is away what was granted holds until its end; what was revoked meanwhile is seen when it
// is back.
func (sc *sidecar) followGranted() (*follow.Follower, error) {
	records, err := believedRecords(sc.settings, sc.store)
	if err != nil {
		return nil, err
	}
	events, refused := sc.observer.followed(&grantedRecords)
	f := follow.New(records, follow.Options{Kinds: []string{approvals.KindException, approvals.KindGrace},
		// A record of grace may say that somebody ended it, so that there is something to be won by removing it.
		Keep:   []string{approvals.KindGrace},
		Events: events,
		OnChange: func(all []signals.Record) {
			sc.authz.SetBook(approvals.NewBook(all, refused))
		}})
	sc.observer.showGranted(sc.authz.ExceptionsInForce, f.InSync)
	return f, nil
}

// believedRecords are the records of receivers as a sidecar reads them: of a shared store only those that are signed.
func believedRecords(s *config.Settings, store signals.Store) (signals.Records, error) {
	r := s.Store.Redis
	if r == nil || r.Unsealed {
		return store, nil
	}
	checker, err := sealChecker(r.Seal)
	if err != nil {
		return nil, err
	}
	return signals.Sealed(store, nil, checker), nil // it only reads
}
