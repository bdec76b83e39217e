package authz

import (
	"net/http"
	"strings"

	"github.com/tiergate/tiergate/authz/answers"
)

// form is how a refusal is written, so that whoever asked can read it.
type form uint8

const (
	formProblem     form = iota // application/problem+json (RFC 9457), for whatever shows that it is nothing else
	formPage                    // an HTML page, for a person who goes somewhere with a browser
	formGRPC                    // status headers without a body; Envoy makes trailers of them
	formGRPCWeb                 // likewise, of binary gRPC-Web
	formGRPCWebText             // likewise, of gRPC-Web in base64
	formConnect                 // the error of the Connect protocol, for unary and streaming calls
)

func (f form) String() string {
	return [...]string{"problem", "page", "grpc", "grpc-web", "grpc-web-text", "connect"}[f]
}

// Client is what a client says of itself and of what it can read, as it says it: the headers are lower case, as Envoy
// sends them, and the first of a name counts. It tells how a refusal is written and never what is decided.
type Client struct {
	Accept, AcceptLanguage, ContentType string
	FetchMode, FetchDest, FetchSite     string // Sec-Fetch-* (W3C Fetch Metadata)
	RequestedWith                       string // X-Requested-With, by which scripts show themselves
	Origin, PreflightMethod             string // Origin and Access-Control-Request-Method
}

// header is where the value of a header is kept, nil for one of which nothing is. Envoy writes names in lower case; a map
// of headers has each spelling but once, so that the order of a map never counts.
func (c *Client) header(name string) *string {
	switch name {
	case "accept":
		return &c.Accept
	case "accept-language":
		return &c.AcceptLanguage
	case "content-type":
		return &c.ContentType
	case "sec-fetch-mode":
		return &c.FetchMode
	case "sec-fetch-dest":
		return &c.FetchDest
	case "sec-fetch-site":
		return &c.FetchSite
	case "x-requested-with":
		return &c.RequestedWith
	case "origin":
		return &c.Origin
	case "access-control-request-method":
		return &c.PreflightMethod
	}
	return nil
}

// formOf chooses the form in which a call can read a refusal; nil is a call of which nothing is known.
func formOf(call *Call) form {
	if call == nil {
		return formProblem
	}
	client := &call.Client
	if f, ok := formOfContent(client.ContentType); ok {
		return f
	}
	switch {
	case navigates(client):
		return formPage
	case call.Method == http.MethodGet && connectGet(call.Path):
		return formConnect
	}
	return formProblem
}

// formOfContent knows the protocols by the type of the request's content. gRPC: application/grpc, also with a format
// (gRPC over HTTP/2, Content-Type); gRPC-Web: PROTOCOL-WEB.md, Content-Type; Connect: application/connect+FORMAT of
// streams and application/proto of unary calls (the Connect protocol, Unary-Content-Type). A unary call in JSON looks like
// any other request with JSON, and is answered like it.
func formOfContent(value string) (form, bool) {
	name, _, _ := strings.Cut(value, ";")
	name = strings.ToLower(strings.TrimSpace(answers.Bounded(name)))
	kind, _, _ := strings.Cut(name, "+")
	switch kind {
	case "application/grpc":
		return formGRPC, true
	case "application/grpc-web":
		return formGRPCWeb, true
	case "application/grpc-web-text":
		return formGRPCWebText, true
	case "application/proto", "application/connect":
		return formConnect, true
	}
	return formProblem, false
}

// connectStream is the type of a stream of the Connect protocol, whose errors come at the end of a stream that is fine; "":
// the call is unary.
func connectStream(call *Call) string {
	name, _, _ := strings.Cut(call.Client.ContentType, ";")
	switch strings.ToLower(strings.TrimSpace(answers.Bounded(name))) {
	case "application/connect+json":
		return "application/connect+json"
	case "application/connect+proto", "application/connect":
		return "application/connect+proto"
	}
	return ""
}

// connectGet: the query is one of a Connect call by GET, which says connect=v1 (the Connect protocol, Unary-Get-Request).
func connectGet(path string) bool {
	_, query, _ := strings.Cut(path, "?")
	for part := range strings.SplitSeq(answers.Bounded(query), "&") {
		if part == "connect=v1" {
			return true
		}
	}
	return false
}

// navigates: a person goes somewhere with a browser. One that sends Sec-Fetch-Mode says so itself, and says of scripts
// that they are scripts, which must not be sent pages whatever they accept; of others it is taken from what they accept,
// unless a script shows itself by X-Requested-With.
func navigates(c *Client) bool {
	switch {
	case c.FetchMode != "":
		return c.FetchMode == "navigate"
	case c.FetchDest != "":
		return c.FetchDest == "document"
	}
	return c.RequestedWith == "" && answers.PrefersPage(c.Accept)
}
