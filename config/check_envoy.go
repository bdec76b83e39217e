package config

import (
	"fmt"
	"time"
)

const (
	minCheckTimeout = time.Millisecond
	maxCheckTimeout = 2 * time.Second
)

func (c *check) envoy(s *Settings) {
	e := &s.Envoy
	names, audiences := unique{}, unique{}
	for i := range e.Listeners {
		listener, at := &e.Listeners[i], fmt.Sprintf("envoy.listeners[%d]", i)
		c.name(at+".name", listener.Name)
		c.unique(names, at+".name", listener.Name)
		c.name(at+".audience", listener.Audience)
		c.unique(audiences, at+".audience", listener.Audience)
		c.keyPair(at+".tls", &listener.TLS, s.Identity.WorkloadAPI)
		c.file(at+".clientCAFile", &listener.ClientCAFile)
		c.clients(at, listener, s.Identity.TrustDomains)
	}
	c.accessLog(e)
	hasClient, hasCA := c.document.Has("envoy.client"), c.document.Has("envoy.upstreamCAFile")
	if hasClient && !hasCA && (e.Client == nil || !e.Client.WorkloadAPI) {
		c.fault("envoy.client", "client without upstreamCAFile", "name the CA that upstreams are verified against")
	}
	if e.Client != nil {
		c.keyPair("envoy.client", e.Client, s.Identity.WorkloadAPI)
	}
	c.file("envoy.upstreamCAFile", &e.UpstreamCA)
	c.executable("envoy.binary", &e.Binary)
	c.envoyAdminSocket(s)
	c.minVersion("envoy.minVersion", e.MinVersion)
	if e.CheckTimeout < minCheckTimeout || e.CheckTimeout > maxCheckTimeout {
		c.fault("envoy.checkTimeout", fmt.Sprintf("checkTimeout is %s", e.CheckTimeout), "write a duration from 1ms to 2s")
	}
}

// keyPair wants both files, or neither where the Workload API gives Envoy its own certificate.
func (c *check) keyPair(at string, pair *KeyPair, api *WorkloadAPI) {
	c.file(at+".certFile", &pair.CertFile)
	c.file(at+".keyFile", &pair.KeyFile)
	files := c.document.Has(at+".certFile") || c.document.Has(at+".keyFile")
	switch {
	case !c.document.Has(at): // the decoder has said so
	case pair.WorkloadAPI && files:
		c.fault(at+".workloadAPI", "workloadAPI together with certFile or keyFile", "write one or the other")
	case pair.WorkloadAPI && api == nil:
		c.fault(at+".workloadAPI", "workloadAPI is true, and the settings name none",
			"write identity.workloadAPI: {socket: PATH}")
	case !pair.WorkloadAPI && !c.document.Has(at+".certFile"):
		c.fault(at, "there is no certificate: certFile is missing", "write certFile and keyFile, or workloadAPI: true")
	case !pair.WorkloadAPI && !c.document.Has(at+".keyFile"):
		c.fault(at, "there is no key: keyFile is missing", "write certFile and keyFile, or workloadAPI: true")
	}
}
