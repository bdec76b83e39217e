package config

import (
	"fmt"
	"path/filepath"
	"slices"
)

// EnvoyAdminSocket is where Envoy's admin interface is: envoy.adminSocket, or envoy-admin.sock in the runtime directory.
func (s *Settings) EnvoyAdminSocket() string {
	if s.Envoy.AdminSocket != "" {
		return s.Envoy.AdminSocket
	}
	return filepath.Join(s.RuntimeDir, "envoy-admin.sock")
}

func (c *check) envoyAdminSocket(s *Settings) {
	if s.Envoy.AdminSocket == "" {
		return
	}
	c.absolute(&s.Envoy.AdminSocket)
	sockets, err := s.Sockets()
	path := s.Envoy.AdminSocket
	switch own := []string{sockets.Authz, sockets.XDS, sockets.Admin, sockets.IngestAdmin}; {
	case len(path) > maxSocketPath:
		c.fault("envoy.adminSocket", fmt.Sprintf("the socket path %s has %d bytes; at most %d are possible", path, len(path),
			maxSocketPath), "choose a shorter path")
	case err == nil && slices.Contains(own, path):
		c.fault("envoy.adminSocket", path+" is tiergate's own socket", "name the one that Envoy is to serve its admin interface on")
	}
}
