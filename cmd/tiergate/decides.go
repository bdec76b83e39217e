package main

import (
	"github.com/tiergate/tiergate/authz"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/replica"
)

// decides makes the decision service, with the copy of the postures that it looks at.
func (sc *sidecar) decides(verifier authz.Tokens) error {
	s, o := sc.settings, sc.observer
	texts, err := newAnswers(s.Answers)
	if err != nil {
		return err
	}
	returnKey, err := newReturnKey(s.Login)
	if err != nil {
		return err
	}
	believed, copied, err := believedPostures(s, o, sc.store)
	if err != nil {
		return err
	}
	var enforced func(*signals.Posture)
	copied.OnChange = func(p *signals.Posture) {
		sc.authz.PostureChanged(p)
		enforced(p)
		if sc.finds != nil {
			sc.finds.PostureChanged(p)
		}
	}
	copied.OnRemove = func(d signals.DeviceID) {
		sc.authz.PostureRemoved(d)
		if sc.finds != nil {
			sc.finds.PostureRemoved(d)
		}
	}
	sc.replica = replica.New(believed, copied)
	enforced = o.enforced(sc.replica.Loaded())
	sc.census = newCensus(s, o, sc.store)
	sc.authz = authz.New(authz.Options{Devices: sc.replica, Peers: sc.trust, Tokens: verifier, Events: withCensus(o.authz(), sc.census),
		Replays: newReplays(s, o, sc.store), Logins: newLogins(s, o, sc.store), Revocations: true,
		Evidence: sc.evidence, StockCodec: s.Authz.Reader == config.ReaderProto, Assertions: sc.asserted.issuer, Answers: texts,
		ReturnKey: returnKey})
	return nil
}
