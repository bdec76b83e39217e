package authz

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/authz/token"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/replica"
)

// onePerson believes one token.
type onePerson struct{}

func (onePerson) Judge(c *token.Credential, at time.Time) (token.Proof, error) {
	switch c.Token {
	case "good":
		return token.Proof{Proven: identity.Proven{User: &identity.User{Issuer: "corp", Name: "ana",
			Token: identity.Validity{NotBefore: at.Add(-1), NotAfter: at.Add(time.Hour)}}}}, nil
	case "panic":
		panic("a defect")
	}
	return token.Proof{}, errors.New("the signature does not verify")
}

// compiled is a policy of one route for one person, at a path and on an upstream of the test's choice.
func compiled(t testing.TB, route, path string) *policy.Policy {
	t.Helper()
	meta := func(name string) policy.Meta { return policy.Meta{Name: name, Owner: "iam"} }
	p, faults := policy.New(policy.Spec{
		Governance: []policy.Governance{{Meta: policy.Meta{Name: "g"}, Accountable: policy.Contact{Name: "a", Contact: "b"},
			Teams: map[string]policy.Team{"iam": {Contact: "iam@acme.example"}}}},
		Tiers:     []policy.Tier{{Meta: meta("person"), Identify: policy.IdentifyUser}},
		Audiences: []policy.Audience{{Meta: meta("all"), Members: []policy.Member{{Issuer: "corp"}}}},
		Upstreams: []policy.Upstream{{Meta: meta("app"), Endpoints: []string{"127.0.0.1:1"}, Plaintext: true}},
		Routes: []policy.Route{{Meta: meta(route), Hosts: []string{"app.example"}, Path: path, Tier: "person",
			Audiences: []string{"all"}, Upstream: "app"}},
	}, policy.World{})
	if faults != nil {
		t.Fatal(faults)
	}
	return p
}

func request(token string, extensions map[string]string) *authv3.CheckRequest {
	headers := []*corev3.HeaderValue{{Key: ":path", RawValue: []byte("/x")}}
	if token != "" {
		headers = append(headers, &corev3.HeaderValue{Key: "Authorization", RawValue: []byte("Bearer " + token)})
	}
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		ContextExtensions: extensions,
		Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
			Method: "GET", Host: "app.example", Path: "/x", HeaderMap: &corev3.HeaderMap{Headers: headers},
		}},
	}}
}

// ask returns the code and reason of an answer, which must not depend on the reader.
func ask(t *testing.T, s *Server, req *authv3.CheckRequest) (codes.Code, string) {
	t.Helper()
	message, err := proto.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	told := map[bool]string{}
	var response *authv3.CheckResponse
	for _, stock := range []bool{true, false} {
		s.opts.StockCodec = stock
		response = answerTo(t, s, message)
		told[stock] = codes.Code(response.GetStatus().GetCode()).String() + " " + reasonOf(response)
	}
	if told[true] != told[false] {
		t.Errorf("our reader: %s; protobuf's: %s", told[false], told[true])
	}
	return codes.Code(response.GetStatus().GetCode()), reasonOf(response)
}

