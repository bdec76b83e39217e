package authz

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/authz/policy"
)

// callsOf are calls that are answered in each form; the two of Connect differ.
var callsOf = map[string]*Call{
	"problem":       {Method: "GET"},
	"page":          {Method: "GET", Client: Client{FetchMode: "navigate"}},
	"grpc":          {Method: "POST", Client: Client{ContentType: "application/grpc"}},
	"grpc-web":      {Method: "POST", Client: Client{ContentType: "application/grpc-web+proto"}},
	"grpc-web-text": {Method: "POST", Client: Client{ContentType: "application/grpc-web-text"}},
	"connect":       {Method: "POST", Client: Client{ContentType: "application/proto"}},
	"connect stream": {Method: "POST", Client: Client{
		ContentType: "application/connect+json; charset=utf-8"}},
}

// refusedFor is a decision with everything that may be told, each in words of its own.
func refusedFor(reason policy.Reason, call *Call, tells policy.Tells) *Decision {
	return &Decision{ID: "01890a5d-ac96-774b-bcce-b302099a8057", call: call, Verdict: policy.Verdict{
		Reason: reason, Detail: "operators-only", Tier: "tier-word", Contact: "contact-word", Tells: tells,
		Challenge: &policy.Challenge{ACR: []string{"acr-word"}},
		Unmet: []policy.Unmet{
			{Signal: "signal-word", List: policy.ListRequire, Status: policy.StatusFailing, Detail: "operators-only",
				Owner: "owner-word", Contact: "desk@acme.example", Fix: policy.Fix{Text: "fix-word", URL: "https://fix.example/a?b=c"}},
			{Signal: "second", List: policy.ListDenyUnless, Fix: policy.Fix{Text: "Hand it in.", URL: "javascript:alert(1)"}},
		}}}
}

// readable is all that a client can read of an answer: headers and body, and the details in them, decoded.
func readable(t interface {
	Helper()
	Fatalf(format string, args ...any)
}, response *authv3.CheckResponse) (headers map[string]string, text string) {
	t.Helper()
	headers = map[string]string{}
	var all strings.Builder
	for _, h := range response.GetDeniedResponse().GetHeaders() {
		key, value := h.GetHeader().GetKey(), h.GetHeader().GetValue()
		if _, twice := headers[key]; twice {
			t.Fatalf("header %s twice", key)
		}
		headers[key] = value
		fmt.Fprintf(&all, "%s: %s\n", key, value)
		if key == "grpc-status-details-bin" {
			raw, err := base64.RawStdEncoding.DecodeString(value)
			if err != nil {
				t.Fatalf("%v", err)
			}
			all.Write(raw)
		}
	}
	body := response.GetDeniedResponse().GetBody()
	all.WriteString(body)
	if strings.Contains(headers["content-type"], "json") && body != "" {
		start := 0
		if strings.HasPrefix(headers["content-type"], "application/connect") {
			start = 5 // of the prefix of a message
		}
		var found struct {
			Details []connectDetail
			Error   struct{ Details []connectDetail }
		}
		if err := json.Unmarshal([]byte(body[start:]), &found); err != nil {
			t.Fatalf("%v in %q", err, body)
		}
		for _, d := range append(found.Details, found.Error.Details...) {
			raw, err := base64.RawStdEncoding.DecodeString(d.Value)
			if err != nil {
				t.Fatalf("%v", err)
			}
			all.Write(raw)
		}
	}
	return headers, all.String()
}

// TestEveryReasonInEveryForm: the status says whether we do not know (401), know and refuse (403) or could not know (503),
// in the words of each protocol, and the headers that go with one status go with no other.
func TestEveryReasonInEveryForm(t *testing.T) {
	t.Parallel()
	httpOf := map[codes.Code]int{codes.InvalidArgument: 400, codes.Unauthenticated: 401, codes.PermissionDenied: 403, codes.Unavailable: 503}
	for _, reason := range allReasons {
		for name, call := range callsOf {
			for _, tells := range []policy.Tells{"", policy.TellsReason, policy.TellsNothing} {
				response := respond(refusedFor(reason, call, tells))
				headers, text := readable(t, response)
				code := codes.Code(response.GetStatus().GetCode())
				want, known := httpOf[code]
				if !known {
					t.Fatalf("%s has code %s", reason, code)
				}
				if class, ok := replies[reason]; ok && (class.code != code || class.status != want) {
					t.Errorf("%s in %s: %s, want %+v", reason, name, code, class)
				}
				if strings.HasPrefix(name, "grpc-web") || name == "connect stream" { // whose clients look elsewhere
					want = 200
				}
				if got := int(response.GetDeniedResponse().GetStatus().GetCode()); got != want {
					t.Errorf("%s in %s: HTTP %d, want %d", reason, name, got, want)
				}
				if (headers["www-authenticate"] != "") != (code == codes.Unauthenticated) || (headers["retry-after"] != "") != (code == codes.Unavailable) {
					t.Errorf("%s in %s: %v", reason, name, headers)
				}
				if strings.HasPrefix(name, "grpc") != (headers["grpc-status"] == strconv.Itoa(int(code))) {
					t.Errorf("%s in %s: grpc-status %q", reason, name, headers["grpc-status"])
				}
				if headers["cache-control"] != "no-store" || headers["x-content-type-options"] != "nosniff" || headers[headerDecision] == "" {
					t.Errorf("%s in %s: %v", reason, name, headers)
				}
				for _, never := range []string{"operators-only", "javascript:"} {
					if strings.Contains(text, never) {
						t.Errorf("%s in %s tells %s:\n%s", reason, name, never, text)
					}
				}
			}
		}
	}
}

