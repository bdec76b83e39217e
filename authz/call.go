package authz

import (
	"fmt"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/tiergate/tiergate/authz/policy"
)

// Limits of what one Check may carry. Envoy's own default limit on all request headers is 60 KiB and 100 headers.
const (
	maxHeaders     = 256
	maxHeaderBytes = 96 << 10
)

// Keys of the context_extensions that our own xDS puts on routes.
const (
	extensionRoute = policy.ContextRoute
	extensionTable = policy.ContextTable
)

// Call is what a decision uses of a CheckRequest; nothing behind it knows a protobuf. Its texts are valid until the answer
// is written and not longer: they may be parts of the bytes that the message came in. Who keeps one clones it.
type Call struct {
	Method, Host, Path string
	Authorization      []string // the values of the authorization header, one for each time it was sent, in any order
	Certificate        string   // source.certificate: the peer's certificate, URL-encoded PEM
	Principal          string   // source.principal: the first URI SAN, as Envoy read it
	Route, Table       string   // Envoy's choice of route and the digest of the table that it chose from
	Malformed          string   // why no decision can be made on this message; empty if one can
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
		Method: http.GetMethod(), Host: http.GetHost(), Path: http.GetPath(),
		Certificate: attributes.GetSource().GetCertificate(),
		Principal:   attributes.GetSource().GetPrincipal(),
		Route:       attributes.GetContextExtensions()[extensionRoute],
		Table:       attributes.GetContextExtensions()[extensionTable],
	}
	if raw := http.GetHeaderMap(); raw != nil {
		call.readRawHeaders(raw.GetHeaders())
	} else {
		call.readHeaders(http.GetHeaders())
	}
	return call
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
		if isAuthorization(h.GetKey()) {
			c.Authorization = append(c.Authorization, value)
		}
	}
	c.limit(len(headers), size)
}

// readHeaders reads headers as Envoy sends them by default: occurrences of one name joined by commas.
func (c *Call) readHeaders(headers map[string]string) {
	size := 0
	for name, value := range headers {
		size += len(name) + len(value)
		if isAuthorization(name) {
			c.Authorization = append(c.Authorization, value)
		}
	}
	c.limit(len(headers), size)
}

func isAuthorization(name string) bool { return strings.EqualFold(name, "authorization") }

// limit refuses a call with too many headers. It then holds no credentials: nobody is to judge them.
func (c *Call) limit(count, size int) {
	switch {
	case count > maxHeaders:
		c.Malformed = fmt.Sprintf("the request has more than %d headers", maxHeaders)
	case size > maxHeaderBytes:
		c.Malformed = fmt.Sprintf("the request has more than %d bytes of headers", maxHeaderBytes)
	default:
		return
	}
	c.Authorization, c.Certificate, c.Principal = c.Authorization[:0], "", ""
}
