package config

import (
	"fmt"
	"time"
)

const (
	minCheckTimeout = time.Millisecond
	maxCheckTimeout = 2 * time.Second
)

func (c *check) envoy(e *Envoy) {
	names, audiences := unique{}, unique{}
	for i := range e.Listeners {
		listener, at := &e.Listeners[i], fmt.Sprintf("envoy.listeners[%d]", i)
		c.name(at+".name", listener.Name)
		c.unique(names, at+".name", listener.Name)
		c.name(at+".audience", listener.Audience)
		c.unique(audiences, at+".audience", listener.Audience)
		c.keyPair(at+".tls", &listener.TLS)
		c.file(at+".clientCAFile", &listener.ClientCAFile)
	}
	hasClient, hasCA := c.document.Has("envoy.client"), c.document.Has("envoy.upstreamCAFile")
	if hasClient && !hasCA {
		c.fault("envoy.client", "client without upstreamCAFile", "name the CA that upstreams are verified against")
	}
	if hasCA && !hasClient {
		c.fault("envoy.upstreamCAFile", "upstreamCAFile without client", "name the certificate that Envoy shows to upstreams")
	}
	if e.Client != nil {
		c.keyPair("envoy.client", e.Client)
	}
	c.file("envoy.upstreamCAFile", &e.UpstreamCA)
	if e.CheckTimeout < minCheckTimeout || e.CheckTimeout > maxCheckTimeout {
		c.fault("envoy.checkTimeout", fmt.Sprintf("checkTimeout is %s", e.CheckTimeout), "write a duration from 1ms to 2s")
	}
}

func (c *check) keyPair(at string, pair *KeyPair) {
	c.file(at+".certFile", &pair.CertFile)
	c.file(at+".keyFile", &pair.KeyFile)
}
