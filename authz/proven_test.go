package authz

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/authz/token"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/replica"
)

// teller is asked about credentials and remembers what it was asked.
type teller struct {
	proof token.Proof
	err   error
	asked []token.Credential
}

func (f *teller) Judge(c *token.Credential, _ time.Time) (token.Proof, error) {
	asked := *c // its texts end with the message
	asked.Token, asked.Proofs, asked.Vouched = strings.Clone(c.Token), slices.Clone(c.Proofs), slices.Clone(c.Vouched)
	f.asked = append(f.asked, asked)
	return f.proof, f.err
}

// once answers every name alike and counts.
type once struct {
	err   error
	asked int
}

func (o *once) Once(token.Once) error { o.asked++; return o.err }

// known is a Peers of one peer.
type known struct {
	peer      identity.Peer
	forwarded []string
}

func (k *known) Peer(string, string, time.Time) identity.Peer { return k.peer }

func (k *known) Behind(p identity.Peer, forwarded []string, _ time.Time) identity.Peer {
	k.forwarded = slices.Clone(forwarded)
	return p
}

func anaByKey(at time.Time) token.Proof {
	return token.Proof{Once: token.Once{Key: "key:jti", Until: at.Add(time.Minute)}, Proven: identity.Proven{User: &identity.User{
		Issuer: "corp", Name: "ana", Held: identity.HeldByKey, Token: identity.Validity{NotBefore: at.Add(-time.Hour), NotAfter: at.Add(time.Hour)}}}}
}

func byKey(authorization string) *authv3.CheckRequest {
	req := request("", nil)
	http := req.Attributes.Request.Http
	http.Scheme, http.Path = "https", "/x?y=z"
	for _, h := range [][2]string{{"Authorization", authorization}, {"DPoP", "p1"}, {"dpop", "p2"}, {"x-forwarded-client-cert", "f1"},
		{"x-forwarded-client-cert", "f2"}} {
		http.HeaderMap.Headers = append(http.HeaderMap.Headers, &corev3.HeaderValue{Key: h[0], RawValue: []byte(h[1])})
	}
	vouched, _ := structpb.NewStruct(map[string]any{"tiergate/corp": map[string]any{"sub": "ana"}})
	req.Attributes.MetadataContext = &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{metadataVouched: vouched}}
	return req
}

// TestACredentialIsWhole: all that came with a token reaches who judges it, by both readers.
func TestACredentialIsWhole(t *testing.T) {
	t.Parallel()
	f := &teller{err: errors.New("no")}
	peers := &known{peer: identity.Peer{Thumbprint: identity.Thumbprint{7}}}
	s := New(Options{Tokens: f, Peers: peers})
	s.SetPolicy(compiled(t, "app", "/**"))
	ask(t, s, byKey("dpop abc"))
	ask(t, s, byKey("BEARER abc"))
	if len(f.asked) != 4 {
		t.Fatalf("asked %d times", len(f.asked))
	}
	for i, c := range f.asked {
		want := []token.Scheme{token.SchemeDPoP, token.SchemeDPoP, token.SchemeBearer, token.SchemeBearer}[i]
		vouched := &structpb.Struct{}
		if err := proto.Unmarshal(c.Vouched, vouched); err != nil {
			t.Fatal(err)
		}
		if c.Scheme != want || c.Token != "abc" || c.Certificate != (identity.Thumbprint{7}) || !slices.Equal(c.Proofs, []string{"p1", "p2"}) ||
			c.Target != (token.Target{Method: "GET", Scheme: "https", Host: "app.example", Path: "/x?y=z"}) ||
			vouched.GetFields()["tiergate/corp"].GetStructValue().GetFields()["sub"].GetStringValue() != "ana" {
			t.Errorf("%d: %+v", i, c)
		}
	}
	if !slices.Equal(peers.forwarded, []string{"f1", "f2"}) {
		t.Errorf("forwarded %q", peers.forwarded)
	}
}

