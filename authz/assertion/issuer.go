package assertion

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/tiergate/tiergate/authz/assertion/verify"
	"github.com/tiergate/tiergate/authz/identity"
)

// The bounds of an Issuer.
const (
	MinLifetime     = 10 * time.Second
	DefaultLifetime = time.Minute
	MaxLifetime     = 5 * time.Minute
	// MaxKept is how many assertions are kept at most, about 1 KiB each.
	MaxKept = 8192
	// maxRenewals is how many may wait to be signed anew. More are signed by the requests that need them.
	maxRenewals = 1024
)

// Options are what an Issuer works with.
type Options struct {
	Issuer   string        // iss
	Lifetime time.Duration // of an assertion, unless its grounds end before
	Keys     *Keys
	// Failed: an assertion was not signed, and its request went on without one; nil: nobody is told.
	Failed func(error)
	// Signed is told of every signature: waited is true where a request waited for it; nil: nobody is told.
	Signed func(waited bool)
}

// Grounds are who is admitted where, as one decision found.
type Grounds struct {
	Subject                       *identity.Subject
	Device, Tier, Route, Upstream string
	At                            time.Time // of the decision
	// Until is when the first of the grounds ends of itself: a token, a certificate, an exception. Zero: none does.
	Until time.Time
}

// about is all that an assertion says but times, so that one with equal values can be sent again.
type about struct {
	issuer, name, sub, acr        string // of the user
	workload, unnamed             string // unnamed: of a subject without user and workload
	device, tier, route, upstream string
}

// kept is an assertion that can be sent again.
type kept struct {
	raw      string
	iat, exp int64 // seconds since 1970
	renewing atomic.Bool
}

// Issuer signs assertions. It is safe for concurrent use.
type Issuer struct {
	o       Options
	kept    cache
	renewal chan renewal
}

// renewal is an assertion to be signed while the one before still counts.
type renewal struct {
	about about // its texts are copies
	sub   string
	at    time.Time
	until time.Time
	old   *kept
}

// New starts nothing.
func New(o Options) *Issuer {
	i := &Issuer{o: o, renewal: make(chan renewal, maxRenewals)}
	i.kept.most = MaxKept / 2
	return i
}

// Run signs anew what is still in use when half of its life is over. Without it requests wait for that. It returns nil
// when ctx ends.
func (i *Issuer) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case r := <-i.renewal:
			i.sign(r, false)
		}
	}
}

// Assertion is the assertion of one decision; "" where none can be made, which Failed tells. The texts of the grounds may
// be gone when it has returned.
func (i *Issuer) Assertion(g *Grounds) string {
	key := g.about()
	at := g.At.Unix()
	k := i.kept.get(&key)
	if k != nil && at >= k.iat-1 && (g.Until.IsZero() || k.exp <= g.Until.Unix()) {
		life := k.exp - k.iat
		switch {
		case at < k.iat+(life+1)/2:
			return k.raw
		case at >= k.exp-life/4: // nearly over, and nobody has renewed it
		case !k.renewing.CompareAndSwap(false, true):
			return k.raw
		default:
			select {
			case i.renewal <- renewal{about: key.clone(), sub: strings.Clone(g.Subject.String()), at: g.At, until: g.Until, old: k}:
				return k.raw
			default:
				k.renewing.Store(false)
			}
		}
	}
	return i.sign(renewal{about: key.clone(), sub: strings.Clone(g.Subject.String()), at: g.At, until: g.Until}, true)
}

func (g *Grounds) about() about {
	a := about{workload: string(g.Subject.Workload), device: g.Device, tier: g.Tier, route: g.Route, upstream: g.Upstream}
	if u := g.Subject.User; u != nil {
		a.issuer, a.name, a.sub, a.acr = u.Issuer, u.Name, u.Subject, u.ACR
	} else if g.Subject.Workload == "" {
		a.unnamed = g.Subject.String()
	}
	return a
}

// clone copies the texts, which may be parts of a message.
func (a *about) clone() about {
	c := *a
	for _, text := range []*string{&c.issuer, &c.name, &c.sub, &c.acr, &c.workload, &c.unnamed, &c.device, &c.tier, &c.route,
		&c.upstream} {
		*text = strings.Clone(*text)
	}
	return c
}

// sign makes an assertion and keeps it.
func (i *Issuer) sign(r renewal, waited bool) string {
	made, err := i.make(&r)
	if err != nil {
		if r.old != nil {
			r.old.renewing.Store(false)
		}
		if i.o.Failed != nil {
			i.o.Failed(err)
		}
		return ""
	}
	if i.o.Signed != nil {
		i.o.Signed(waited)
	}
	i.kept.put(r.about, made)
	return made.raw
}

func (i *Issuer) make(r *renewal) (*kept, error) {
	a := &r.about
	if !utf8.ValidString(r.sub + a.acr + a.sub + a.device) { // JSON would write all bad bytes alike
		return nil, fmt.Errorf("the subject %.100q is not UTF-8", r.sub)
	}
	if a.upstream == "" {
		return nil, errors.New("the decision names no upstream")
	}
	made := &kept{iat: r.at.Unix(), exp: r.at.Add(i.o.Lifetime).Unix()}
	if !r.until.IsZero() {
		made.exp = min(made.exp, r.until.Unix())
	}
	// A second is the least that can be said. The decision stands on grounds that still hold.
	made.exp = max(made.exp, made.iat+1)
	claims := verify.Claims{Issuer: i.o.Issuer, Subject: r.sub, Audience: a.upstream, IssuedAt: made.iat, NotBefore: made.iat,
		Expires:  made.exp,
		Tiergate: verify.Caller{Workload: a.workload, Device: a.device, Tier: a.tier, Route: a.route, ACR: a.acr}}
	if a.issuer != "" {
		claims.Tiergate.User = &verify.User{Issuer: a.issuer, Name: a.name, Subject: a.sub}
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return nil, err
	}
	signature, err := i.o.Keys.state.Load().signer.Sign(payload)
	if err != nil {
		return nil, fmt.Errorf("sign an assertion: %w", err)
	}
	if made.raw, err = signature.CompactSerialize(); err != nil {
		return nil, err
	}
	if len(made.raw) > verify.MaxBytes {
		return nil, fmt.Errorf("the assertion of %.100q has %d bytes; the limit is %d", r.sub, len(made.raw), verify.MaxBytes)
	}
	return made, nil
}
