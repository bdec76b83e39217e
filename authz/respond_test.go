package authz

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
)

// allReasons are those of package policy and one that nobody has written down.
var allReasons = []policy.Reason{
	policy.ReasonUndecided, policy.ReasonMalformed, policy.ReasonPath, policy.ReasonHost, policy.ReasonIdentityDoubted,
	policy.ReasonIdentityUnchecked, policy.ReasonIdentityRevoked, policy.ReasonEnrolledUser, policy.ReasonUserRisk,
	policy.ReasonNoRoute, policy.ReasonMethod, policy.ReasonRouteMismatch, policy.ReasonIdentityMissing,
	policy.ReasonIdentityExpired, policy.ReasonSessionRevoked, policy.ReasonIsolated, policy.ReasonAudience, policy.ReasonDeviceUnknown,
	policy.ReasonDeviceContested, policy.ReasonStoreUnreachable, policy.ReasonPosture, policy.ReasonStepUp, policy.ReasonEvidence,
	policy.ReasonInternal, policy.ReasonNoPolicy, policy.ReasonAllowed, "made-up",
}

// TestOnlyAnAllowIsAnAllow: to Envoy code 0 admits whatever else the message says, so no other outcome may have it.
func TestOnlyAnAllowIsAnAllow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := &Decision{
			ID:      rapid.String().Draw(t, "id"),
			Device:  rapid.String().Draw(t, "device"),
			Subject: identity.Subject{User: &identity.User{Issuer: "corp", Name: string(rapid.SliceOf(rapid.Byte()).Draw(t, "name"))}},
			Verdict: policy.Verdict{
				Outcome: rapid.SampledFrom([]policy.Outcome{policy.Deny, policy.StepUp, policy.Allow}).Draw(t, "outcome"),
				Reason:  rapid.SampledFrom(allReasons).Draw(t, "reason"),
				Tier:    rapid.String().Draw(t, "tier"),
				Unmet:   []policy.Unmet{{Signal: "s", Fix: policy.Fix{Text: rapid.String().Draw(t, "fix")}}},
			},
		}
		response := respond(d)
		allow := d.Verdict.Outcome == policy.Allow
		if (response.GetStatus().GetCode() == int32(codes.OK)) != allow || (response.GetOkResponse() != nil) != allow {
			t.Fatalf("%s %s gave code %d", d.Verdict.Outcome, d.Verdict.Reason, response.GetStatus().GetCode())
		}
		if response.GetErrorResponse() != nil {
			t.Fatal("an error_response is an allow under failure_mode_allow")
		}
		if !allow && response.GetDeniedResponse().GetStatus().GetCode() < 400 {
			t.Fatalf("a denial with HTTP status %v", response.GetDeniedResponse().GetStatus())
		}
		if !allow && !json.Valid([]byte(response.GetDeniedResponse().GetBody())) {
			t.Fatalf("the body is no JSON: %q", response.GetDeniedResponse().GetBody())
		}
		if _, err := proto.Marshal(response); err != nil {
			t.Fatalf("the answer cannot be sent, which Envoy would take for an error: %v", err)
		}
		for _, h := range append(response.GetOkResponse().GetHeaders(), response.GetDeniedResponse().GetHeaders()...) {
			v := h.GetHeader().GetValue()
			if strings.ContainsFunc(v, func(r rune) bool { return r < 0x20 || r > 0x7e }) || !utf8.ValidString(v) {
				t.Fatalf("header %s has value %q", h.GetHeader().GetKey(), v)
			}
			if h.GetAppendAction() != corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD {
				t.Fatalf("header %s may be appended", h.GetHeader().GetKey())
			}
		}
	})
}

// TestEveryReasonHasAnAnswer: a reason without one would be told as "internal".
func TestEveryReasonHasAnAnswer(t *testing.T) {
	t.Parallel()
	for _, r := range allReasons {
		_, ok := replies[r]
		if want := r != policy.ReasonUndecided && r != policy.ReasonAllowed && r != "made-up"; ok != want {
			t.Errorf("reason %q has an answer: %v", r, ok)
		}
	}
}

