package config

import "fmt"

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
