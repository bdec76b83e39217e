package authz

import (
	"net/url"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
)

// FuzzHeaderValues: whoever asks, on whatever device, by whatever tier and route: a header of an answer is one line of printable
// ASCII (RFC 9110, section 5.5), no two names are written alike, and none is appended to what a client has sent.
func FuzzHeaderValues(f *testing.F) {
	f.Add("ana@acme.example", "corp", "dev-1", "privileged", "payroll-admin", "text/html", true)
	f.Add("ana\r\nx-tiergate-tier: low", "c\x00", "\xff", "a\tb", "%0d%0a", "application/grpc", false)
	f.Add("ünï", "%C3%BC", "\u2028", " ", "", "application/grpc-web-text", false)
	f.Add("\x7f", "%", "é", strings.Repeat("a", 1<<10), "\n", "application/connect+proto", false)
	f.Fuzz(func(t *testing.T, user, issuer, device, tier, route, contentType string, allow bool) {
		for _, value := range []string{user, issuer, device, tier, route} {
			back, err := url.PathUnescape(headerSafe(value))
			if err != nil || back != value {
				t.Fatalf("%q is written %q, which reads %q, %v", value, headerSafe(value), back, err)
			}
		}
		d := &Decision{ID: "01890a5d-ac96-774b-bcce-b302099a8057", Device: device,
			Subject: identity.Subject{User: &identity.User{Issuer: issuer, Name: user}},
			Verdict: policy.Verdict{Outcome: policy.Deny, Reason: policy.ReasonPosture, Tier: tier, Route: route, Contact: user,
				Unmet: []policy.Unmet{{Signal: issuer, Owner: route, Contact: device, Fix: policy.Fix{Text: tier, URL: user}}}}}
		if allow {
			d.Verdict.Outcome, d.Verdict.Reason = policy.Allow, policy.ReasonAllowed
		}
		d.call = &Call{Client: Client{ContentType: contentType}}
		response := respond(d)
		headers := [][]*corev3.HeaderValueOption{response.GetOkResponse().GetHeaders(), response.GetOkResponse().GetResponseHeadersToAdd(),
			response.GetDeniedResponse().GetHeaders()}
		seen := 0
		for _, list := range headers {
			for _, h := range list {
				seen++
				name, value := h.GetHeader().GetKey(), h.GetHeader().GetValue()
				if i := strings.IndexFunc(value, func(r rune) bool { return r < 0x20 || r > 0x7e }); i >= 0 || strings.ToLower(name) != name {
					t.Fatalf("%s: %q", name, value)
				}
				if h.GetAppendAction() != corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD {
					t.Fatalf("%s is appended: %v", name, h.GetAppendAction())
				}
			}
		}
		if seen == 0 {
			t.Fatal("an answer without a header")
		}
	})
}