// TestEveryReservedHeaderIsSetOrRemoved: otherwise a client's own would reach the upstream.
func TestEveryReservedHeaderIsSetOrRemoved(t *testing.T) {
	t.Parallel()
	for _, d := range []*Decision{
		{ID: "1", Device: "d", Verdict: policy.Verdict{Outcome: policy.Allow, Tier: "t", Route: "r"}},
		{Verdict: policy.Verdict{Outcome: policy.Allow}},
	} {
		ok := respond(d).GetOkResponse()
		handled := map[string]bool{}
		for _, h := range ok.GetHeaders() {
			handled[h.GetHeader().GetKey()] = true
		}
		for _, name := range ok.GetHeadersToRemove() {
			handled[name] = true
		}
		for _, name := range []string{headerSubject, headerDevice, headerTier, headerRoute, headerDecision} {
			if !handled[name] {
				t.Errorf("%s is neither set nor removed", name)
			}
		}
	}
}

func TestHeaderValuesStayApart(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, in := range []string{"plain", "a b", "ünï", "a\r\nx: y", "%C3%BC", "\xc3\xbc", "\x00", "%00", "a%"} {
		out := headerSafe(in)
		if other, taken := seen[out]; taken {
			t.Errorf("%q and %q are both written %q", in, other, out)
		}
		seen[out] = in
	}
}

func allowedDecision() *Decision {
	return &Decision{
		ID: "01890a5d-ac96-774b-bcce-b302099a8057", Device: "dev-0123456789abcdef",
		Subject: identity.Subject{User: &identity.User{Issuer: "corp", Name: "ana@acme.example"}},
		Verdict: policy.Verdict{Outcome: policy.Allow, Reason: policy.ReasonAllowed, Tier: "privileged", Route: "payroll-admin",
			Policy: "sha256:" + strings.Repeat("0", 64)},
	}
}

// TestWrittenAnswersAreThoseThatAreBuilt: the bytes of every answer are the message that respond builds, and what protobuf
// cannot write is a refusal with both readers.
func TestWrittenAnswersAreThoseThatAreBuilt(t *testing.T) {
	t.Parallel()
	told := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.OneOf(rapid.Just(""), rapid.String(), rapid.StringN(120, 200, -1), rapid.StringN(1, 8, 8),
			rapid.Map(rapid.SliceOfN(rapid.Byte(), 1, 20), func(b []byte) string { return string(b) }))
		d := &Decision{
			ID: texts.Draw(t, "id"), Device: texts.Draw(t, "device"),
			Subject: identity.Subject{User: &identity.User{Issuer: "corp", Name: texts.Draw(t, "name")}},
			Verdict: policy.Verdict{
				Outcome: rapid.SampledFrom([]policy.Outcome{policy.Deny, policy.StepUp, policy.Allow, policy.Allow}).Draw(t, "outcome"),
				Reason:  rapid.SampledFrom(allReasons).Draw(t, "reason"),
				Recheck: rapid.SampledFrom([]time.Duration{0, -1, 1, time.Second, 5 * time.Minute}).Draw(t, "recheck"),
				Until:   rapid.SampledFrom([]time.Time{{}, time.Unix(0, 1), time.Unix(900, 0)}).Draw(t, "until"),
				Tier:    texts.Draw(t, "tier"), Route: texts.Draw(t, "route"), Policy: texts.Draw(t, "policy"),
			},
		}
		fast, stock := &authv3.CheckResponse{}, &authv3.CheckResponse{}
		if err := proto.Unmarshal(respondFast(nil, d), fast); err != nil {
			t.Fatal(err)
		}
		if err := proto.Unmarshal(respondWire(nil, d), stock); err != nil {
			t.Fatal(err)
		}
		want := respond(d)
		if _, err := proto.Marshal(want); err != nil {
			told["refused"]++
			want = respond(&Decision{Verdict: policy.Verdict{Reason: policy.ReasonInternal}})
		}
		told[d.Verdict.Outcome.String()]++
		for _, got := range []*authv3.CheckResponse{fast, stock} {
			if !proto.Equal(got, want) {
				t.Fatalf("got  %v\nwant %v", got, want)
			}
		}
	})
	if len(told) != 4 && !t.Failed() {
		t.Errorf("not every kind of answer was written: %v", told)
	}
}

// TestTheLastRefusalIsOne: it must never be the empty message, which allows.
func TestTheLastRefusalIsOne(t *testing.T) {
	t.Parallel()
	response := &authv3.CheckResponse{}
	if err := proto.Unmarshal(lastRefusal, response); err != nil || codes.Code(response.GetStatus().GetCode()) != codes.Unavailable ||
		response.GetDeniedResponse().GetStatus().GetCode() != 503 {
		t.Errorf("%v, %v", response, err)
	}
}
