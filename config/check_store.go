package config

import (
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
)

func (c *check) store(s *Store) {
	const help = "write one of store.embedded and store.redis"
	switch {
	case s.Embedded != nil && s.Redis != nil:
		c.fault("store", "store has both embedded and redis", help)
	case s.Embedded == nil && s.Redis == nil && !c.document.Has("store.embedded") && !c.document.Has("store.redis"):
		c.fault("store", "no store is chosen", help)
	}
	if e := s.Embedded; e != nil && e.File != "" {
		c.embedded(e)
	}
	if s.Redis != nil {
		c.redis(s.Redis)
	}
}

// embedded wants the directory only: the file is made at the first start.
func (c *check) embedded(e *EmbeddedStore) {
	c.absolute(&e.File)
	parent := filepath.Dir(e.File)
	c.dir("store.embedded.file", &parent)
}

func (c *check) redis(r *RedisStore) {
	const at = "store.redis."
	c.redisAddress(r)
	if r.Username != "" && r.PasswordFile == "" {
		c.fault(at+"username", "username without passwordFile", "name the file that holds its password")
	}
	if r.ServerName != "" && r.CAFile == "" {
		c.fault(at+"serverName", "serverName without caFile", "name the CA that the server is verified against")
	}
	if r.ServerName != "" && !isHost(r.ServerName) {
		c.fault(at+"serverName", strconv.Quote(r.ServerName)+" is no host name",
			"write the name that the server's certificate has")
	}
	c.file(at+"passwordFile", &r.PasswordFile)
	c.file(at+"caFile", &r.CAFile)
	if r.WaitAOF != 0 && r.WaitAOF != 1 {
		c.fault(at+"waitAOF", "waitAOF is "+strconv.Itoa(r.WaitAOF), "write 0 or 1")
	}
}

// redisAddress checks the address and whether secrets are safe on the way to it.
func (c *check) redisAddress(r *RedisStore) {
	const at = "store.redis."
	switch host, port, err := net.SplitHostPort(r.Address); {
	case r.Address == "":
	case strings.HasPrefix(r.Address, "/"):
		if r.CAFile != "" {
			c.fault(at+"caFile", "caFile with a Unix socket", "remove it; a socket needs no TLS")
		}
	case err != nil || !isPort(port) || !isHost(host):
		c.fault(at+"address", strconv.Quote(r.Address)+" is neither host:port nor the absolute path of a socket",
			"write it as 127.0.0.1:6379 or /run/valkey/valkey.sock")
	case r.PasswordFile != "" && r.CAFile == "" && !isLoopback(host):
		c.fault(at+"passwordFile", "the password would cross the network in the clear",
			"set caFile for TLS, or use a loopback address or a Unix socket")
	}
}

func isPort(text string) bool {
	number, err := strconv.ParseUint(text, 10, 16)
	return err == nil && number > 0
}

// isHost accepts an IP address or a DNS name.
func isHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return host != "" && len(host) <= 253 && !strings.ContainsFunc(host, func(r rune) bool {
		return r != '-' && r != '.' && r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	})
}

// isLoopback knows localhost by name (RFC 6761 section 6.3).
func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}
