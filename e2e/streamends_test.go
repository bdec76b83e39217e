package e2e_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
	"github.com/tiergate/tiergate/signals"
)

// ending is one ground that ends while streams live on it.
type ending struct {
	name   string
	host   string
	pair   *devca.Pair
	token  string
	ends   time.Time // zero: the tier's recheckEvery after each stream has begun
	after  int       // the status of whoever comes back; 0: no connection is had any more
	reason string    // and why
}

// tooEarly: Envoy counts in whole milliseconds from the instant at which its loop last looked at the clock, which was before all
// that it does in that turn: thirty handshakes, and whatever the machine does meanwhile.
const tooEarly = 500 * time.Millisecond

// TestStreamsEndWithTheirGrounds: streams of every kind through the real Envoy are cut when the first of their grounds ends,
// not before, whatever the client asks for; and whoever comes back is judged anew.
func TestStreamsEndWithTheirGrounds(t *testing.T) {
	t.Parallel()
	p := layOut(t, example{name: "../e2e/testdata/streams", envoy: "spiffe://acme.example/ns/edge/sa/envoy",
		clients: map[string][]string{"ingress": {"acme.example", "laptops"}}})
	calls := grpc.NewServer()
	testgrpc.RegisterTestServiceServer(calls, parrot{})
	plain := listening(t, &http.Server{Handler: saying("steady"), ReadHeaderTimeout: 5 * time.Second})
	p.write(t, "policy/routes.yaml", []byte(streamRoutes(plain, listening(t, calls))))
	p.load(t)
	p.start(t)
	all := p.endings(t)
	var running sync.WaitGroup
	var figures sync.Map
	for _, e := range all {
		for kind, open := range streamKinds {
			running.Go(func() {
				late, seen, err := e.watch(t, p, open)
				sees := "INTERNAL_ERROR" // of a stream that is reset
				if strings.Contains(kind, "HTTP/1.1") {
					sees = "EOF" // of a connection that is closed
				}
				if err != nil || seen == nil || !strings.Contains(seen.Error(), sees) {
					t.Errorf("%s, %s: the client sees %v; %v", e.name, kind, seen, err)
				}
				figures.Store(e.name+", "+kind, late.Round(time.Millisecond))
			})
		}
	}
	running.Wait()
	figures.Range(func(name, late any) bool { t.Logf("%s: cut %s after the end", name, late); return true })
	for _, e := range all {
		status, body, err := e.ask(t, p)
		if status != e.after || !strings.Contains(body, e.reason) || (err != nil) != (e.after == 0) {
			t.Errorf("%s: back again: %d %s %v, want %d %s", e.name, status, body, err, e.after, e.reason)
		}
	}
}

// streamRoutes are an application of each kind under each tier.
func streamRoutes(plain, calls string) string {
	var out strings.Builder
	document := func(kind, name, spec string, args ...any) {
		fmt.Fprintf(&out, churnDocument, kind, name, fmt.Sprintf(spec, args...))
	}
	document("Upstream", "calls", "endpoints: [%q], plaintext: true, protocol: http2", calls)
	document("Upstream", "plain", "endpoints: [%q], plaintext: true", plain)
	for _, tier := range []string{"machine", "person", "device", "login", "recheck"} {
		audience := "staff"
		if tier == "machine" {
			audience = "automation"
		}
		guards := fmt.Sprintf("hosts: [%s.acme.example], tier: %s, audiences: [%s]", tier, tier, audience)
		document("Route", tier+"-steady", "%s, path: /steady/**, upstream: plain", guards)
		document("Route", tier+"-socket", "%s, path: /socket, upstream: plain, webSocket: true", guards)
		document("Route", tier+"-calls", "%s, path: /grpc.testing.TestService/*, upstream: calls", guards)
	}
	return out.String()
}

// endsIn is how long all have who are to open their streams before the first ground ends, on a machine that may be busy.
const endsIn = 16 * time.Second

