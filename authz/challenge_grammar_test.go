package authz

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/authz/token"
)

// auth is a challenge as RFC 9110, section 11.2, has it: auth-scheme [ 1*SP ( token68 / #auth-param ) ].
type auth struct {
	scheme string
	params map[string]string // by name in lower case
}

// parseAuth reads one challenge by that grammar and by nothing that package authz knows. ok is false for what is none.
func parseAuth(text string) (a auth, ok bool) {
	a.params = map[string]string{}
	if a.scheme, text = tokenOf(text); a.scheme == "" {
		return a, false
	}
	if text == "" {
		return a, true
	}
	for first := true; text != ""; first = false {
		lead := len(text) - len(strings.TrimLeft(text, " "))
		if first && lead == 0 {
			return a, false
		}
		if text = text[lead:]; !first {
			if !strings.HasPrefix(text, ",") {
				return a, false
			}
			text = strings.TrimLeft(text[1:], " \t")
		}
		var name, value string
		if name, text = tokenOf(text); name == "" || !strings.HasPrefix(text, "=") {
			return a, false
		}
		if value, text, ok = valueOf(text[1:]); !ok {
			return a, false
		}
		name = strings.ToLower(name)
		if _, twice := a.params[name]; twice {
			return a, false // section 11.2: each once
		}
		a.params[name] = value
	}
	return a, true
}

// tokenOf takes a token (section 5.6.2) off a text.
func tokenOf(text string) (token, rest string) {
	i := 0
	for i < len(text) && (text[i] >= '0' && text[i] <= '9' || text[i]|0x20 >= 'a' && text[i]|0x20 <= 'z' ||
		strings.IndexByte("!#$%&'*+-.^_`|~", text[i]) >= 0) {
		i++
	}
	return text[:i], text[i:]
}

// valueOf takes a token or a quoted-string (section 5.6.4) off a text.
func valueOf(text string) (value, rest string, ok bool) {
	if !strings.HasPrefix(text, `"`) {
		value, rest = tokenOf(text)
		return value, rest, value != ""
	}
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return value, text[i+1:], true
		case c == '\\' && i+1 < len(text):
			i++
			value += text[i : i+1]
		case c != '\t' && c < 0x20 || c >= 0x7f || c == '\\':
			return "", "", false
		default:
			value += text[i : i+1]
		}
	}
	return "", "", false
}

