package xds

import (
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	previousv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/tiergate/tiergate/authz/policy"
)

const (
	// webSocketIdle is how long a WebSocket may be silent; other streams have streamIdleSeconds.
	webSocketIdle = time.Hour

	otherHost         = "envoy.retry_host_predicates.previous_hosts"
	otherHostAttempts = 5 // draws for a host that was not tried; then any will do
)

// action leads to the upstream. The response may take as long as it keeps coming: the stream's idle timeout bounds it. A
// client's own deadline (grpc-timeout) ends the stream in time even if the upstream does not; Envoy neither demands nor
// shortens one.
func (b *builder) action(l Listener, r policy.Route) *routev3.RouteAction {
	action := &routev3.RouteAction{
		ClusterSpecifier:  &routev3.RouteAction_Cluster{Cluster: b.cluster(l, r)},
		Timeout:           seconds(0),
		MaxStreamDuration: &routev3.RouteAction_MaxStreamDuration{GrpcTimeoutHeaderMax: seconds(0)},
		RetryPolicy:       b.retry(b.upstreams[r.Upstream]),
	}
	if r.WebSocket {
		action.UpgradeConfigs = []*routev3.RouteAction_UpgradeConfig{
			{UpgradeType: "websocket", Enabled: wrapperspb.Bool(true)},
		}
		action.IdleTimeout = duration(webSocketIdle)
	}
	return action
}

// retry tries another endpoint, once, where there may be one, and only with what was certainly not taken: no connection
// was had, or the server refused the stream before it looked at it (RFC 9113, section 8.7). Nothing is ever sent twice.
func (b *builder) retry(u policy.Upstream) *routev3.RetryPolicy {
	if !severalHosts(u) {
		return nil
	}
	return &routev3.RetryPolicy{
		RetryOn:    "connect-failure,refused-stream",
		NumRetries: number(1),
		// At once: the other host has nothing to recover from.
		RetryBackOff: &routev3.RetryPolicy_RetryBackOff{
			BaseInterval: duration(time.Millisecond), MaxInterval: duration(2 * time.Millisecond),
		},
		RetryHostPredicate: []*routev3.RetryPolicy_RetryHostPredicate{{
			Name:       otherHost,
			ConfigType: &routev3.RetryPolicy_RetryHostPredicate_TypedConfig{TypedConfig: b.pack(&previousv3.PreviousHostsPredicate{})},
		}},
		HostSelectionRetryMaxAttempts: otherHostAttempts,
	}
}

// severalHosts: a name may stand for any number of addresses.
func severalHosts(u policy.Upstream) bool {
	if len(u.Endpoints) > 1 {
		return true
	}
	for _, text := range u.Endpoints {
		if e, err := policy.ParseEndpoint(text); err == nil && !e.Literal() {
			return true
		}
	}
	return false
}
