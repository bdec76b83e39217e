package authz

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/codes"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/jwks"
	"github.com/tiergate/tiergate/authz/token"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
)

// fleet is a company whose laptops and workloads have certificates, and whose issuer binds tokens to them (RFC 8705).
type fleet struct {
	devices, workloads, strangers *devca.CA
	issuer                        *devca.Issuer
	told                          chan *Decision
}

func newFleet(t testing.TB) *fleet {
	t.Helper()
	f := &fleet{told: make(chan *Decision, 1)}
	for name, ca := range map[string]**devca.CA{"devices": &f.devices, "workloads": &f.workloads,
		"strangers": &f.strangers} {
		made, err := devca.New(name)
		if err != nil {
			t.Fatal(err)
		}
		*ca = made
	}
	var err error
	if f.issuer, err = devca.NewIssuer("https://login.acme.example", "apps"); err != nil {
		t.Fatal(err)
	}
	return f
}

// server knows the fleet and tells of every decision.
func (f *fleet) server(t testing.TB, required bool) *Server {
	t.Helper()
	authority, err := identity.NewAuthority(identity.AuthorityOptions{Devices: f.devices.PEM(),
		TrustDomains: map[string][]byte{"acme.example": f.workloads.PEM()}})
	if err != nil {
		t.Fatal(err)
	}
	set, err := f.issuer.JWKS()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := jwks.Parse(set)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := token.New([]token.Issuer{{Name: "corp", Issuer: f.issuer.Name(), Audiences: []string{"apps"},
		Algorithms: []string{"ES256"}, Keys: keys, SenderConstrained: required}})
	if err != nil {
		t.Fatal(err)
	}
	s := New(Options{Peers: authority, Tokens: verifier, Events: Events{Decided: func(d *Decision) {
		kept := *d // a Decision ends with the call
		select {
		case f.told <- &kept:
		default:
		}
	}}})
	s.SetPolicy(compiled(t, "app", "/**"))
	return s
}

