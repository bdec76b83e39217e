package xds

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// webSocket is the one upgrade (RFC 6455) that there is, on routes that say so.
const webSocket = "websocket"

// setUpgrades leaves WebSockets to single routes: the listener knows the upgrade and refuses it (403), and a route turns it
// on for itself. So that a listener does not change with its routes, HTTP/2 clients are told of extended CONNECT (RFC 8441)
// always. Tunnels (CONNECT, CONNECT-UDP) and every other upgrade are refused.
func setUpgrades(hcm *hcmv3.HttpConnectionManager) {
	hcm.UpgradeConfigs = []*hcmv3.HttpConnectionManager_UpgradeConfig{
		{UpgradeType: webSocket, Enabled: wrapperspb.Bool(false)},
	}
	if hcm.Http2ProtocolOptions == nil {
		hcm.Http2ProtocolOptions = &corev3.Http2ProtocolOptions{}
	}
	hcm.Http2ProtocolOptions.AllowConnect = true
}

// upgrades wants no upgrade that every route would have.
func (c *checker) upgrades(listener string, hcm *hcmv3.HttpConnectionManager) {
	for _, u := range hcm.GetUpgradeConfigs() {
		if u.GetUpgradeType() != webSocket || u.GetEnabled() == nil || u.GetEnabled().GetValue() || len(u.GetFilters()) > 0 {
			c.fail("listener %s: upgrades to %q whatever the route, or past ext_authz", listener, u.GetUpgradeType())
		}
	}
}