func TestTheParserOfChallenges(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`Bearer`, `Bearer realm="a"`, `DPoP realm="a, b", algs="ES256 EdDSA"`, `a b=c`, `a  b="\"" , c=d`} {
		if _, ok := parseAuth(text); !ok {
			t.Errorf("%s is one", text)
		}
	}
	for _, text := range []string{``, ` Bearer`, `Bearer,`, `Bearer realm`, `Bearer realm=`, `Bearer realm="`, `Bearer realm="a" b="c"`,
		`Bearer a="b", A="c"`, "Bearer a=\"\n\"", `Bearer a="b"c`, `Bearer a="é"`, `Bearer a="b\`, `Bearer="a"`, `Bearer a=b,`} {
		if a, ok := parseAuth(text); ok {
			t.Errorf("%q is none: %+v", text, a)
		}
	}
}

// demandedBy is the header as a client gets it.
func demandedBy(t *testing.T, d *Decision) string {
	t.Helper()
	var all []string
	for _, h := range respond(d).GetDeniedResponse().GetHeaders() {
		if h.GetHeader().GetKey() == "www-authenticate" {
			all = append(all, h.GetHeader().GetValue())
		}
	}
	if len(all) != 1 {
		t.Fatalf("%d challenges: %q", len(all), all)
	}
	return all[0]
}

// TestChallengesByteForByte: RFC 6750, section 3; RFC 9470, section 3; RFC 9449, section 7.1.
func TestChallengesByteForByte(t *testing.T) {
	t.Parallel()
	const (
		unmet = `error="insufficient_user_authentication", error_description="A stronger or fresher sign-in is required"`
		algs  = `, algs="ES256 ES384 ES512 RS256 RS384 RS512 PS256 PS384 PS512 EdDSA"`
	)
	if want := `, algs="` + token.ProofAlgorithms() + `"`; want != algs {
		t.Fatalf("the algorithms of proofs are %s", want)
	}
	stepUp := func(c policy.Challenge) policy.Verdict {
		return policy.Verdict{Outcome: policy.StepUp, Reason: policy.ReasonStepUp, Challenge: &c}
	}
	for want, verdict := range map[string]policy.Verdict{
		` realm="tiergate"`:                        {Reason: policy.ReasonIdentityMissing},
		` realm="tiergate", error="invalid_token"`: {Reason: policy.ReasonIdentityExpired},
		` realm="tiergate", ` + unmet + `, acr_values="phr phrh", max_age="900"`: stepUp(policy.Challenge{
			ACR: []string{"phr", "phrh"}, MaxAge: 15 * time.Minute}),
		` realm="tiergate", ` + unmet + `, acr_values="urn:mace:incommon:iap:silver"`: stepUp(policy.Challenge{
			ACR: []string{"urn:mace:incommon:iap:silver"}}),
		` realm="tiergate", ` + unmet + `, max_age="0"`: stepUp(policy.Challenge{MaxAge: 999 * time.Millisecond}),
		` realm="tiergate", ` + unmet:                   stepUp(policy.Challenge{AMR: []string{"hwk"}}),
	} {
		if got := demandedBy(t, &Decision{Verdict: verdict}); got != "Bearer"+want {
			t.Errorf("%s\nwant Bearer%s", got, want)
		}
		if got := demandedBy(t, &Decision{Verdict: verdict, DPoP: true}); got != "DPoP"+want+algs {
			t.Errorf("%s\nwant DPoP%s%s", got, want, algs)
		}
	}
}

// FuzzChallengesParse: every step-up that a policy may demand is a challenge of the grammar that says just that.
func FuzzChallengesParse(f *testing.F) {
	f.Add("phr", "urn:mace:incommon:iap:silver", int64(900), false)
	f.Add(`a"b`, `a\`, int64(-1), true)
	f.Add("a b", "é\n", int64(1)<<40, true)
	meta := func(name string) policy.Meta { return policy.Meta{Name: name, Owner: "iam"} }
	spec := policy.Spec{
		Governance: []policy.Governance{{Meta: policy.Meta{Name: "g"}, Accountable: policy.Contact{Name: "a", Contact: "b"},
			Teams: map[string]policy.Team{"iam": {Contact: "iam@acme.example"}}}},
		Audiences: []policy.Audience{{Meta: meta("all"), Members: []policy.Member{{Issuer: "corp"}}}},
		Upstreams: []policy.Upstream{{Meta: meta("app"), Endpoints: []string{"127.0.0.1:1"}, Plaintext: true}},
		Routes: []policy.Route{{Meta: meta("r"), Hosts: []string{"app.example"}, Path: "/**", Tier: "t", Audiences: []string{"all"},
			Upstream: "app"}},
	}
	f.Fuzz(func(t *testing.T, one, other string, seconds int64, dpop bool) {
		demand := &policy.StepUpDemand{ACR: []string{one, other}, MaxAge: time.Duration(seconds%1e9) * time.Second}
		tried := spec
		tried.Tiers = []policy.Tier{{Meta: meta("t"), Identify: policy.IdentifyUser, StepUp: demand}}
		if _, faults := policy.New(tried, policy.World{}); len(faults) > 0 {
			return // no policy asks for it
		}
		d := &Decision{DPoP: dpop, Verdict: policy.Verdict{Outcome: policy.StepUp, Reason: policy.ReasonStepUp,
			Challenge: &policy.Challenge{ACR: demand.ACR, MaxAge: demand.MaxAge}}}
		text := demandedBy(t, d)
		a, ok := parseAuth(text)
		if !ok || a.params["realm"] != "tiergate" || a.params["error"] != "insufficient_user_authentication" {
			t.Fatalf("%s is no such challenge", text)
		}
		if got := strings.Split(a.params["acr_values"], " "); !slices.Equal(got, demand.ACR) {
			t.Fatalf("%q asks for %q", demand.ACR, got)
		}
		if (a.scheme == "DPoP") != dpop || (a.params["algs"] != "") != dpop || (a.params["max_age"] != "") != (demand.MaxAge > 0) {
			t.Fatalf("%s", text)
		}
	})
}
