package xds

import (
	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	mutatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	codecv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/upstream_codec/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
)

const (
	mutationFilter = "envoy.filters.http.header_mutation"
	codecFilter    = "envoy.filters.http.upstream_codec"
)

// router takes x-tiergate-* off the headers and trailers of what upstreams answer, so that none can speak to a client as
// tiergate. It does so on the upstream's side of the router, where nothing else comes by: among the listener's filters it
// would take the id off a refusal, too, and off what ext_authz adds.
func (b *builder) router() *routerv3.Router {
	ours := []*mutationv3.HeaderMutation{removed(HeaderPrefix)}
	return &routerv3.Router{SuppressEnvoyHeaders: true, UpstreamHttpFilters: []*hcmv3.HttpFilter{
		b.httpFilter(mutationFilter, &mutatev3.HeaderMutation{
			Mutations: &mutatev3.Mutations{ResponseMutations: ours, ResponseTrailersMutations: ours},
		}),
		b.httpFilter(codecFilter, &codecv3.UpstreamCodec{}),
	}}
}

// removed takes off all headers whose names begin so, in any case.
func removed(prefix string) *mutationv3.HeaderMutation {
	return &mutationv3.HeaderMutation{
		Action: &mutationv3.HeaderMutation_RemoveOnMatch_{
			RemoveOnMatch: &mutationv3.HeaderMutation_RemoveOnMatch{KeyMatcher: &matcherv3.StringMatcher{
				MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: prefix}, IgnoreCase: true,
			}},
		},
	}
}
