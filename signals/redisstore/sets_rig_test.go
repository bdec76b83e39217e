package redisstore

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/follow"
	"github.com/tiergate/tiergate/signals/ingest"
	"github.com/tiergate/tiergate/signals/revocation"
	"github.com/tiergate/tiergate/signals/ssf"
)

const pushToken = "made-for-this-test-only"

// provider is a transmitter of Shared Signals that is polled or pushes, in front of a sealed store on a real Valkey.
type provider struct {
	url     string
	key     *ecdsa.PrivateKey
	seal    *signals.Sealer
	live    *server
	raw     *Store // what a stranger with the password has
	written atomic.Int64
	revoked atomic.Int64

	mu    sync.Mutex
	sets  map[string]string // what waits to be polled, by jti
	acked map[string]bool
	deaf  bool // acknowledgements do not arrive
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{key: key, seal: newKey(t), live: serve(t), sets: map[string]string{}, acked: map[string]bool{}}
	p.raw = p.live.open(t, nil)
	listening := httptest.NewServer(p)
	t.Cleanup(listening.Close)
	p.url = listening.URL
	return p
}

// ServeHTTP has the metadata, and what RFC 8936 polls.
func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.URL.Path != "/poll" {
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": p.url})
		return
	}
	var body struct{ Ack []string }
	_ = json.NewDecoder(r.Body).Decode(&body)
	if p.deaf {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	for _, id := range body.Ack {
		p.acked[id] = true
		delete(p.sets, id)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"sets": p.sets})
}

func (p *provider) do(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// Keys and Ask implement ssf.Keys.
func (p *provider) Keys(time.Time) (*jose.JSONWebKeySet, error) {
	return &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: p.key.Public(), KeyID: "k"}}}, nil
}

func (*provider) Ask() {}

// ends is a SET that says that a user's sessions have ended.
func (p *provider) ends(t *testing.T, user, jti string) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: p.key},
		(&jose.SignerOptions{}).WithType("secevent+jwt").WithHeader("kid", "k"))
	if err != nil {
		t.Fatal(err)
	}
	payload, _ := json.Marshal(map[string]any{"iss": p.url, "aud": "acme", "iat": time.Now().Unix(), "jti": jti,
		"sub_id": map[string]any{"format": "iss_sub", "iss": p.url, "sub": user},
		"events": map[string]any{"https://schemas.openid.net/secevent/caep/event-type/session-revoked": map[string]any{}}})
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	set, _ := signed.CompactSerialize()
	return set
}

// counted counts the revocations that the store has taken.
type counted struct {
	signals.Store
	n *atomic.Int64
}

func (c counted) PutRecord(ctx context.Context, r signals.Record, expected signals.Revision) error {
	err := c.Store.PutRecord(ctx, r, expected)
	if err == nil && r.Kind == revocation.Kind {
		c.n.Add(1)
	}
	return err
}

// sealed is the store as a receiver has it.
func (p *provider) sealed() signals.Store {
	return signals.Sealed(counted{p.raw, &p.written}, p.seal, p.seal.Checker())
}

var errDead = errors.New("the process is dead")

// mortal is a store of a process that dies at the at-th call: before the server has it, or after (lost).
type mortal struct {
	signals.Store
	calls atomic.Int64
	at    int64
	lost  bool
}

func (m *mortal) dead() bool { return m.calls.Load() >= m.at }

func (m *mortal) do(call func() error) error {
	n := m.calls.Add(1)
	if n > m.at || n == m.at && !m.lost {
		return errDead
	}
	err := call()
	if n == m.at {
		return errDead
	}
	return err
}

func (m *mortal) Record(ctx context.Context, kind, key string) (r signals.Record, err error) {
	err = m.do(func() (err error) { r, err = m.Store.Record(ctx, kind, key); return err })
	return r, err
}

func (m *mortal) PutRecord(ctx context.Context, r signals.Record, expected signals.Revision) error {
	return m.do(func() error { return m.Store.PutRecord(ctx, r, expected) })
}