// TestAProofThatCountsOnce: who cannot know answers 503, a replay 401, and another doubt beside either is a doubt.
func TestAProofThatCountsOnce(t *testing.T) {
	t.Parallel()
	down := errors.New("the store is down")
	doubted := identity.Peer{Doubts: []identity.Doubt{{Code: identity.DoubtCertificate, Detail: "odd"}}}
	for name, c := range map[string]struct {
		replays Replays
		peer    identity.Peer
		want    string
		detail  string
	}{
		"new":                  {&once{}, identity.Peer{}, "OK allowed", ""},
		"replayed":             {&once{err: ErrReplayed}, identity.Peer{}, "Unauthenticated identity-doubted", "used before"},
		"the store is down":    {&once{err: down}, identity.Peer{}, "Unavailable identity-unchecked", "the store is down"},
		"nothing remembers":    {nil, identity.Peer{}, "Unavailable identity-unchecked", "nothing here remembers"},
		"down, and a doubt":    {&once{err: down}, doubted, "Unauthenticated identity-doubted", "odd"},
		"new, and a doubt":     {&once{}, doubted, "Unauthenticated identity-doubted", "odd"},
		"down, workloads vary": {&once{err: down}, identity.Peer{Workload: "spiffe://acme.example/a"}, "Unauthenticated identity-doubted", "workload"},
	} {
		var last Decision
		f := &teller{proof: anaByKey(time.Now())}
		if c.peer.Workload != "" {
			f.proof.Workload = "spiffe://acme.example/b"
		}
		s := New(Options{Tokens: f, Peers: &known{peer: c.peer}, Replays: c.replays, Events: Events{Decided: func(d *Decision) { last = *d }}})
		s.SetPolicy(compiled(t, "app", "/**"))
		code, reason := ask(t, s, byKey("DPoP abc"))
		if got := code.String() + " " + reason; got != c.want || !strings.Contains(last.Verdict.Detail, c.detail) {
			t.Errorf("%s: %s (%s)", name, got, last.Verdict.Detail)
		}
		if allowed := reason == "allowed"; (last.Subject.User != nil) != (allowed || name == "new, and a doubt") {
			t.Errorf("%s: the user is %v", name, last.Subject.User)
		}
		if o, ok := c.replays.(*once); ok && o.asked != 2 { // once with each reader
			t.Errorf("%s: asked %d times for two requests", name, o.asked)
		}
	}
	replays := &once{}
	f := &teller{proof: anaByKey(time.Now())}
	f.proof.Once = token.Once{}
	s := New(Options{Tokens: f, Replays: replays})
	s.SetPolicy(compiled(t, "app", "/**"))
	if _, reason := ask(t, s, byKey("Bearer abc")); reason != "allowed" || replays.asked != 0 {
		t.Errorf("a token that may come again: %s, asked %d times", reason, replays.asked)
	}
	f.err = errors.New("no")
	f.proof = token.Proof{}
	if _, reason := ask(t, s, byKey("DPoP abc")); reason != "identity-doubted" || replays.asked != 0 {
		t.Errorf("a token that is not believed: %s, asked %d times", reason, replays.asked)
	}
}

// TestAReplayIsRefusedOverTheWholeWay: two requests with one proof, and memory and store as they are in service.
func TestAReplayIsRefusedOverTheWholeWay(t *testing.T) {
	t.Parallel()
	s := New(Options{Tokens: &teller{proof: anaByKey(time.Now())},
		Replays: NewReplays(openBolt(t), ReplayOptions{Within: 10 * time.Second})})
	s.SetPolicy(compiled(t, "app", "/**"))
	message := marshal(t, byKey("DPoP abc"))
	first, second := answerTo(t, s, message), answerTo(t, s, message)
	if reasonOf(first) != "allowed" || reasonOf(second) != "identity-doubted" {
		t.Errorf("%s, then %s", reasonOf(first), reasonOf(second))
	}
	want := `DPoP realm="tiergate", error="invalid_token", algs="` + token.ProofAlgorithms() + `"`
	if got := challengeOf(second); got != want {
		t.Errorf("challenged by %s, want %s", got, want)
	}
}

func challengeOf(response *authv3.CheckResponse) string {
	for _, h := range response.GetDeniedResponse().GetHeaders() {
		if h.GetHeader().GetKey() == "www-authenticate" {
			return h.GetHeader().GetValue()
		}
	}
	return ""
}

// TestChallengesComeInTheSchemeOfTheToken, also of one that cannot be read.
func TestChallengesComeInTheSchemeOfTheToken(t *testing.T) {
	t.Parallel()
	s := New(Options{Tokens: &teller{err: errors.New("no")}})
	s.SetPolicy(compiled(t, "app", "/**"))
	for authorization, want := range map[string]string{
		"DPoP abc": "DPoP", "dpop abc": "DPoP", "DPoP ": "DPoP", "DPoP a b": "DPoP", "Bearer abc": "Bearer", "Basic abc": "Bearer",
		"DPoP a,Bearer b": "DPoP", "": "Bearer",
	} {
		scheme, rest, _ := strings.Cut(challengeOf(answerTo(t, s, marshal(t, byKey(authorization)))), " ")
		if scheme != want || strings.Contains(rest, `algs="`) != (want == "DPoP") || strings.Contains(token.ProofAlgorithms(), "HS") {
			t.Errorf("%q: %s %s", authorization, scheme, rest)
		}
	}
}