// TestWhatATierTells: in no form more, and all of it in each.
func TestWhatATierTells(t *testing.T) {
	t.Parallel()
	all := []string{"tier-word", "contact-word", "signal-word", "owner-word", "desk@acme.example", "fix-word", "https://fix.example/a?b=c"}
	for name, call := range callsOf {
		told := map[policy.Tells]string{}
		for _, tells := range []policy.Tells{"", policy.TellsReason, policy.TellsNothing} {
			_, told[tells] = readable(t, respond(refusedFor(policy.ReasonStepUp, call, tells)))
			told[tells] = strings.ReplaceAll(told[tells], "&#43;", "+")
			if !strings.Contains(told[tells], "01890a5d-ac96-774b-bcce-b302099a8057") {
				t.Errorf("%s, %q: no id", name, tells)
			}
		}
		for _, word := range all {
			if !strings.Contains(told[""], word) {
				t.Errorf("%s does not tell %s:\n%s", name, word, told[""])
			}
			if strings.Contains(told[policy.TellsReason], word) || strings.Contains(told[policy.TellsNothing], word) {
				t.Errorf("%s tells %s", name, word)
			}
		}
		for _, word := range []string{"acr-word", "tronger"} { // the login and the sentence
			if !strings.Contains(told[policy.TellsReason], word) || strings.Contains(told[policy.TellsNothing], word) {
				t.Errorf("%s: %s is told with nothing, or not with the reason", name, word)
			}
		}
		if reason := strings.ToLower(strings.ReplaceAll(told[policy.TellsNothing], "_", "-")); strings.Contains(reason, "step-up") {
			t.Errorf("%s tells the reason:\n%s", name, told[policy.TellsNothing])
		}
	}
}

// TestNothingToldIsAlike: under tells: nothing, no two reasons of one status can be told apart, whatever else the decision
// says, in any form.
func TestNothingToldIsAlike(t *testing.T) {
	t.Parallel()
	pairs := 0
	rapid.Check(t, func(t *rapid.T) {
		call := callsOf[rapid.SampledFrom([]string{"problem", "page", "grpc", "grpc-web", "grpc-web-text", "connect", "connect stream"}).Draw(t, "form")]
		draw := func(name string) *Decision {
			d := refusedFor(rapid.SampledFrom(allReasons).Draw(t, name), call, policy.TellsNothing)
			d.Verdict.Tier, d.Verdict.Contact = rapid.String().Draw(t, "tier"), rapid.String().Draw(t, "contact")
			d.Verdict.Unmet = d.Verdict.Unmet[:rapid.IntRange(0, 2).Draw(t, "unmet")]
			return d
		}
		a, b := respond(draw("one")), respond(draw("other"))
		if a.GetStatus().GetCode() != b.GetStatus().GetCode() {
			return
		}
		pairs++
		if !proto.Equal(a.GetDeniedResponse(), b.GetDeniedResponse()) || !proto.Equal(a.GetStatus(), b.GetStatus()) {
			t.Fatalf("%v\nis not\n%v", a, b)
		}
	})
	if pairs == 0 && !t.Failed() {
		t.Error("no two of one status were compared")
	}
}

