package xds

import (
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
)

const forwardedHeader = "x-forwarded-client-cert"

// setForwarded decides about x-forwarded-client-cert (HttpConnectionManager.forward_client_cert_details).
//
// Where nobody forwards, Envoy drops what clients send and writes who they are; upstreams may read that. Where somebody
// does, authz must see what the proxy sent, so Envoy appends to it (APPEND_FORWARD; to everybody's, since Envoy does not
// know whose word counts). What it appends has the Hash of its own peer, by which authz knows it, and By, if the
// listener's certificate has a URI name; the certificate itself goes to authz as source.certificate. A client without a
// certificate loses the header in both cases.
func (b *builder) setForwarded(hcm *hcmv3.HttpConnectionManager) {
	if b.in.Settings.Forwarders {
		hcm.ForwardClientCertDetails = hcmv3.HttpConnectionManager_APPEND_FORWARD
		return
	}
	hcm.ForwardClientCertDetails = hcmv3.HttpConnectionManager_SANITIZE_SET
	hcm.SetCurrentClientCertDetails = &hcmv3.HttpConnectionManager_SetCurrentClientCertDetails{
		Subject: yes(), Cert: true, Dns: true, Uri: true,
	}
}

// keptFromUpstreams are the headers that the router removes after ext_authz has seen them: with forwarders, what anybody
// says of others, because an upstream would have to know as well as authz whose word counts and which part of it. Who
// asked is told to upstreams by tiergate's own headers.
func (b *builder) keptFromUpstreams() []string {
	if b.in.Settings.Forwarders {
		return []string{forwardedHeader}
	}
	return nil
}

// forwarded checks that what clients say of others ends at authz.
func (c *checker) forwarded(listener string, hcm *hcmv3.HttpConnectionManager) {
	switch mode := hcm.GetForwardClientCertDetails(); mode {
	case hcmv3.HttpConnectionManager_SANITIZE_SET, hcmv3.HttpConnectionManager_SANITIZE:
	case hcmv3.HttpConnectionManager_APPEND_FORWARD:
		if c.open[listener] {
			c.fail("listener %s: a client's %s would reach upstreams", listener, forwardedHeader)
		}
	default:
		c.fail("listener %s: passes a client's %s on as it is (%s)", listener, forwardedHeader, mode)
	}
}
