package authz

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/tiergate/tiergate/authz/policy"
)

// The headers that upstreams get. All of them are set or removed on every allowed request, so that none of a client's own
// survives even where Envoy is not configured by us.
const (
	headerSubject  = "x-tiergate-subject"
	headerDevice   = "x-tiergate-device"
	headerTier     = "x-tiergate-tier"
	headerRoute    = "x-tiergate-route"
	headerDecision = "x-tiergate-decision-id"
)

// answer is how a reason is told to a client: the HTTP status, the gRPC code and one sentence. 401: we do not know who
// asks; 403: we know and refuse; 503: we could not know; 400: the request cannot be read in one way.
type answer struct {
	status int
	code   codes.Code
	title  string
	detail string
}

var answers = map[policy.Reason]answer{
	policy.ReasonMalformed: {http.StatusBadRequest, codes.InvalidArgument, "Request not understood",
		"The request cannot be judged as it stands."},
	policy.ReasonPath: {http.StatusBadRequest, codes.InvalidArgument, "Ambiguous path",
		"Different servers would read this path differently. Ask for it in its plain form."},
	policy.ReasonHost: {http.StatusBadRequest, codes.InvalidArgument, "Invalid host", "The host of the request is no host name."},
	policy.ReasonIdentityDoubted: {http.StatusUnauthorized, codes.Unauthenticated, "Identity not accepted",
		"A certificate or token came with the request and is not accepted. Sign in again."},
	policy.ReasonNoRoute: {http.StatusForbidden, codes.PermissionDenied, "Nothing here for you", "No route is open here."},
	policy.ReasonMethod:  {http.StatusForbidden, codes.PermissionDenied, "Method not open", "This method is not open here."},
	policy.ReasonRouteMismatch: {http.StatusForbidden, codes.PermissionDenied, "Route in dispute",
		"The proxy and the policy disagree about this route."},
	policy.ReasonIdentityMissing: {http.StatusUnauthorized, codes.Unauthenticated, "Sign-in needed",
		"This route asks who you are, and on which device."},
	policy.ReasonIdentityExpired: {http.StatusUnauthorized, codes.Unauthenticated, "Identity expired",
		"The certificate or token is not valid at this time. Sign in again."},
	policy.ReasonIsolated: {http.StatusForbidden, codes.PermissionDenied, "Not open to you",
		"Your account belongs to a group that reaches only its own applications."},
	policy.ReasonAudience: {http.StatusForbidden, codes.PermissionDenied, "Not open to you", "This route is not open to you."},
	policy.ReasonDeviceUnknown: {http.StatusForbidden, codes.PermissionDenied, "Device not known",
		"This device is not known to the company's device management. Enrol it, or ask how to."},
	policy.ReasonDeviceContested: {http.StatusForbidden, codes.PermissionDenied, "Device not certain",
		"Two devices are recorded under this one's name. Ask for the records to be mended."},
	policy.ReasonStoreUnreachable: {http.StatusServiceUnavailable, codes.Unavailable, "Try again shortly",
		"The state of this device cannot be looked up at the moment."},
	policy.ReasonPosture: {http.StatusForbidden, codes.PermissionDenied, "Device needs attention",
		"This device does not meet what is asked for here. Each point below says what to do."},
	policy.ReasonNoPolicy: {http.StatusServiceUnavailable, codes.Unavailable, "Try again shortly", "The service is starting."},
	policy.ReasonInternal: {http.StatusServiceUnavailable, codes.Unavailable, "Try again shortly", "The request could not be judged."},
}

// respond is the only builder of a CheckResponse. Whatever is not an Allow is a denial with a code other than 0.
func respond(d *Decision) *authv3.CheckResponse {
	if d.Verdict.Outcome == policy.Allow {
		return allowed(d)
	}
	a, ok := answers[d.Verdict.Reason]
	if !ok {
		a = answers[policy.ReasonInternal]
	}
	return denied(d, a)
}

