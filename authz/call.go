package authz

import (
	"fmt"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
)

// Limits of what one Check may carry. Envoy's own default limit on all request headers is 60 KiB and 100 headers.
const (
	maxHeaders     = 256
	maxHeaderBytes = 96 << 10
)

// Keys of the context_extensions that our own xDS puts on routes.
const (
	extensionRoute = "tiergate.route"
	extensionTable = "tiergate.table"
)

// Call is what a decision uses of a CheckRequest; nothing behind it knows a protobuf.
type Call struct {
	Method, Host, Path string
	Authorization      []string // the values of the authorization header, one for each time it was sent
	Certificate        string   // source.certificate: the peer's certificate, URL-encoded PEM
	Principal          string   // source.principal: the first URI SAN, as Envoy read it
	Route, Table       string   // Envoy's choice of route and the digest of the table that it chose from
	Malformed          string   // why no decision can be made on this message; empty if one can
}

// parseCall is the only reader of a CheckRequest.
func parseCall(req *authv3.CheckRequest) *Call {
	attributes := req.GetAttributes()
	http := attributes.GetRequest().GetHttp()
	if http == nil {
		return &Call{Malformed: "the message has no HTTP attributes; ext_authz must run as an HTTP filter"}
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
		if strings.EqualFold(h.GetKey(), "authorization") {
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
		if strings.EqualFold(name, "authorization") {
			c.Authorization = append(c.Authorization, value)
		}
	}
	c.limit(len(headers), size)
}

func (c *Call) limit(count, size int) {
	switch {
	case count > maxHeaders:
		c.Malformed = fmt.Sprintf("the request has %d headers; the limit is %d", count, maxHeaders)
	case size > maxHeaderBytes:
		c.Malformed = fmt.Sprintf("the request has %d bytes of headers; the limit is %d", size, maxHeaderBytes)
	}
}
