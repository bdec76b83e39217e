package xds

import (
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
)

// told are the request headers that authz is sent; method, scheme, host and path reach it as attributes of their own, and
// the client's certificate as source.certificate. Whatever else a client sends, its cookies first, stays with Envoy and the
// upstream.
var told = []string{
	// What a decision is made of (authz.Call).
	"authorization", "dpop",
	// What the form of a refusal goes by: whether a person, an application or a gRPC client is to read it.
	"accept", "accept-language", "access-control-request-method", "content-type", "origin", "sec-fetch-dest",
	"sec-fetch-mode", "sec-fetch-site", "x-requested-with",
}

// allowedHeaders lets nothing else into a check (ExtAuthz.allowed_headers). x-forwarded-client-cert is what proxies say of
// others: where there is none whose word counts, Envoy's own account of the certificate would only repeat it.
func (b *builder) allowedHeaders() *matcherv3.ListStringMatcher {
	names := told
	if b.in.Settings.Forwarders {
		names = append([]string{forwardedHeader}, told...)
	}
	list := &matcherv3.ListStringMatcher{}
	for _, name := range names {
		list.Patterns = append(list.Patterns, &matcherv3.StringMatcher{
			MatchPattern: &matcherv3.StringMatcher_Exact{Exact: name}, IgnoreCase: true,
		})
	}
	return list
}
