package config

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
)

// Whether a listener's clients show a certificate (Listener.ClientCertificates), and what exists on it (Listener.Serves).
const (
	CertificatesRequired = "required"
	CertificatesOptional = "optional"
	CertificatesNone     = "none"

	ServesAll       = "all"
	ServesUsers     = "users"
	ServesWorkloads = "workloads"
)

// clients wants to know who may connect, unless nobody is asked for a certificate.
func (c *check) clients(at string, l *Listener, domains []TrustDomain) {
	c.oneOf(at+".clientCertificates", l.ClientCertificates, CertificatesRequired, CertificatesOptional, CertificatesNone)
	c.oneOf(at+".serves", l.Serves, ServesAll, ServesUsers, ServesWorkloads)
	if l.ClientCertificates == CertificatesNone {
		for _, field := range []string{".clientCAFile", ".clientTrustDomains", ".clientSPIFFEIDs"} {
			if c.document.Has(at + field) {
				c.fault(at+field, last(at+field)+" where nobody is asked for a certificate",
					"remove it, or write clientCertificates: optional or required")
			}
		}
		if l.Serves == ServesWorkloads {
			c.fault(at+".serves", "workloads are known by their certificates, and nobody is asked for one",
				"write clientCertificates: required, or serves: users")
		}
		return
	}
	c.clientTrustDomains(at, l, domains)
	c.clientSPIFFEIDs(at, l, domains)
	named := c.document.Has(at + ".clientSPIFFEIDs")
	if l.ClientCertificates == CertificatesOptional && (named || l.ClientCAFile == "" && len(l.ClientTrustDomains) > 0) {
		c.fault(at+".clientCertificates", "Envoy lets nobody in without a certificate where clientSPIFFEIDs or only "+
			"clientTrustDomains say who may connect",
			"name CAs alone, in clientCAFile, or give clients with tokens a listener of their own")
	}
}

// clientTrustDomains wants domains that the settings name.
func (c *check) clientTrustDomains(at string, l *Listener, domains []TrustDomain) {
	if !c.document.Has(at+".clientCAFile") && len(l.ClientTrustDomains) == 0 {
		c.fault(at, "nothing says who may connect",
			"write clientCAFile or clientTrustDomains, or both; or clientCertificates: none")
	}
	c.list(at+".clientTrustDomains", l.ClientTrustDomains)
	for i, name := range l.ClientTrustDomains {
		if !slices.ContainsFunc(domains, func(d TrustDomain) bool { return d.Name == name }) {
			c.fault(fmt.Sprintf("%s.clientTrustDomains[%d]", at, i), fmt.Sprintf("the settings name no trust domain %q", name),
				"add it to identity.trustDomains, or remove it")
		}
	}
}

// clientSPIFFEIDs wants names that somebody can have: where only trust domains may sign, names of these.
func (c *check) clientSPIFFEIDs(at string, l *Listener, domains []TrustDomain) {
	at += ".clientSPIFFEIDs"
	if !c.document.Has(at) {
		return
	}
	if len(l.ClientSPIFFEIDs) == 0 {
		c.fault(at, "clientSPIFFEIDs is empty, which would let in whoever has a certificate",
			"name at least one SPIFFE ID or pattern, or remove it")
	}
	c.spiffePatterns(at, l.ClientSPIFFEIDs, domains)
	if l.ClientCAFile != "" || len(l.ClientTrustDomains) == 0 {
		return
	}
	for i, id := range l.ClientSPIFFEIDs {
		parts := spiffePattern.FindStringSubmatch(id)
		if parts != nil && !slices.Contains(l.ClientTrustDomains, parts[1]) {
			c.fault(fmt.Sprintf("%s[%d]", at, i), fmt.Sprintf("nobody has %.200q here: %s is none of the listener's clientTrustDomains",
				id, parts[1]), "add the domain to clientTrustDomains, or remove the entry")
		}
	}
}

// accessLog wants places that are there when Envoy starts, wherever it runs.
func (c *check) accessLog(e *Envoy) {
	const at = "envoy.accessLog"
	log := e.AccessLog
	if log == nil {
		return
	}
	if !c.document.Has(at+".file") && log.GRPC == nil && !c.document.Has(at+".grpc") {
		c.fault(at, "accessLog says nowhere to", "write file or grpc, or both; or remove it")
	}
	if c.document.Has(at+".file") && !filepath.IsAbs(log.File) {
		c.fault(at+".file", fmt.Sprintf("%q is no absolute path", log.File),
			"write an absolute path, as it is for Envoy, or /dev/stdout")
	}
	if log.GRPC != nil {
		c.accessLogService(at+".grpc", log.GRPC, e.Client != nil || c.document.Has("envoy.client"))
	}
}

func (c *check) accessLogService(at string, g *AccessLogService, client bool) {
	socket, address := c.document.Has(at+".socket"), c.document.Has(at+".address")
	switch {
	case socket == address:
		c.fault(at, "the service of access logs is not in exactly one place", "write socket, or address and spiffeID")
	case socket && (!filepath.IsAbs(g.Socket) || len(g.Socket) > maxAgentSocket):
		c.fault(at+".socket", fmt.Sprintf("%q is no absolute path of at most %d bytes", g.Socket, maxAgentSocket),
			"write the path of the service's Unix socket")
	case socket && c.document.Has(at+".spiffeID"):
		c.fault(at+".spiffeID", "spiffeID with a Unix socket", "remove it; a socket's peer needs no further proof")
	case address:
		c.ipPort(at+".address", g.Address, 1)
		if parts := spiffePattern.FindStringSubmatch(g.SPIFFEID); parts == nil || strings.Contains(parts[2], "*") {
			where := at
			if c.document.Has(at + ".spiffeID") {
				where += ".spiffeID"
			}
			c.fault(where, fmt.Sprintf("spiffeID is %q", g.SPIFFEID), "write the SPIFFE ID of the service, such as spiffe://acme.example/als")
		}
		if !client {
			c.fault(at+".address", "address without envoy.client, the certificate that Envoy shows there",
				"write envoy.client, or socket instead of address")
		}
	}
}

// probes is the address on which Envoy answers them, if any.
func (c *check) probes(e *Envoy) (path string, address netip.AddrPort, ok bool) {
	if e.Health == nil {
		return "", netip.AddrPort{}, false
	}
	const at = "envoy.health.address"
	if len(e.Listeners) == 0 {
		c.fault("envoy.health", "health, and this process programs no Envoy", "write envoy.listeners, or remove it")
	}
	return at, c.ipPort(at, e.Health.Address, 1), true
}