func TestCheckAlwaysAnswers(t *testing.T) {
	t.Parallel()
	s := New(Options{Tokens: onePerson{}})
	if code, reason := ask(t, s, request("good", nil)); code != codes.Unavailable || reason != "no-policy" {
		t.Errorf("before a policy: %s %s", code, reason)
	}
	s.SetPolicy(compiled(t, "app", "/**"))
	bomb := request("good", nil)
	for range maxHeaders {
		m := bomb.Attributes.Request.Http.HeaderMap
		m.Headers = append(m.Headers, &corev3.HeaderValue{Key: "x", Value: "y"})
	}
	long := request("good", nil)
	long.Attributes.Request.Http.HeaderMap.Headers[0].RawValue = []byte(strings.Repeat("a", maxHeaderBytes))
	twice := request("good", nil)
	m := twice.Attributes.Request.Http.HeaderMap
	m.Headers = append(m.Headers, m.Headers[1])
	joined := request("", nil)
	joined.Attributes.Request.Http.HeaderMap = nil
	joined.Attributes.Request.Http.Headers = map[string]string{"authorization": "Bearer good,Bearer good"}
	plain := request("", nil)
	plain.Attributes.Request.Http.HeaderMap = nil
	plain.Attributes.Request.Http.Headers = map[string]string{"authorization": "Bearer good"}
	noPath := request("good", nil)
	noPath.Attributes.Request.Http.Path = ""
	for name, c := range map[string]struct {
		req    *authv3.CheckRequest
		code   codes.Code
		reason string
	}{
		"allowed":                  {request("good", nil), codes.OK, "allowed"},
		"headers as a map":         {plain, codes.OK, "allowed"},
		"nil":                      {nil, codes.InvalidArgument, "malformed"},
		"empty":                    {&authv3.CheckRequest{}, codes.InvalidArgument, "malformed"},
		"no HTTP":                  {&authv3.CheckRequest{Attributes: &authv3.AttributeContext{}}, codes.InvalidArgument, "malformed"},
		"too many headers":         {bomb, codes.InvalidArgument, "malformed"},
		"too large headers":        {long, codes.InvalidArgument, "malformed"},
		"no path":                  {noPath, codes.InvalidArgument, "path"},
		"no token":                 {request("", nil), codes.Unauthenticated, "identity-missing"},
		"bad token":                {request("bad", nil), codes.Unauthenticated, "identity-doubted"},
		"two tokens":               {twice, codes.Unauthenticated, "identity-doubted"},
		"two tokens, comma-joined": {joined, codes.Unauthenticated, "identity-doubted"},
		"a defect of ours":         {request("panic", nil), codes.Unavailable, "internal"},
	} {
		if code, reason := ask(t, s, c.req); code != c.code || reason != c.reason {
			t.Errorf("%s: %s %s, want %s %s", name, code, reason, c.code, c.reason)
		}
	}
}

func TestDefectsAreTold(t *testing.T) {
	t.Parallel()
	told := false
	s := New(Options{Tokens: onePerson{}, Events: Events{Panicked: func(_ string, value any, stack []byte) {
		told = value == "a defect" && len(stack) > 0
	}}})
	s.SetPolicy(compiled(t, "app", "/**"))
	ask(t, s, request("panic", nil))
	if !told {
		t.Error("a panic was swallowed")
	}
}

// TestOlderTablesAreHeldForAWhile: while Envoy may still ask with the table before, its match is checked there.
func TestOlderTablesAreHeldForAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Tokens: onePerson{}})
		before, after := compiled(t, "old-name", "/**"), compiled(t, "new-name", "/**")
		s.SetPolicy(before)
		asBefore := request("good", map[string]string{extensionRoute: "old-name", extensionTable: before.Table().Digest()})
		asAfter := request("good", map[string]string{extensionRoute: "new-name", extensionTable: after.Table().Digest()})
		lie := request("good", map[string]string{extensionRoute: "other", extensionTable: before.Table().Digest()})
		if code, _ := ask(t, s, asBefore); code != codes.OK {
			t.Fatal("the current table")
		}
		s.SetPolicy(after)
		for range 2 { // a reload of the same text must not end the life of the table before
			if code, reason := ask(t, s, asBefore); code != codes.OK {
				t.Errorf("just replaced: %s", reason)
			}
			if code, _ := ask(t, s, asAfter); code != codes.OK {
				t.Error("the new table")
			}
			if _, reason := ask(t, s, lie); reason != "route-mismatch" {
				t.Errorf("a route that the older table does not choose: %s", reason)
			}
			s.SetPolicy(after)
		}
		time.Sleep(tableLife)
		if _, reason := ask(t, s, asBefore); reason != "route-mismatch" {
			t.Errorf("after %v: %s", tableLife, reason)
		}
		if code, _ := ask(t, s, asAfter); code != codes.OK {
			t.Error("the current table never ends")
		}
	})
}

// retargeted is a policy whose route leads somewhere, for the members of one audience.
func retargeted(t *testing.T, upstream, group string) *policy.Policy {
	t.Helper()
	spec := compiled(t, "app", "/**").Spec()
	spec.Upstreams[0].Meta.Name, spec.Routes[0].Upstream = upstream, upstream
	spec.Audiences[0].Members[0].Group = group
	p, faults := policy.New(spec, policy.World{})
	if faults != nil {
		t.Fatal(faults)
	}
	return p
}

