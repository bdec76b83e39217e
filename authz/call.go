package authz

import (
	"fmt"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/authz/token"
)

// Limits of what one Check may carry. Envoy's own default limit on all request headers is 60 KiB and 100 headers.
const (
	maxHeaders     = 256
	maxHeaderBytes = 96 << 10
)

// Keys of the context_extensions that our own xDS puts on routes.
const (
	extensionRoute    = policy.ContextRoute
	extensionTable    = policy.ContextTable
	extensionUpstream = policy.ContextUpstream
)

// Call is what a decision uses of a CheckRequest; nothing behind it knows a protobuf. Its texts are valid until the answer
// is written and not longer: they may be parts of the bytes that the message came in. Who keeps one clones it.
type Call struct {
	Method, Host, Path string
	Scheme             string   // http or https
	Authorization      []string // the values of the authorization header, one for each time it was sent, in any order
	Proofs             []string // the values of DPoP, likewise
	Forwarded          []string // the values of x-forwarded-client-cert, in the order in which they were sent
	Vouched            []byte   // wire bytes of the google.protobuf.Struct that Envoy's jwt_authn filter left; nil: nothing
	Certificate        string   // source.certificate: the peer's certificate, URL-encoded PEM
	Principal          string   // source.principal: the first URI SAN, as Envoy read it
	Peer               string   // source.address.socket_address.address, for the census alone: nobody is admitted by it
	Route, Table       string   // Envoy's choice of route and the digest of the table that it chose from
	Upstream           string   // where that route leads at Envoy
	Malformed          string   // why no decision can be made on this message; empty if one can
	Client             Client   // what the form of a refusal goes by, and nothing else

	slow func() // see exchange

	credential token.Credential // what the token is judged with; here, because it would else be made anew for each request
}

// metadataVouched is where Envoy's JWT filter leaves what it has verified (the filter's canonical name:
// envoy.extensions.filters.http.jwt_authn.v3.JwtProvider payload_in_metadata).
const metadataVouched = "envoy.filters.http.jwt_authn"

// waits tells the transport that something is waited for from here on, or that it takes long.
func (c *Call) waits() {
	if c.slow != nil {
		c.slow()
	}
}

const noHTTP = "the message has no HTTP attributes; ext_authz must run as an HTTP filter"

// parseCall reads a CheckRequest that protobuf has decoded. It says what the reader of wire bytes must yield, and takes
// its place where the settings say authz.reader: proto.
func parseCall(req *authv3.CheckRequest) *Call {
	attributes := req.GetAttributes()
	http := attributes.GetRequest().GetHttp()
	if http == nil {
		return &Call{Malformed: noHTTP}
	}
	call := &Call{
		Method: http.GetMethod(), Host: http.GetHost(), Path: http.GetPath(), Scheme: http.GetScheme(),
		Certificate: attributes.GetSource().GetCertificate(),
		Principal:   attributes.GetSource().GetPrincipal(),
		Peer:        attributes.GetSource().GetAddress().GetSocketAddress().GetAddress(),
		Route:       attributes.GetContextExtensions()[extensionRoute],
		Table:       attributes.GetContextExtensions()[extensionTable],
		Upstream:    attributes.GetContextExtensions()[extensionUpstream],
		Vouched:     wireOf(attributes.GetMetadataContext().GetFilterMetadata()[metadataVouched]),
	}
	if raw := http.GetHeaderMap(); raw != nil {
		call.readRawHeaders(raw.GetHeaders())
	} else {
		call.readHeaders(http.GetHeaders())
	}
	return call
}

// wireOf is a Struct in bytes; one that says nothing is none.
func wireOf(s *structpb.Struct) []byte {
	wire, err := proto.MarshalOptions{Deterministic: true}.Marshal(s)
	if err != nil || len(wire) == 0 {
		return nil // it cannot fail: what was decoded can be encoded
	}
	return wire
}

// readRawHeaders reads headers as encode_raw_headers sends them: every occurrence by itself, any bytes.
func (c *Call) readRawHeaders(headers []*corev3.HeaderValue) {
	size := 0
	for _, h := range headers {
		value := h.GetValue()
		if raw := h.GetRawValue(); len(raw) > 0 {
			value = string(raw)
		}
		size += len(h.GetKey()) + len(value)
		c.take(h.GetKey(), value)
	}
	c.limit(len(headers), size)
}

// readHeaders reads headers as Envoy sends them by default: occurrences of one name joined by commas.
func (c *Call) readHeaders(headers map[string]string) {
	size := 0
	for name, value := range headers {
		size += len(name) + len(value)
		c.take(name, value)
	}
	c.limit(len(headers), size)
	c.ordered()
}

// take keeps a header of which anything is kept.
func (c *Call) take(name, value string) {
	if list := c.proofsOf(name); list != nil {
		*list = append(*list, value)
	} else if kept := c.Client.header(name); kept != nil && *kept == "" {
		*kept = value
	}
}

// proofsOf is where the values of a header are kept, nil for a header of which nothing is. Names have no case; the length
// is compared first, which none but k and s could change in another case.
func (c *Call) proofsOf(name string) *[]string {
	const authorization, proof, forwarded = "authorization", "dpop", "x-forwarded-client-cert"
	switch len(name) {
	case len(authorization):
		if strings.EqualFold(name, authorization) {
			return &c.Authorization
		}
	case len(proof):
		if strings.EqualFold(name, proof) {
			return &c.Proofs
		}
	case len(forwarded):
		if strings.EqualFold(name, forwarded) {
			return &c.Forwarded
		}
	}
	return nil
}

// ordered refuses a call whose map of headers has x-forwarded-client-cert in several spellings: a map does not tell which
// one the last proxy wrote, and that one decides who is believed to ask.
func (c *Call) ordered() {
	if len(c.Forwarded) > 1 && c.Malformed == "" {
		c.refuse("the map of headers has x-forwarded-client-cert more than once; let Envoy send encode_raw_headers")
	}
}

// limit refuses a call with too many headers.
func (c *Call) limit(count, size int) {
	switch {
	case count > maxHeaders:
		c.refuse(fmt.Sprintf("the request has more than %d headers", maxHeaders))
	case size > maxHeaderBytes:
		c.refuse(fmt.Sprintf("the request has more than %d bytes of headers", maxHeaderBytes))
	}
}

// refuse leaves no credentials in a call: nobody is to judge them.
func (c *Call) refuse(why string) {
	c.Malformed = why
	c.Authorization, c.Proofs, c.Forwarded = c.Authorization[:0], c.Proofs[:0], c.Forwarded[:0]
	c.Certificate, c.Principal, c.Vouched = "", "", nil
	c.Client = Client{} // which of too many headers were read, the two readers do not agree on
}
