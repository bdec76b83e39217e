package xds

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	earlyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/early_header_mutation/header_mutation/v3"
)

// hearsay are the beginnings of headers by which proxies tell each other who asks, and for what. Those that a client sends
// are removed before anything reads them: an application that once stood behind another proxy may still believe them.
// Envoy then sets its own x-forwarded-for, x-forwarded-proto and x-envoy-*. Not x-forwarded-client-cert, which Envoy itself
// replaces, or hands to authz (setForwarded).
var hearsay = []string{
	HeaderPrefix, "x-envoy-", "forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix",
	"x-forwarded-proto", "x-forwarded-scheme", "x-forwarded-server", "x-forwarded-ssl", "x-forwarded-by", "x-forwarded-uri",
	"x-forwarded-url", "x-forwarded-path", "x-forwarded-method", "x-forwarded-user", "x-forwarded-email",
	"x-forwarded-groups", "x-forwarded-preferred-username", "x-forwarded-access-token", "x-auth-request-", "x-remote-user",
	"remote-user", "x-original-", "x-rewrite-url", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "true-client-ip",
	"cf-connecting-ip", "fastly-client-ip", "x-host", "x-http-method", "x-method-override", "x-scheme", "x-url-scheme",
}

// setProvenance takes the client's word about who it is from its certificate and address, and from authz alone whose word on
// others counts. No address is internal.
func (b *builder) setProvenance(hcm *hcmv3.HttpConnectionManager) {
	hcm.UseRemoteAddress = yes()
	hcm.InternalAddressConfig = &hcmv3.HttpConnectionManager_InternalAddressConfig{
		// No range at all would mean Envoy's default, the private networks. Nobody calls from this address.
		CidrRanges: []*corev3.CidrRange{{AddressPrefix: "0.0.0.0", PrefixLen: number(32)}},
	}
	b.setForwarded(hcm)
	mutation := &earlyv3.HeaderMutation{}
	for _, prefix := range hearsay {
		mutation.Mutations = append(mutation.Mutations, removed(prefix))
	}
	hcm.EarlyHeaderMutationExtensions = []*corev3.TypedExtensionConfig{{
		Name: earlyMutation, TypedConfig: b.pack(mutation),
	}}
}
