package authz

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/authz/token"
)

// The headers that upstreams get. All of them are set or removed on every allowed request, so that none of a client's own
// survives even where Envoy is not configured by us.
const (
	headerSubject  = "x-tiergate-subject"
	headerDevice   = "x-tiergate-device"
	headerTier     = "x-tiergate-tier"
	headerRoute    = "x-tiergate-route"
	headerDecision = "x-tiergate-decision-id"
	// headerAssertion is verify.Header: the signed word on who calls.
	headerAssertion = "x-tiergate-assertion"
	// headerStream bounds the life of one stream at Envoy, in milliseconds (config.core.v3.HttpProtocolOptions
	// max_stream_duration, per request). A client's own never counts.
	headerStream = "x-envoy-upstream-stream-duration-ms"
)

// respond is the only builder of a CheckResponse. Whatever is not an Allow is a denial with a code other than 0.
func respond(d *Decision) *authv3.CheckResponse {
	if d.Verdict.Outcome == policy.Allow {
		return allowed(d)
	}
	return denied(d)
}

// text is a name and what it is set to.
type text struct{ name, value string }

// proofHeaders are the headers by which a client proves who it is. They go where the route says token: remove.
var proofHeaders = []string{"authorization", "dpop"}

// withheld are headers that are kept from the upstream of this decision, besides those of upstreamHeaders.
func withheld(d *Decision) []string {
	if d.Verdict.Token == policy.TokenRemove {
		return proofHeaders
	}
	return nil
}

// upstreamHeaders are what upstreams get, and Envoy itself; one without a value is removed.
func upstreamHeaders(d *Decision, subject, life string) [7]text {
	return [...]text{
		{headerSubject, subject}, {headerDevice, headerSafe(d.Device)}, {headerTier, headerSafe(d.Verdict.Tier)},
		{headerRoute, headerSafe(d.Verdict.Route)}, {headerStream, life},
		{headerAssertion, d.assertion}, {headerDecision, headerSafe(d.ID)},
	}
}

// metadataTexts are what Envoy's access log can print, on allow and deny. until is appendUntil's.
func metadataTexts(d *Decision, subject, until string) [8]text {
	return [...]text{
		{"decision_id", d.ID}, {"outcome", d.Verdict.Outcome.String()}, {"reason", string(d.Verdict.Reason)},
		{"tier", d.Verdict.Tier}, {"route", d.Verdict.Route}, {"subject", subject}, {"policy", d.Verdict.Policy}, {"until", until},
	}
}

func allowed(d *Decision) *authv3.CheckResponse {
	ok := &authv3.OkHttpResponse{ResponseHeadersToAdd: []*corev3.HeaderValueOption{header(headerDecision, d.ID)}}
	for _, h := range upstreamHeaders(d, headerSafe(d.Subject.String()), string(appendStreamLife(nil, d))) {
		if h.value == "" {
			ok.HeadersToRemove = append(ok.HeadersToRemove, h.name)
		} else {
			ok.Headers = append(ok.Headers, option(h.name, h.value))
		}
	}
	ok.HeadersToRemove = append(ok.HeadersToRemove, withheld(d)...)
	return &authv3.CheckResponse{
		Status:          &rpcstatus.Status{Code: int32(codes.OK)},
		HttpResponse:    &authv3.CheckResponse_OkResponse{OkResponse: ok},
		DynamicMetadata: metadata(d),
	}
}

// lastRefusal answers when an answer cannot be written: a text in it is not UTF-8, which protobuf refuses.
var lastRefusal = func() []byte {
	wire, err := proto.Marshal(respond(&Decision{Verdict: policy.Verdict{Reason: policy.ReasonInternal}}))
	if err != nil {
		panic(err)
	}
	return wire
}()

// respondWire appends the answer in bytes: those of respond, and what cannot be written is a refusal.
func respondWire(to []byte, d *Decision) []byte {
	wire, err := proto.MarshalOptions{}.MarshalAppend(to, respond(d))
	if err != nil {
		return append(to, lastRefusal...)
	}
	return wire
}

// respondFast is respondWire for the reader of wire bytes. Allowed requests are many and their answers of one kind, so
// they are written without building the message: a tenth of the work, and the same message once it is read.
func respondFast(to []byte, d *Decision) []byte {
	if d.Verdict.Outcome == policy.Allow {
		return allowedWire(to, d)
	}
	return respondWire(to, d)
}

