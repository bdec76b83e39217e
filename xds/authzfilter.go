package xds

import (
	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const authzFilter = "envoy.filters.http.ext_authz"

// settableHeaders are the request headers that a decision may set or remove; anything else is an error, never dropped
// in silence. x-envoy-upstream-stream-duration-ms bounds the life of a stream, decision by decision; authorization and dpop are
// removed where a route says token: remove.
const settableHeaders = `x-tiergate-[a-z0-9-]+|x-envoy-upstream-stream-duration-ms|authorization|dpop`

// authzFilter asks for every request and fails closed: no answer in time is a 503, there is no runtime key that
// switches the filter off, and no decision moves a request to another route (clear_route_cache stays false). Headers go to
// authz as they came, duplicates and bytes that are no UTF-8 included, and only those that it is told (allowedHeaders). Bodies
// do not go.
func (b *builder) authzFilter() *authzv3.ExtAuthz {
	filter := &authzv3.ExtAuthz{
		TransportApiVersion: corev3.ApiVersion_V3,
		StatPrefix:          "tiergate",
		Services: &authzv3.ExtAuthz_GrpcService{GrpcService: &corev3.GrpcService{
			TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
				EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: authzCluster},
			},
			Timeout: duration(b.in.Settings.CheckTimeout),
		}},
		FailureModeAllow:            false,
		StatusOnError:               &typev3.HttpStatus{Code: typev3.StatusCode_ServiceUnavailable},
		ValidateMutations:           true,
		IncludePeerCertificate:      true,
		IncludeTlsSession:           true,
		EncodeRawHeaders:            true,
		AllowedHeaders:              b.allowedHeaders(),
		EnforceResponseHeaderLimits: true,
		ChargeClusterResponseStats:  wrapperspb.Bool(false),
		DecoderHeaderMutationRules: &mutationv3.HeaderMutationRules{
			DisallowAll:     yes(),
			AllowEnvoy:      yes(),
			AllowExpression: &matcherv3.RegexMatcher{Regex: settableHeaders},
			DisallowIsError: yes(),
		},
	}
	if len(b.in.Settings.TokenIssuers) > 0 {
		filter.MetadataContextNamespaces = []string{jwtFilter}
	}
	return filter
}