func (f *fleet) pair(t testing.TB, ca *devca.CA, name string, ttl time.Duration) *devca.Pair {
	t.Helper()
	pair, err := ca.Device(name, strings.ToUpper(name), ttl)
	if err == nil && ca == f.workloads {
		pair, err = ca.SVID("spiffe://acme.example/ns/people/"+name, ttl)
	}
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// token is ana's, bound to a certificate; nil: a bearer token.
func (f *fleet) token(t testing.TB, holder *devca.Pair) string {
	t.Helper()
	claims := map[string]any{}
	if holder != nil {
		digest := sha256.Sum256(holder.Certificate.Raw)
		claims["cnf"] = map[string]string{"x5t#S256": base64.RawURLEncoding.EncodeToString(digest[:])}
	}
	raw, err := f.issuer.Token("ana", nil, time.Hour, claims)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// from is a request as Envoy tells of it: the certificate that the peer showed (nil: none) and a token.
func from(shown *devca.Pair, raw string) *authv3.CheckRequest {
	req := request(raw, nil)
	if shown != nil {
		req.Attributes.Source = &authv3.AttributeContext_Peer{Certificate: strings.NewReplacer("\n", "%0A", " ", "%20", "+",
			"%2B",
			"/", "%2F", "=", "%3D").Replace(string(shown.CertificatePEM()))}
	}
	return req
}

// TestAStolenTokenOnAnotherDevice: the owner is admitted, whoever stole the token is not, whoever of them comes first
// and however often, with both readers (ask uses both), and no doubt is cast on the certificate.
func TestAStolenTokenOnAnotherDevice(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	ana, thief := f.pair(t, f.devices, "ana", time.Hour), f.pair(t, f.devices, "thief", time.Hour)
	workload := f.pair(t, f.workloads, "deployer", time.Hour)
	bound, ofWorkload, bearer := f.token(t, ana), f.token(t, workload), f.token(t, nil)
	type step struct {
		shown  *devca.Pair
		raw    string
		reason string
	}
	const ok, no = "allowed", "identity-doubted"
	for name, c := range map[string]struct {
		required bool
		steps    []step
	}{
		"the owner first": {false, []step{{ana, bound, ok}, {thief, bound, no}, {ana, bound, ok}, {nil, bound, no}, {ana,
			bound, ok}}},
		"the thief first":      {false, []step{{thief, bound, no}, {ana, bound, ok}, {thief, bound, no}}},
		"nobody first":         {true, []step{{nil, bound, no}, {nil, bound, no}, {ana, bound, ok}}},
		"an SVID":              {true, []step{{workload, ofWorkload, ok}, {ana, ofWorkload, no}, {workload, bound, no}}},
		"bearer, optional":     {false, []step{{ana, bearer, ok}, {thief, bearer, ok}, {nil, bearer, ok}}},
		"bearer, required":     {true, []step{{ana, bearer, no}, {nil, bearer, no}, {ana, bound, ok}, {ana, bearer, no}}},
		"no token is no token": {true, []step{{ana, "", "identity-missing"}}},
	} {
		s := f.server(t, c.required)
		for i, step := range c.steps {
			for range 2 {
				code, reason := ask(t, s, from(step.shown, step.raw))
				if reason != step.reason || (code == codes.OK) != (step.reason == ok) {
					t.Errorf("%s, step %d: %s %s, want %s", name, i, code, reason, step.reason)
				}
				d := <-f.told
				if step.reason == no && (len(d.Subject.Doubts) != 1 || d.Subject.Doubts[0].Code != identity.DoubtToken) {
					t.Errorf("%s, step %d: doubts %v", name, i, d.Subject.Doubts)
				}
				if step.reason != ok && d.Subject.User != nil {
					t.Errorf("%s, step %d: still taken for %v", name, i, d.Subject.User)
				}
			}
		}
	}
}

// TestABindingNeedsACertificateThatIsBelieved: to show the right certificate is not enough where it is not to be
// believed.
func TestABindingNeedsACertificateThatIsBelieved(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	ana, good := f.pair(t, f.devices, "ana", time.Hour), f.server(t, false)
	for name, shown := range map[string]*devca.Pair{
		"of a CA that nobody trusts": f.pair(t, f.strangers, "ana", time.Hour),
		"that has expired":           f.pair(t, f.devices, "ana", -time.Hour),
	} {
		code, reason := ask(t, good, from(shown, f.token(t, shown)))
		d := <-f.told
		if code == codes.OK || reason != "identity-doubted" || len(d.Subject.Doubts) != 2 {
			t.Errorf("%s: %s %s %v", name, code, reason, d.Subject.Doubts)
		}
	}
	odd := from(ana, f.token(t, ana))
	odd.Attributes.Source.Principal = "spiffe://acme.example/ns/people/ana"
	if code, reason := ask(t, good, odd); code == codes.OK || reason != "identity-doubted" {
		t.Errorf("Envoy's word and the certificate differ: %s %s", code, reason)
	}
	blind := New(Options{Tokens: good.opts.Tokens})
	blind.SetPolicy(compiled(t, "app", "/**"))
	if code, reason := ask(t, blind, from(ana, f.token(t, ana))); code == codes.OK || reason != "identity-doubted" {
		t.Errorf("without an authority: %s %s", code, reason)
	}
	headers := from(nil, f.token(t, ana))
	for _, name := range []string{"x-forwarded-client-cert", "client-cert", "x-client-cert", "ssl-client-cert"} {
		m := headers.Attributes.Request.Http.HeaderMap
		m.Headers = append(m.Headers, &corev3.HeaderValue{Key: name, RawValue: ana.CertificatePEM()})
	}
	if code, reason := ask(t, good, headers); code == codes.OK || reason != "identity-doubted" {
		t.Errorf("a certificate that only a header tells of: %s %s", code, reason)
	}
}

// TestOwnersAndThievesAtOnce: many at one server with one token; the race detector watches.
func TestOwnersAndThievesAtOnce(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	s := f.server(t, true)
	pairs := []*devca.Pair{f.pair(t, f.devices, "ana", time.Hour), f.pair(t, f.devices, "ben", time.Hour), nil}
	messages := map[[2]int][]byte{}
	for holder := range 2 {
		raw := f.token(t, pairs[holder])
		for shown, pair := range pairs {
			messages[[2]int{holder, shown}] = marshal(t, from(pair, raw))
		}
	}
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			for i := range 300 {
				holder, shown := (worker+i)%2, (worker/2+i)%3
				response := answerTo(t, s, messages[[2]int{holder, shown}])
				if allowed := response.GetStatus().GetCode() == int32(codes.OK); allowed != (holder == shown) {
					t.Errorf("the token of %d from %d: allowed %t", holder, shown, allowed)
				}
			}
		})
	}
	group.Wait()
}
