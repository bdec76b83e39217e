package main

import (
	"bytes"

	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/xds"
)

// envoyClients says of a listener who may connect and what exists there. read has the contents of files that count, live the
// bundles of trust domains that rotate. A listener that would admit nobody yet, because no bundle of its trust domains is
// there, is awaited.
func envoyClients(to *xds.Listener, l *config.Listener, domains []config.TrustDomain, read func(setting, file string) []byte,
	live func(domain string) []byte) {
	to.ClientCA = read("envoy.listeners["+l.Name+"].clientCAFile", l.ClientCAFile)
	to.ClientSPIFFEIDs = l.ClientSPIFFEIDs
	known := false
	for i, d := range domains {
		for _, name := range l.ClientTrustDomains {
			if name != d.Name {
				continue
			}
			if to.TrustDomains == nil {
				to.TrustDomains = map[string][]byte{}
			}
			if d.BundleFile != "" {
				to.TrustDomains[name] = read(domainBundle(i), d.BundleFile)
			} else {
				to.TrustDomains[name] = live(name)
			}
			known = known || len(bytes.TrimSpace(to.TrustDomains[name])) > 0
		}
	}
	to.Awaited = len(to.TrustDomains) > 0 && !known && len(bytes.TrimSpace(to.ClientCA)) == 0
	switch l.ClientCertificates {
	case config.CertificatesOptional:
		to.ClientCertificates = xds.CertificateOptional
	case config.CertificatesNone:
		to.ClientCertificates = xds.CertificateNone
	}
	to.Serves = servesOf(l.Serves)
}

func servesOf(text string) xds.Serves {
	switch text {
	case config.ServesUsers:
		return xds.ServesUsers
	case config.ServesWorkloads:
		return xds.ServesWorkloads
	}
	return xds.ServesAll
}

// envoyOutlets says where Envoy answers probes and where its access logs go.
func envoyOutlets(to *xds.Settings, e *config.Envoy) {
	if e.Health != nil {
		to.Health = e.Health.Address
	}
	if e.AccessLog == nil {
		return
	}
	to.AccessLog = e.AccessLog.File
	if g := e.AccessLog.GRPC; g != nil {
		to.AccessLogService = &xds.AccessLogService{Socket: g.Socket, Address: g.Address, SPIFFEID: g.SPIFFEID}
	}
}