// endings has everybody admitted, by something that ends soon.
func (p *played) endings(t *testing.T) []*ending {
	t.Helper()
	laptop := func(name string) *devca.Pair {
		return made(p.authorities["laptops"].Device(name, strings.ToUpper(name), forAnHour))(t)
	}
	token := func(ttl time.Duration, loggedIn time.Time) string {
		return made(p.issuers["corp"].Token("ana", []string{"staff"}, ttl, map[string]any{"auth_time": loggedIn.Unix()}))(t)
	}
	desk, old, loaner := laptop("desk"), laptop("old"), laptop("loaner")
	facts := map[string]any{"platform": "macos", "enrolled_user": "ana", "compromised": false}
	lent := map[string]any{"platform": "macos", "enrolled_user": "ana", "compromised": true}
	p.report(t, "mdm", loaner, 0, lent)
	lasts := func() time.Time { return time.Now().Add(endsIn).Truncate(time.Second) }
	excused, lasting := lasts(), token(forAnHour, time.Now())
	p.write(t, "exception.yaml", fmt.Appendf(nil, churnDocument, "Exception", "loaner", fmt.Sprintf("subjects: [{issuer: corp, "+
		"user: ana}], devices: [%q], routes: [device-steady, device-socket, device-calls], signals: [whole], reason: a loaner, "+
		"approver: cho@acme.example, ticket: IT-1, from: %s, until: %s",
		signals.Alias{Kind: signals.AliasCertificate, Value: loaner.Fingerprint()},
		excused.Add(-time.Hour).UTC().Format(time.RFC3339), excused.UTC().Format(time.RFC3339))))
	if err := os.Rename(p.path("exception.yaml"), p.path("policy", "exception.yaml")); err != nil {
		t.Fatal(err)
	}
	const age = 26 * time.Hour
	reported := time.Now()
	p.report(t, "mdm", old, age-endsIn, facts)
	short := made(p.authorities["acme.example"].SVID("spiffe://acme.example/ns/ci/sa/deployer", endsIn))(t)
	login, expires := lasts(), lasts()
	all := []*ending{
		{"exception", "device", loaner, lasting, excused, http.StatusForbidden, `"reason":"posture"`},
		{"fact", "device", old, lasting, reported.Add(endsIn), http.StatusForbidden, `"reason":"posture"`},
		// A certificate is valid through the last second of its window (RFC 5280, section 4.1.2.5).
		{"certificate", "machine", short, "", short.Certificate.NotAfter.Add(time.Second), 0, ""},
		{"token", "person", desk, token(time.Until(expires)+time.Millisecond, time.Now()), expires, http.StatusUnauthorized,
			`"reason":"identity-doubted"`},
		// The age of a login counts in whole seconds, as auth_time does (OpenID Connect Core 1.0, section 2).
		{"login", "login", desk, token(forAnHour, login.Add(-15*time.Minute)), login.Add(time.Second), http.StatusUnauthorized, `"reason":"step-up"`},
		{"recheckEvery", "recheck", desk, lasting, time.Time{}, http.StatusOK, "steady"},
	}
	for _, e := range all {
		for ctx := soon(t, endsIn-time.Second); ; time.Sleep(10 * time.Millisecond) {
			status, body, err := e.ask(t, p)
			if status == http.StatusOK {
				break
			}
			if ctx.Err() != nil {
				t.Fatalf("%s: never admitted: %d %s %v", e.name, status, body, err)
			}
		}
	}
	return all
}

func (e *ending) config(p *played) *tls.Config {
	return &tls.Config{RootCAs: devca.Pool(p.servers), ServerName: e.host + ".acme.example", MinVersion: tls.VersionTLS12,
		Certificates: []tls.Certificate{e.pair.TLS()}}
}

// recheckSpan is recheckEvery of the tier that has it.
const recheckSpan = 4 * time.Second

// soonEnough is how late Envoy may be: the second that it takes over what is not HTTP/2, and what a busy machine adds. Nothing
// else that could end a stream comes as soon.
const soonEnough = 10 * time.Second

// watch opens a stream, hears something on it and waits until it is cut: how long after the end, and what the client sees.
func (e *ending) watch(t *testing.T, p *played, open streamKind) (late time.Duration, seen, err error) {
	began := time.Now()
	wait, end, err := open(soon(t, time.Minute), e, p)
	if err != nil {
		return 0, nil, fmt.Errorf("it never began: %w", err)
	}
	defer end()
	ends := e.ends
	if ends.IsZero() {
		ends = began.Add(recheckSpan)
	}
	seen = wait()
	late = time.Since(ends)
	if late < -tooEarly || late > soonEnough {
		err = fmt.Errorf("it was cut %s after the end", late)
	}
	return late, seen, err
}
