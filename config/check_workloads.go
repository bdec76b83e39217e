package config

import (
	"fmt"
	"slices"
)

// maxAgentSocket is what sockaddr_un holds besides its terminating zero (unix(7)).
const maxAgentSocket = 107

// workloads checks what comes from the Workload API, and what needs it. The socket need not be there yet.
func (c *check) workloads(s *Settings) {
	api := s.Identity.WorkloadAPI
	if api != nil && api.Socket != "" {
		c.absolute(&api.Socket)
		if len(api.Socket) > maxAgentSocket {
			c.fault("identity.workloadAPI.socket", fmt.Sprintf("the socket path %s has %d bytes; at most %d are possible",
				api.Socket, len(api.Socket), maxAgentSocket), "write a shorter path, such as that of a symbolic link")
		}
	}
	for i := range s.Identity.TrustDomains {
		at := fmt.Sprintf("identity.trustDomains[%d]", i)
		if api == nil && !c.document.Has(at+".bundleFile") {
			c.fault(at, "there is no bundleFile, and no Workload API to follow",
				"write bundleFile, or identity.workloadAPI: {socket: PATH}")
		}
	}
	if s.Authz.Listen == nil {
		return
	}
	if api == nil {
		c.fault("authz.listen", "listen without identity.workloadAPI, from which our own certificate comes",
			"write identity.workloadAPI: {socket: PATH}")
	}
	c.spiffePatterns("authz.listen.envoys", s.Authz.Listen.Envoys, s.Identity.TrustDomains)
}

// clientTrustDomains wants domains that follow the Workload API: the certificates of the others are in files, which
// clientCAFile can name.
func (c *check) clientTrustDomains(at string, l *Listener, domains []TrustDomain) {
	if !c.document.Has(at+".clientCAFile") && len(l.ClientTrustDomains) == 0 {
		c.fault(at, "nothing says who may connect", "write clientCAFile or clientTrustDomains, or both")
	}
	c.list(at+".clientTrustDomains", l.ClientTrustDomains)
	for i, name := range l.ClientTrustDomains {
		path := fmt.Sprintf("%s.clientTrustDomains[%d]", at, i)
		known := slices.IndexFunc(domains, func(d TrustDomain) bool { return d.Name == name })
		switch {
		case known < 0:
			c.fault(path, fmt.Sprintf("the settings name no trust domain %q", name),
				"add it to identity.trustDomains, or remove it")
		case domains[known].BundleFile != "":
			c.fault(path, fmt.Sprintf("the certificates of trust domain %s are in a file", name),
				"name the file in clientCAFile, or remove its bundleFile to follow the Workload API")
		}
	}
}