func (m *mortal) DeleteRecord(ctx context.Context, kind, key string, expected signals.Revision) error {
	return m.do(func() error { return m.Store.DeleteRecord(ctx, kind, key, expected) })
}

func (m *mortal) EachRecord(ctx context.Context, kind string, yield func(signals.Record) error) (c signals.Cursor, err error) {
	err = m.do(func() (err error) { c, err = m.Store.EachRecord(ctx, kind, yield); return err })
	return c, err
}

// life is a receiver process, until end.
type life struct {
	receiver *ingest.Receiver
	end      func()
}

// begin runs a receiver of the provider's stream, and polls it if polled.
func (p *provider) begin(t *testing.T, store signals.Store, polled bool) *life {
	t.Helper()
	stream, err := ssf.New(ssf.Options{Name: "login", Issuer: p.url, Audiences: []string{"acme"}, Algorithms: []string{"ES256"}, Keys: p,
		PushTokens: []string{pushToken}, Users: ssf.Users{Issuer: "corp"}})
	if err != nil {
		t.Fatal(err)
	}
	l := &life{}
	l.receiver, err = ingest.New(store, ingest.Options{Name: "receiver", Alone: true,
		Sources: []ingest.Source{{Name: "login", Adapter: stream, SETs: true}},
		Events:  ingest.Events{Revoked: func(string, string, revocation.Revocation) { p.revoked.Add(1) }}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = l.receiver.Run(ctx) }) // with a dead store it says so, as it should
	if polled {
		manager, err := ssf.NewManager(ssf.ManagerOptions{Stream: stream, Client: ssf.ClientOptions{Issuer: p.url}, Records: store, Polled: true,
			Poll: ssf.Poll{URL: p.url + "/poll", Every: 5 * time.Millisecond},
			Keep: func(ctx context.Context, raw []byte) error { return l.receiver.KeepSET(ctx, "login", raw) }})
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() { _ = manager.Run(ctx) })
	}
	l.end = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(l.end)
	return l
}

// push delivers by RFC 8935 and returns the status.
func (l *life) push(t *testing.T, set string) int {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/ssf/login", strings.NewReader(set))
	req.Header.Set("Content-Type", "application/secevent+jwt")
	req.Header.Set("Authorization", "Bearer "+pushToken)
	answer := httptest.NewRecorder()
	l.receiver.Handler().ServeHTTP(answer, req)
	return answer.Code
}

// dealt waits until nothing lies in the inbox.
func (p *provider) dealt(t *testing.T) {
	t.Helper()
	until(t, "an empty inbox", func() bool { return p.waiting(t) == 0 })
}

// waiting is how many lie in the inbox.
func (p *provider) waiting(t *testing.T) (lie int) {
	t.Helper()
	if _, err := p.sealed().EachRecord(t.Context(), ingest.KindInbox, func(signals.Record) error { lie++; return nil }); err != nil {
		t.Fatal(err)
	}
	return lie
}

// sidecar follows what has ended as `serve` does, and tells whether a user's login of before counts.
type sidecar struct {
	mu    sync.Mutex
	book  revocation.Book
	names map[string]bool // keys of records that were refused
}

func (p *provider) sidecar(t *testing.T) *sidecar {
	t.Helper()
	s := &sidecar{names: map[string]bool{}}
	f := follow.New(signals.Sealed(p.raw, nil, p.seal.Checker()), follow.Options{Kinds: []string{revocation.Kind}, Keep: []string{revocation.Kind},
		Events: follow.Events{Refused: func(_, key string, _ error) { s.mu.Lock(); defer s.mu.Unlock(); s.names[key] = true }},
		OnChange: func(all []signals.Record) {
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, record := range all {
				if r, err := revocation.Read(record); err == nil {
					s.book.Put(r)
				} else {
					s.names[record.Key] = true
				}
			}
		}})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	<-f.Loaded()
	return s
}

func (s *sidecar) refuses(user string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := time.Now().Add(-time.Minute)
	_, found := s.book.Table().Revoked("corp", user, "", "", before, before)
	return found
}

func (s *sidecar) distrusts(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.names[key]
}
