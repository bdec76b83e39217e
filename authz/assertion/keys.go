package assertion

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tiergate/tiergate/authz/assertion/verify"
)

// The times of keys.
const (
	// Freshness is what the published set says of itself (Cache-Control: max-age).
	Freshness = time.Minute
	// Ahead is for how long a key of a file is published before it signs, unless it was there at the start: whoever follows
	// Freshness knows it by then. A made key is published for a whole RotateEvery before.
	Ahead = 5 * time.Minute
	// MinRotateEvery and DefaultRotateEvery are of made keys.
	MinRotateEvery     = 10 * time.Minute
	DefaultRotateEvery = 24 * time.Hour
)

// KeyOptions say where keys come from.
type KeyOptions struct {
	// Files are private keys as Parse reads them; the first signs, all are published. Empty: keys are made.
	Files [][]byte
	// RotateEvery is how long a made key signs.
	RotateEvery time.Duration
	// Lifetime is the longest life of an assertion.
	Lifetime time.Duration
	Now      func() time.Time // default time.Now
	Events   KeyEvents
}

// KeyEvents are told by Keys, one at a time; each may be nil.
type KeyEvents struct {
	// Signing: another key signs from now on; published is how many stand in the set.
	Signing func(kid string, published int)
	// Failed: no key could be made. The last one goes on, and it is tried again in a minute.
	Failed func(error)
}

// Keys are the keys that sign, and the set that is published. It is safe for concurrent use.
type Keys struct {
	files    bool
	every    time.Duration
	lifetime time.Duration
	now      func() time.Time
	told     KeyEvents
	state    atomic.Pointer[published]
	changed  chan struct{} // holds one

	mu      sync.Mutex
	held    []*key // all that are published
	wanted  []*key // those of them that sign, or will, the earlier first
	signing *key
	rotate  time.Time // when the next key is made; zero for files
}

// key is one private key.
type key struct {
	signer jose.Signer
	public jose.JSONWebKey
	since  time.Time // published; zero: at the start, when nobody could know another
	until  time.Time // published; zero: as long as it is wanted, or signs
}

// published is what is to be had without a lock.
type published struct {
	signer   jose.Signer
	kid      string
	document []byte // the JWK set
	tag      string // its entity tag
}

// NewKeys makes or reads the first keys; it starts nothing.
func NewKeys(o KeyOptions) (*Keys, error) {
	k := &Keys{files: len(o.Files) > 0, every: o.RotateEvery, lifetime: o.Lifetime, now: o.Now, told: o.Events,
		changed: make(chan struct{}, 1)}
	if k.now == nil {
		k.now = time.Now
	}
	at := k.now()
	var first []*key
	if k.files {
		var err error
		if first, err = parseAll(o.Files); err != nil {
			return nil, err
		}
	} else {
		for range 2 { // one that signs, and the next
			made, err := makeKey()
			if err != nil {
				return nil, err
			}
			first = append(first, made)
		}
		k.rotate = at.Add(k.every)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.want(first, at)
	k.step(at)
	return k, nil
}

// Replace puts other contents of the files into force: what of them is good, or nothing. A first key that was not
// published before does not sign before Ahead is over.
func (k *Keys) Replace(files [][]byte) error {
	if !k.files || len(files) == 0 {
		return errors.New("the keys are made, and not of files")
	}
	next, err := parseAll(files)
	if err != nil {
		return err
	}
	k.mu.Lock()
	k.want(next, k.now())
	k.step(k.now())
	k.mu.Unlock()
	select {
	case k.changed <- struct{}{}:
	default: // it has been said
	}
	return nil
}

// Run replaces keys when it is time. It returns nil when ctx ends.
func (k *Keys) Run(ctx context.Context) error {
	for {
		k.mu.Lock()
		next := k.step(k.now())
		k.mu.Unlock()
		var due <-chan time.Time
		timer := time.NewTimer(time.Until(next))
		if !next.IsZero() {
			due = timer.C
		}
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-due:
		case <-k.changed:
		}
		timer.Stop()
	}
}

// want says which keys are to sign. One that is held already keeps what is known of it.
func (k *Keys) want(next []*key, at time.Time) {
	k.wanted = nil
	for _, n := range next {
		i := slices.IndexFunc(k.held, func(h *key) bool { return h.public.KeyID == n.public.KeyID })
		if i >= 0 {
			n = k.held[i]
			n.until = time.Time{}
		} else {
			if len(k.held) > 0 && k.signing != nil {
				n.since = at
			}
			k.held = append(k.held, n)
		}
		k.wanted = append(k.wanted, n)
	}
}

// step does what is due and returns when something is next; zero: nothing is.
func (k *Keys) step(at time.Time) (next time.Time) {
	if !k.rotate.IsZero() && !at.Before(k.rotate) {
		k.turn(at)
	}
	soonest := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	if !k.rotate.IsZero() {
		soonest(k.rotate)
	}
	signing := k.signing
	for i, w := range k.wanted {
		ripe := w.since
		if !ripe.IsZero() {
			ripe = ripe.Add(Ahead)
		}
		if !at.Before(ripe) || signing == nil {
			signing = k.wanted[i]
			break
		}
		soonest(ripe)
	}
	before := k.signing
	k.signing = signing
	for _, h := range k.held {
		if h != signing && h.until.IsZero() && !slices.Contains(k.wanted, h) {
			// Its last assertion was signed just now.
			h.until = at.Add(k.lifetime + verify.MaxLeeway)
		}
		if !h.until.IsZero() && at.Before(h.until) {
			soonest(h.until)
		}
	}
	k.held = slices.DeleteFunc(k.held, func(h *key) bool { return !h.until.IsZero() && !at.Before(h.until) })
	k.publish()
	if before != signing && k.told.Signing != nil {
		k.told.Signing(signing.public.KeyID, len(k.held))
	}
	return next
}

// turn lets the next key sign, and makes the one after it.
func (k *Keys) turn(at time.Time) {
	made, err := makeKey()
	if err != nil {
		if k.told.Failed != nil {
			k.told.Failed(err)
		}
		k.rotate = at.Add(time.Minute)
		return
	}
	k.want([]*key{k.wanted[1], made}, at)
	k.rotate = at.Add(k.every)
}

// publish writes the set: the key that signs first.
func (k *Keys) publish() {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{k.signing.public}}
	for _, h := range k.held {
		if h != k.signing {
			set.Keys = append(set.Keys, h.public)
		}
	}
	document, err := json.Marshal(set)
	if err != nil { // it cannot fail: they are P-256 keys with texts
		return
	}
	sum := sha256.Sum256(document)
	k.state.Store(&published{signer: k.signing.signer, kid: k.signing.public.KeyID, document: document,
		tag: `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`})
}