func allowed(d *Decision) *authv3.CheckResponse {
	ok := &authv3.OkHttpResponse{ResponseHeadersToAdd: []*corev3.HeaderValueOption{header(headerDecision, d.ID)}}
	for _, h := range [...]struct{ name, value string }{
		{headerSubject, d.Subject.String()}, {headerDevice, d.Device}, {headerTier, d.Verdict.Tier},
		{headerRoute, d.Verdict.Route}, {headerDecision, d.ID},
	} {
		if h.value == "" {
			ok.HeadersToRemove = append(ok.HeadersToRemove, h.name)
		} else {
			ok.Headers = append(ok.Headers, header(h.name, h.value))
		}
	}
	return &authv3.CheckResponse{
		Status:          &rpcstatus.Status{Code: int32(codes.OK)},
		HttpResponse:    &authv3.CheckResponse_OkResponse{OkResponse: ok},
		DynamicMetadata: metadata(d),
	}
}

func denied(d *Decision, a answer) *authv3.CheckResponse {
	response := &authv3.DeniedHttpResponse{
		Status: &typev3.HttpStatus{Code: typev3.StatusCode(a.status)},
		Headers: []*corev3.HeaderValueOption{
			header("content-type", "application/problem+json"), header("cache-control", "no-store"), header(headerDecision, d.ID),
		},
		Body: problem(d, a),
	}
	if a.status == http.StatusUnauthorized {
		response.Headers = append(response.Headers, header("www-authenticate", challenge(d)))
	}
	return &authv3.CheckResponse{
		Status:          &rpcstatus.Status{Code: int32(a.code), Message: a.title},
		HttpResponse:    &authv3.CheckResponse_DeniedResponse{DeniedResponse: response},
		DynamicMetadata: metadata(d),
	}
}

// challenge follows RFC 6750, section 3: no error code when no token came.
func challenge(d *Decision) string {
	if d.Verdict.Reason == policy.ReasonIdentityMissing {
		return `Bearer realm="tiergate"`
	}
	return `Bearer realm="tiergate", error="invalid_token"`
}

// problem is the body of a refusal, RFC 9457. It tells the client what to mend and whom to ask; what each source said
// stays with the operator.
func problem(d *Decision, a answer) string {
	type unmet struct {
		Signal  string        `json:"signal"`
		List    policy.List   `json:"list"`
		Status  policy.Status `json:"status"`
		Owner   string        `json:"owner"`
		Contact string        `json:"contact,omitempty"`
		Fix     policy.Fix    `json:"fix,omitzero"`
	}
	body := struct {
		Type     string        `json:"type"`
		Title    string        `json:"title"`
		Status   int           `json:"status"`
		Detail   string        `json:"detail"`
		Reason   policy.Reason `json:"reason"`
		Decision string        `json:"decisionId"`
		Tier     string        `json:"tier,omitempty"`
		Contact  string        `json:"contact,omitempty"`
		Unmet    []unmet       `json:"unmet,omitempty"`
	}{
		Type: "https://tiergate.dev/problems/" + string(d.Verdict.Reason), Title: a.title, Status: a.status, Detail: a.detail,
		Reason: d.Verdict.Reason, Decision: d.ID, Tier: d.Verdict.Tier, Contact: d.Verdict.Contact,
	}
	for _, u := range d.Verdict.Unmet {
		body.Unmet = append(body.Unmet, unmet{u.Signal, u.List, u.Status, u.Owner, u.Contact, u.Fix})
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return `{"type":"about:blank","title":"Refused","reason":"internal"}`
	}
	return string(raw) + "\n"
}

// header overwrites: append_action is set although Envoy 1.40 ignores it on OK headers, because later ones need not.
func header(name, value string) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{
		Header:       &corev3.HeaderValue{Key: name, Value: headerSafe(value)},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}
}

// headerSafe percent-encodes what has no place in a header value: bytes outside printable ASCII, and % itself where
// anything was encoded, so that two values never look alike.
func headerSafe(value string) string {
	if !strings.ContainsFunc(value, func(r rune) bool { return r < 0x20 || r > 0x7e || r == '%' }) {
		return value
	}
	var b strings.Builder
	for i := range len(value) {
		if c := value[i]; c < 0x20 || c > 0x7e || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// metadata is what Envoy's access log can print, on allow and deny.
func metadata(d *Decision) *structpb.Struct {
	text := structpb.NewStringValue
	return &structpb.Struct{Fields: map[string]*structpb.Value{
		"decision_id": text(d.ID), "outcome": text(d.Verdict.Outcome.String()), "reason": text(string(d.Verdict.Reason)),
		"tier": text(d.Verdict.Tier), "route": text(d.Verdict.Route), "subject": text(headerSafe(d.Subject.String())),
		"policy": text(d.Verdict.Policy),
	}}
}
