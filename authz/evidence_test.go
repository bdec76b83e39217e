package authz

import (
	"bytes"
	"context"
	"encoding/base64"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/tiergate/tiergate/authz/evidence"
	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
)

// recorded runs a recorder; stop ends it and returns what it wrote.
func recorded(t *testing.T) (recorder *evidence.Recorder, stop func() []byte) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "decisions.jsonl")
	recorder, err := evidence.New(evidence.Options{File: file, Within: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- recorder.Run(ctx) }()
	t.Cleanup(cancel)
	return recorder, func() []byte {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
}

// replayed judges a file again; every record must come to what was recorded. It returns the reasons, by id.
func replayed(t *testing.T, p *policy.Policy, file []byte) map[string]policy.Reason {
	t.Helper()
	reasons := map[string]policy.Reason{}
	for r, err := range evidence.Read(bytes.NewReader(file)) {
		if err != nil {
			t.Error(err)
			continue
		}
		verdict, err := evidence.Replay(p, &r)
		if differences := evidence.Differences(r.Verdict, verdict); err != nil || len(differences) > 0 {
			t.Errorf("%s: %q (%v)", r.ID, differences, err)
		}
		reasons[r.ID] = r.Verdict.Reason
	}
	return reasons
}

// required is a policy whose only tier wants its decisions on record.
func required(t *testing.T) *policy.Policy {
	t.Helper()
	spec := compiled(t, "app", "/**").Spec()
	spec.Tiers[0].Evidence = policy.EvidenceRequired
	p, faults := policy.New(spec, policy.World{})
	if faults != nil {
		t.Fatal(faults)
	}
	return p
}

// TestNoSecretOfACallIsRecorded plants a secret wherever a message can carry one, in all its spellings, and where a decision
// goes wrong because of it.
func TestNoSecretOfACallIsRecorded(t *testing.T) {
	t.Parallel()
	const secret = "hunter2"
	recorder, stop := recorded(t)
	c := newPeople(t, "ana")
	proxies, err := identity.ParseSPIFFEPattern("spiffe://acme.example/ns/people/*")
	if err != nil {
		t.Fatal(err)
	}
	authority, err := identity.NewAuthority(identity.AuthorityOptions{TrustDomains: map[string][]byte{"acme.example": c.ca.PEM()},
		Forwarders: []identity.SPIFFEPattern{proxies}}) // so that what they say of others is read
	if err != nil {
		t.Fatal(err)
	}
	s := New(Options{Peers: authority, Tokens: c.verifier(t), Evidence: recorder})
	s.SetPolicy(compiled(t, "app", "/**"))
	bound, err := c.issuer.Token("ana", nil, time.Hour, map[string]any{"cnf": map[string]string{"jkt": strings.Repeat("A", 43)}})
	if err != nil {
		t.Fatal(err)
	}
	plant, spellings := plants(secret, bound)
	for _, p := range plant {
		request := &authv3.CheckRequest{}
		if err := proto.Unmarshal(c.messages["ana"], request); err != nil {
			t.Fatal(err)
		}
		p(request.Attributes)
		answerTo(t, s, marshal(t, request))
	}
	answerTo(t, s, []byte(secret)) // no message at all
	text := stop()
	for _, spelling := range spellings {
		if bytes.Contains(text, []byte(spelling)) {
			t.Errorf("%q is in the record:\n%s", spelling, text)
		}
	}
	if reasons := replayed(t, s.current.Load().policy, text); len(reasons) != len(plant)+1 {
		t.Errorf("%d records of %d calls", len(reasons), len(plant)+1)
	}
}

// plants put a secret into a message each, whose sender has a token that is bound to a key, and the spellings that it has
// there.
func plants(secret, bound string) (plant []func(*authv3.AttributeContext), spellings []string) {
	encoded := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"` + secret + `","sub":"` + secret + `"}`))
	header := func(name, value string) func(*authv3.AttributeContext) {
		return func(a *authv3.AttributeContext) {
			m := a.Request.Http.HeaderMap
			m.Headers = append(m.Headers, &corev3.HeaderValue{Key: name, RawValue: []byte(value)})
		}
	}
	secretKey := base64.RawURLEncoding.EncodeToString([]byte(`{"typ":"dpop+jwt","alg":"ES256","jwk":{"kty":"EC","crv":"P-256","x":"` +
		secret + `","y":"` + secret + `","d":"` + secret + `"}}`))
	token := func(value string) func(*authv3.AttributeContext) { // in the place of ana's
		return func(a *authv3.AttributeContext) {
			a.Request.Http.HeaderMap.Headers = nil
			header("authorization", value)(a)
		}
	}
	byProof := func(proof string) func(*authv3.AttributeContext) {
		return func(a *authv3.AttributeContext) {
			token("DPoP " + bound)(a)
			header("dpop", proof)(a)
		}
	}
	plant = []func(*authv3.AttributeContext){
		header("cookie", "session="+secret), header("authorization", "Bearer "+secret), token("Bearer " + secret), token("Basic " + secret),
		token("Bearer " + encoded + "." + encoded + "." + secret + "A"), token("Bearer " + bound + ",Bearer " + secret), token("DPoP " + secret),
		token("\xff" + secret), token("DPoP " + bound), header("x-api-key", secret), header(secret, secret), header("referer", "https://x/?"+secret),
		header(":path", "/x?"+secret), header("x-forwarded-client-cert", secret),
		header("x-forwarded-client-cert", `By=spiffe://acme.example/ns/people/ana;Cert="`+secret+`"`),
		header("x-forwarded-client-cert", `By=spiffe://acme.example/ns/people/ana;Cert="-----BEGIN%20`+secret+`";Subject="CN=`+secret+`"`),
		byProof(encoded + "." + encoded + "." + secret + "A"), byProof(secret), byProof("\xff" + secret), byProof(secretKey + "." + encoded + "." + secret + "A"),
		header("dpop", secret),
		func(a *authv3.AttributeContext) {
			said := &structpb.Struct{Fields: map[string]*structpb.Value{secret: structpb.NewStringValue(secret)}}
			a.MetadataContext = &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{metadataVouched: said}}
		},
		func(a *authv3.AttributeContext) { a.Request.Http.Path = "/x?token=" + secret },
		func(a *authv3.AttributeContext) { a.Request.Http.Path = "/a//b?" + secret + "?" + secret },
		func(a *authv3.AttributeContext) { a.Request.Http.Path = "?" + secret },
		func(a *authv3.AttributeContext) { a.Request.Http.Query = secret },
		func(a *authv3.AttributeContext) { a.Request.Http.Fragment = secret },
		func(a *authv3.AttributeContext) { a.Request.Http.Body = secret },
		func(a *authv3.AttributeContext) { a.Request.Http.RawBody = []byte(secret) },
		func(a *authv3.AttributeContext) { a.Request.Http.Host = "ana:" + secret + "@app.example" },
		func(a *authv3.AttributeContext) { a.Source.Certificate = secret },
		func(a *authv3.AttributeContext) { a.Source.Certificate = url.PathEscape("-----BEGIN " + secret) },
		func(a *authv3.AttributeContext) { a.Source.Certificate += secret },
		func(a *authv3.AttributeContext) { a.Source.Labels = map[string]string{secret: secret} },
		func(a *authv3.AttributeContext) {
			a.ContextExtensions = map[string]string{secret: secret, extensionTable: secret}
		},
	}
	return plant, []string{secret, encoded, secretKey, bound, "BEGIN", "Bearer "}
}

