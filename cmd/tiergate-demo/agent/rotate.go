package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
)

// domain is a trust domain in which the agent signs. Who is published is believed by others; only one signs. state.mu
// guards it.
type domain struct {
	name      spiffeid.TrustDomain
	published []*anchor // the oldest first
	signer    *anchor
}

// anchor is one generation of a trust domain's keys, for certificates and for tokens.
type anchor struct {
	ca    *devca.CA
	jwt   *devca.JWTAuthority
	until time.Time // when the last of what it signed ends
}

func newAnchor(name spiffeid.TrustDomain, ca *devca.CA) (*anchor, error) {
	if ca == nil {
		made, err := devca.New(name.Name() + " workloads")
		if err != nil {
			return nil, err
		}
		ca = made
	}
	authority, err := devca.NewJWTAuthority(name.Name())
	if err != nil {
		return nil, err
	}
	return &anchor{ca: ca, jwt: authority}, nil
}

func (a *anchor) vouchesUntil(end time.Time) {
	if end.After(a.until) {
		a.until = end
	}
}

// RotateCA replaces the keys of a trust domain as careful people do: the new ones are published first, so that everybody
// believes them before anybody shows what they have signed; they sign, from the next renewal on, after the time that
// publishing is given; the old ones are withdrawn when the last SVID that they signed has ended.
func (a *Agent) RotateCA(ctx context.Context, trustDomain string, publish time.Duration) error {
	if err := a.PrepareCA(trustDomain); err != nil {
		return err
	}
	if err := sleep(ctx, publish); err != nil {
		return err
	}
	if err := a.ActivateCA(trustDomain); err != nil {
		return err
	}
	for {
		end, err := a.retireCA(trustDomain)
		if err == nil || !errors.Is(err, errStillVouches) {
			return err
		}
		if err := sleep(ctx, time.Until(end)+time.Second); err != nil {
			return err
		}
	}
}

// PrepareCA publishes new keys of a trust domain beside those that sign.
func (a *Agent) PrepareCA(trustDomain string) error {
	return a.state.rotate(trustDomain, func(d *domain) error {
		made, err := newAnchor(d.name, nil)
		if err == nil {
			d.published = append(d.published, made)
		}
		return err
	})
}

// ActivateCA lets the newest published keys sign, from the next renewal on.
func (a *Agent) ActivateCA(trustDomain string) error {
	return a.state.rotate(trustDomain, func(d *domain) error {
		newest := d.published[len(d.published)-1]
		if newest == d.signer {
			return fmt.Errorf("no new CA of %s is published: call PrepareCA first", d.name)
		}
		d.signer = newest
		return nil
	})
}

// errStillVouches: an SVID that would be withdrawn with its CA is still valid.
var errStillVouches = errors.New("what the old CA signed has not ended")

// RetireCA withdraws the keys that sign no more. It refuses while something that they signed is valid.
func (a *Agent) RetireCA(trustDomain string) error {
	_, err := a.retireCA(trustDomain)
	return err
}

func (a *Agent) retireCA(trustDomain string) (end time.Time, err error) {
	err = a.state.rotate(trustDomain, func(d *domain) error {
		signer := slices.Index(d.published, d.signer) // what stands behind it is prepared, and stays
		for _, old := range d.published[:signer] {
			if old.until.After(end) {
				end = old.until
			}
		}
		if time.Now().Before(end) {
			return fmt.Errorf("%w: of trust domain %s, before %s", errStillVouches, d.name, end.Format(time.RFC3339))
		}
		d.published = d.published[signer:]
		return nil
	})
	return end, err
}

func (s *state) rotate(trustDomain string, change func(*domain) error) error {
	name, err := spiffeid.TrustDomainFromString(trustDomain)
	if err != nil {
		return fmt.Errorf("%q is no trust domain: %w", trustDomain, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d, known := s.domains[name]
	if !known {
		return fmt.Errorf("this agent does not sign for %s", name)
	}
	if err := change(d); err != nil {
		return err
	}
	s.announce()
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