// allowedWire appends the message that allowed builds: status (1), which is empty, ok_response (3) with headers (2),
// headers_to_remove (5) and response_headers_to_add (6), dynamic_metadata (4).
func allowedWire(to []byte, d *Decision) []byte {
	subject := headerSafe(d.Subject.String())
	var digits [20]byte // of a text that stays on the stack
	life := string(appendStreamLife(digits[:0], d))
	var instant [len(untilForm)]byte
	headers, members := upstreamHeaders(d, subject, life), metadataTexts(d, subject, string(appendUntil(instant[:0], d)))
	id := headers[len(headers)-1]
	ok, meta := lengthSize(optionSize(id.name, id.value)), 0
	for _, h := range headers {
		if h.value == "" {
			ok += textSize(h.name)
		} else {
			ok += lengthSize(optionSize(h.name, h.value))
		}
	}
	for _, name := range withheld(d) {
		ok += textSize(name)
	}
	for _, m := range members {
		if !utf8.ValidString(m.value) {
			return append(to, lastRefusal...)
		}
		meta += lengthSize(memberSize(m.name, m.value))
	}
	b := slices.Grow(to, lengthSize(0)+lengthSize(ok)+lengthSize(meta))
	b = appendLength(b, 1, 0)
	b = appendLength(b, 3, ok)
	for _, h := range headers {
		if h.value == "" {
			b = appendText(b, 5, h.name)
		} else {
			b = appendOption(b, 2, h.name, h.value, overwrite)
		}
	}
	for _, name := range withheld(d) {
		b = appendText(b, 5, name)
	}
	b = appendOption(b, 6, id.name, id.value, overwrite)
	b = appendLength(b, 4, meta)
	for _, m := range members {
		b = appendMember(b, m.name, m.value)
	}
	return b
}

// denied puts what package answers has to say into a message. The gRPC code is never 0, which would be an allow.
func denied(d *Decision) *authv3.CheckResponse {
	t := tell(d)
	r := refuse(d, &t)
	response := &authv3.DeniedHttpResponse{Status: &typev3.HttpStatus{Code: typev3.StatusCode(r.status)}, Body: r.body}
	for _, h := range r.headers {
		response.Headers = append(response.Headers, option(h.name, h.value))
	}
	return &authv3.CheckResponse{
		Status:          &rpcstatus.Status{Code: int32(t.code), Message: t.title},
		HttpResponse:    &authv3.CheckResponse_DeniedResponse{DeniedResponse: response},
		DynamicMetadata: metadata(d),
	}
}

// challenge is made in the scheme by which the token came, DPoP with the algorithms of proofs (RFC 9449, section 7.1).
func challenge(d *Decision) string {
	if d.DPoP {
		return `DPoP realm="tiergate"` + challengeError(d) + `, algs="` + token.ProofAlgorithms() + `"`
	}
	return `Bearer realm="tiergate"` + challengeError(d)
}

// challengeError follows RFC 6750, section 3: no error code when no token came; and RFC 9470, section 3, for a login that
// does not suffice. The words of a policy's acr and amr need no quoting: policy.New refuses those that would. RFC 9470 has
// no parameter for amr.
func challengeError(d *Decision) string {
	switch wanted := d.Verdict.Challenge; {
	case d.Verdict.Reason == policy.ReasonIdentityMissing || d.Verdict.Tells == policy.TellsNothing:
		return ""
	case d.Verdict.Reason != policy.ReasonStepUp || wanted == nil:
		return `, error="invalid_token"`
	case wanted.SVID != nil:
		return svidError(wanted.SVID)
	default:
		text := `, error="insufficient_user_authentication", error_description="A stronger or fresher sign-in is required"`
		if len(wanted.ACR) > 0 {
			text += `, acr_values="` + strings.Join(wanted.ACR, " ") + `"`
		}
		if wanted.MaxAge > 0 {
			text += `, max_age="` + maxAgeOf(wanted) + `"`
		}
		return text
	}
}

// overwrite is set although Envoy 1.40 ignores append_action on OK headers, because later ones need not.
const overwrite = int32(corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD)

func header(name, value string) *corev3.HeaderValueOption { return option(name, headerSafe(value)) }

// option takes a value that is safe.
func option(name, value string) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{
		Header:       &corev3.HeaderValue{Key: name, Value: value},
		AppendAction: corev3.HeaderValueOption_HeaderAppendAction(overwrite),
	}
}

// headerSafe percent-encodes what has no place in a header value: bytes outside printable ASCII, and % itself where
// anything was encoded, so that two values never look alike.
func headerSafe(value string) string {
	for i := range len(value) {
		if !isHeaderByte(value[i]) {
			return headerEscaped(value)
		}
	}
	return value
}

func isHeaderByte(c byte) bool { return c >= 0x20 && c <= 0x7e && c != '%' }

func headerEscaped(value string) string {
	var b strings.Builder
	for i := range len(value) {
		if c := value[i]; isHeaderByte(c) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func metadata(d *Decision) *structpb.Struct {
	fields := map[string]*structpb.Value{}
	for _, t := range metadataTexts(d, headerSafe(d.Subject.String()), string(appendUntil(nil, d))) {
		fields[t.name] = structpb.NewStringValue(t.value)
	}
	return &structpb.Struct{Fields: fields}
}