// TestStatusDetails reads the details as grpc-go does.
func TestStatusDetails(t *testing.T) {
	t.Parallel()
	headers, _ := readable(t, respond(refusedFor(policy.ReasonPosture, callsOf["grpc"], "")))
	raw, err := base64.RawStdEncoding.DecodeString(headers["grpc-status-details-bin"])
	if err != nil {
		t.Fatal(err)
	}
	wire := &rpcstatus.Status{}
	if err := proto.Unmarshal(raw, wire); err != nil {
		t.Fatal(err)
	}
	s := status.FromProto(wire)
	message, err := url.PathUnescape(headers["grpc-message"])
	if err != nil || s.Code() != codes.PermissionDenied || s.Message() != message || !strings.HasPrefix(message, "Device needs attention: ") {
		t.Fatalf("%v %v %q", s, err, message)
	}
	want := []proto.Message{
		&errdetails.ErrorInfo{Reason: "POSTURE", Domain: "tiergate.dev", Metadata: map[string]string{
			"decisionId": "01890a5d-ac96-774b-bcce-b302099a8057", "reason": "posture", "tier": "tier-word", "contact": "contact-word", "unmet": "2"}},
		&errdetails.PreconditionFailure{Violations: []*errdetails.PreconditionFailure_Violation{
			{Type: "require/failing", Subject: "signal-word", Description: "fix-word (owner-word, desk@acme.example)"},
			{Type: "denyUnless/unknown", Subject: "second", Description: "Hand it in."}}},
		&errdetails.Help{Links: []*errdetails.Help_Link{{Description: "signal-word", Url: "https://fix.example/a?b=c"}}},
	}
	if len(s.Details()) != len(want) {
		t.Fatalf("%v", s.Details())
	}
	for i, detail := range s.Details() {
		if got, ok := detail.(proto.Message); !ok || !proto.Equal(got, want[i]) {
			t.Errorf("%v, want %v", detail, want[i])
		}
	}
}

// TestManyDemandsFitIntoHeaders: gRPC clients take 8 KiB of headers unless told otherwise, and what is left out is counted.
func TestManyDemandsFitIntoHeaders(t *testing.T) {
	t.Parallel()
	d := refusedFor(policy.ReasonPosture, callsOf["grpc"], "")
	for range 300 {
		d.Verdict.Unmet = append(d.Verdict.Unmet, d.Verdict.Unmet[0])
	}
	headers, text := readable(t, respond(d))
	size := 0
	for name, value := range headers {
		size += len(name) + len(value) + 32 // as HTTP/2 counts (RFC 9113, section 10.5.1)
	}
	if size > 7<<10 || strings.Count(text, "signal-word") < 10 || !strings.Contains(text, "302") {
		t.Errorf("%d bytes of headers, with %d of the demands", size, strings.Count(text, "signal-word"))
	}
	d.call = callsOf["page"]
	if body := respond(d).GetDeniedResponse().GetBody(); len(body) > 8<<10 || !strings.Contains(body, "There is more to mend") {
		t.Errorf("a page of %d bytes", len(body))
	}
}

// TestEndOfStream: whatever the length of the error, its prefix is text, and a client reads the same error behind it.
func TestEndOfStream(t *testing.T) {
	t.Parallel()
	for n := range 70_000 {
		if n > 1100 && n%997 != 0 && n&0x7fff > 2 {
			continue
		}
		body := `"` + strings.Repeat("x", n) + `"`
		framed := endOfStream(body)
		length := int(framed[1])<<24 | int(framed[2])<<16 | int(framed[3])<<8 | int(framed[4])
		if framed[0] != 2 || length != len(framed)-5 || !bytes.Equal(bytes.TrimRight([]byte(framed[5:]), " "), []byte(body)) ||
			framed[1]|framed[2]|framed[3]|framed[4] >= 0x80 {
			t.Fatalf("%d bytes are framed as % x with %d behind", len(body), framed[:5], len(framed)-5)
		}
	}
}

// TestHeadIsAnsweredLikeGet: Envoy leaves the body out, and with none there it would leave out what describes it.
func TestHeadIsAnsweredLikeGet(t *testing.T) {
	t.Parallel()
	for name, call := range callsOf {
		head := *call
		head.Method = "HEAD"
		if !proto.Equal(respond(refusedFor(policy.ReasonPosture, &head, "")), respond(refusedFor(policy.ReasonPosture, call, ""))) {
			t.Error(name)
		}
	}
}

// TestRefusalsSpeakTheClientsLanguage, in every form.
func TestRefusalsSpeakTheClientsLanguage(t *testing.T) {
	t.Parallel()
	s := New(Options{})
	for name, call := range callsOf {
		german := *call
		german.Client.AcceptLanguage = "fr, de-AT;q=0.8, en;q=0.7"
		d := refusedFor(policy.ReasonPosture, nil, "")
		s.addressed(d, &german)
		headers, text := readable(t, respond(d))
		if !strings.Contains(text, "Das Gerät braucht Pflege") {
			t.Errorf("%s: %s", name, text)
		}
		if name == "page" && (headers["content-language"] != "de" || !strings.Contains(text, `<html lang="de"`)) {
			t.Errorf("%s: %v", name, headers)
		}
	}
}