// TestTwoNamesOfADevice: what certificate and token call it must be one device, for all that is known.
func TestTwoNamesOfADevice(t *testing.T) {
	t.Parallel()
	name := func(v string) signals.Alias { return signals.Alias{Kind: signals.AliasSerial, Value: v} }
	d1, d2 := &signals.Posture{Device: "d1", Revision: 1}, &signals.Posture{Device: "d2", Revision: 1}
	devices := &faultyShelf{byAlias: map[signals.Alias]*signals.Posture{name("d1"): d1, name("also d1"): d1, name("d2"): d2},
		faults: map[signals.Alias]error{name("contested"): replica.ErrContested, name("offline"): replica.ErrOffline}}
	s := New(Options{Devices: devices})
	s.SetPolicy(compiled(t, "app", "/**"))
	for _, c := range []struct {
		shown, claimed string
		gap            policy.Gap
		doubt          bool
		device         signals.DeviceID
	}{
		{"d1", "also d1", policy.GapNone, false, "d1"},
		{"also d1", "d1", policy.GapNone, false, "d1"},
		{"d1", "d2", policy.GapNone, true, ""},
		{"d2", "also d1", policy.GapNone, true, ""},
		{"d1", "stranger", policy.GapNone, true, ""},
		{"stranger", "d1", policy.GapNone, true, ""},
		{"stranger", "nobody", policy.GapNone, true, ""},
		{"stranger", "offline", policy.GapNone, true, ""}, // that it is not reported is known
		{"contested", "stranger", policy.GapNone, true, ""},
		{"d1", "offline", policy.GapUnreachable, false, ""},
		{"offline", "d1", policy.GapUnreachable, false, ""},
		{"d1", "contested", policy.GapContested, false, ""},
		{"contested", "d1", policy.GapContested, false, ""},
		{"contested", "offline", policy.GapContested, false, ""},
		{"offline", "contested", policy.GapContested, false, ""},
	} {
		subject := identity.Subject{Device: name(c.shown), Claimed: name(c.claimed)}
		device := s.reading(s.current.Load(), &subject)
		id, _, _ := device.Version()
		if device.Gap != c.gap || id != c.device || (len(subject.Doubts) == 1) != c.doubt {
			t.Errorf("%s and %s: gap %q, device %q, doubts %v", c.shown, c.claimed, device.Gap, id, subject.Doubts)
		}
		if c.doubt && (subject.Doubts[0].Code != identity.DoubtDevice || !strings.Contains(subject.Doubts[0].Detail, `"serial:`+c.shown+`"`) ||
			!strings.Contains(subject.Doubts[0].Detail, `"serial:`+c.claimed+`"`)) {
			t.Errorf("%s and %s: %v", c.shown, c.claimed, subject.Doubts)
		}
	}
}

// faultyShelf is a shelf on which some names cannot be looked up.
type faultyShelf struct {
	byAlias map[signals.Alias]*signals.Posture
	faults  map[signals.Alias]error
}

func (f *faultyShelf) Lookup(alias signals.Alias) (replica.Reading, error) {
	return (&shelf{byAlias: f.byAlias, err: f.faults[alias]}).Lookup(alias)
}

func (f *faultyShelf) Each(yield func(*signals.Posture) bool) {
	(&shelf{byAlias: f.byAlias}).Each(yield)
}

// TestAContradictionIsRefused: where the tier asks for no device, too.
func TestAContradictionIsRefused(t *testing.T) {
	t.Parallel()
	serial := func(v string) signals.Alias { return signals.Alias{Kind: signals.AliasSerial, Value: v} }
	devices := &shelf{byAlias: map[signals.Alias]*signals.Posture{serial("A"): {Device: "d1", Revision: 1}, serial("B"): {Device: "d2", Revision: 1}}}
	f := &teller{proof: anaByKey(time.Now())}
	f.proof.User.Device = serial("B")
	at := time.Now()
	peer := identity.Peer{Device: serial("A"), Certificate: identity.Validity{NotBefore: at.Add(-time.Hour), NotAfter: at.Add(time.Hour)}}
	s := New(Options{Tokens: f, Peers: &known{peer: peer}, Replays: &once{}, Devices: devices})
	s.SetPolicy(compiled(t, "app", "/**"))
	if code, reason := ask(t, s, byKey("DPoP abc")); reason != "identity-doubted" {
		t.Errorf("%s %s", code, reason)
	}
	devices.byAlias[serial("B")] = devices.byAlias[serial("A")]
	if code, reason := ask(t, s, byKey("DPoP abc")); reason != "allowed" {
		t.Errorf("two names of one device: %s %s", code, reason)
	}
}