// TestChangeOfUpstreamInTransit: a request on its way to the upstream before is served there for the moment that Envoy needs,
// if both policies allow it, and then no more.
func TestChangeOfUpstreamInTransit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before, after, want string // groups, and the reason of a refusal
	}{
		"the same audience":                   {"", "", ""},
		"an audience that lets nobody in now": {"", "nobody", "audience"},
		"an audience that let nobody in":      {"nobody", "", "route-mismatch"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				led := ""
				s := New(Options{Tokens: onePerson{}, Events: Events{Decided: func(d *Decision) { led = d.Verdict.Upstream }}})
				before, after := retargeted(t, "before", c.before), retargeted(t, "after", c.after)
				s.SetPolicy(before)
				s.SetPolicy(after)
				inTransit := request("good", map[string]string{extensionRoute: "app", extensionTable: before.Table().Digest()})
				time.Sleep(transit - 1)
				code, reason := ask(t, s, inTransit)
				if c.want == "" && (code != codes.OK || led != "before") || c.want != "" && reason != c.want {
					t.Errorf("in transit: %s %q to %q, want %q", code, reason, led, c.want)
				}
				time.Sleep(time.Nanosecond)
				for range 2 { // what comes later keeps nothing alive
					if _, reason := ask(t, s, inTransit); reason != "route-mismatch" {
						t.Errorf("after %v: %q", transit, reason)
					}
					s.SetPolicy(retargeted(t, "later", c.after))
				}
				if s.current.Load().tables[before.Table().Digest()].policy != nil {
					t.Error("the policy before is still held")
				}
			})
		})
	}
}

// shelf holds postures by alias.
type shelf struct {
	byAlias map[signals.Alias]*signals.Posture
	err     error
}

func (s *shelf) Lookup(alias signals.Alias) (replica.Reading, error) {
	if s.err != nil {
		return replica.Reading{}, s.err
	}
	if p := s.byAlias[alias]; p != nil {
		return replica.Reading{Posture: signals.Pack(p)}, nil
	}
	return replica.Reading{}, signals.ErrNotFound
}

func (s *shelf) Each(yield func(*signals.Posture) bool) {
	for _, p := range s.byAlias {
		if !yield(p) {
			return
		}
	}
}

func TestReadingsAndGaps(t *testing.T) {
	t.Parallel()
	laptop := signals.Alias{Kind: signals.AliasSerial, Value: "C02X"}
	posture := &signals.Posture{Device: "d1", Revision: 1}
	devices := &shelf{byAlias: map[signals.Alias]*signals.Posture{laptop: posture}}
	s := New(Options{Devices: devices})
	s.SetPolicy(compiled(t, "app", "/**"))
	subject := identity.Subject{Device: laptop}
	read := func() policy.Device { return s.reading(s.current.Load(), &subject) }

	if d := read(); d.Packed.Revision != 1 || d.Assessment == nil {
		t.Errorf("a device that is there is not assessed ahead: %+v", d)
	}
	changed := &signals.Posture{Device: "d1", Revision: 2}
	s.PostureChanged(changed)
	devices.byAlias[laptop] = changed
	if d := read(); d.Packed.Revision != 2 || d.Assessment == nil {
		t.Errorf("after a change: %+v", d)
	}
	s.PostureRemoved("d1")
	if d := read(); d.Assessment != nil {
		t.Error("the assessment of a removed device is kept")
	}
	for err, want := range map[error]policy.Gap{
		signals.ErrNotFound: policy.GapUnknown, replica.ErrContested: policy.GapContested, replica.ErrOffline: policy.GapUnreachable,
		signals.ErrCorrupt: policy.GapUnreachable, errors.New("odd"): policy.GapUnreachable,
	} {
		devices.err = err
		if d := read(); d.Gap != want || d.Packed != nil {
			t.Errorf("%v gave gap %q", err, d.Gap)
		}
	}
	subject.Device = signals.Alias{}
	if d := read(); !reflect.DeepEqual(d, policy.Device{}) {
		t.Errorf("nobody's device: %+v", d)
	}
}