// TestEveryAnswerIsRecorded: also those without a policy, of messages that cannot be read, and of defects.
func TestEveryAnswerIsRecorded(t *testing.T) {
	t.Parallel()
	recorder, stop := recorded(t)
	var told []string
	s := New(Options{Tokens: onePerson{}, Evidence: recorder, Events: Events{
		Decided:  func(d *Decision) { told = append(told, d.ID) },
		Panicked: func(id string, _ any, _ []byte) { told = append(told, id) },
	}})
	ask(t, s, request("good", nil))
	p := required(t)
	s.SetPolicy(p)
	for _, token := range []string{"good", "bad", "panic", ""} {
		ask(t, s, request(token, nil))
	}
	ask(t, s, &authv3.CheckRequest{})
	reasons := replayed(t, p, stop())
	counts := map[policy.Reason]int{}
	for _, id := range told {
		counts[reasons[id]]++
	}
	for _, reason := range []policy.Reason{policy.ReasonNoPolicy, policy.ReasonAllowed, policy.ReasonIdentityDoubted,
		policy.ReasonInternal, policy.ReasonIdentityMissing, policy.ReasonMalformed} {
		if counts[reason] != 2 { // once with each reader
			t.Errorf("%s is recorded %d times: %v", reason, counts[reason], counts)
		}
	}
}

// TestWhatCannotBeRecordedIsRefused: 503, where the tier wants the record; elsewhere the answer stands.
func TestWhatCannotBeRecordedIsRefused(t *testing.T) {
	t.Parallel()
	ended, stop := recorded(t)
	stop()
	for name, recorder := range map[string]*evidence.Recorder{"no recorder": nil, "one that has ended": ended} {
		s := New(Options{Tokens: onePerson{}, Evidence: recorder})
		s.SetPolicy(compiled(t, "app", "/**"))
		if _, reason := ask(t, s, request("good", nil)); reason != "allowed" {
			t.Errorf("%s: %s", name, reason)
		}
		s.SetPolicy(required(t))
		if code, reason := ask(t, s, request("good", nil)); code.String() != "Unavailable" || reason != "evidence" {
			t.Errorf("%s: %s %s", name, code, reason)
		}
	}
	if s := ended.Stats(); s.Dropped != s.Offered {
		t.Errorf("%+v", s)
	}
}
