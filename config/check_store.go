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
	socket := strings.HasPrefix(r.Address, "/")
	host, port, err := net.SplitHostPort(r.Address)
	number, errPort := strconv.ParseUint(port, 10, 16)
	if r.Address != "" && !socket && (err != nil || errPort != nil || number == 0 || !isHost(host)) {
		c.fault("store.redis.address", strconv.Quote(r.Address)+" is neither host:port nor the absolute path of a socket",
			"write it as 127.0.0.1:6379 or /run/valkey/valkey.sock")
	}
	if r.Username != "" && r.PasswordFile == "" {
		c.fault("store.redis.username", "username without passwordFile", "name the file that holds its password")
	}
	if r.ServerName != "" && r.CAFile == "" {
		c.fault("store.redis.serverName", "serverName without caFile", "name the CA that the server is verified against")
	}
	if r.ServerName != "" && !isHost(r.ServerName) {
		c.fault("store.redis.serverName", strconv.Quote(r.ServerName)+" is no host name",
			"write the name that the server's certificate has")
	}
	if r.CAFile != "" && socket {
		c.fault("store.redis.caFile", "caFile with a Unix socket", "remove it; a socket needs no TLS")
	}
	if r.PasswordFile != "" && r.CAFile == "" && err == nil && !socket && !isLoopback(host) {
		c.fault("store.redis.passwordFile", "the password would cross the network in the clear",
			"set caFile for TLS, or use a loopback address or a Unix socket")
	}
	c.file("store.redis.passwordFile", &r.PasswordFile)
	c.file("store.redis.caFile", &r.CAFile)
	if r.WaitAOF != 0 && r.WaitAOF != 1 {
		c.fault("store.redis.waitAOF", "waitAOF is "+strconv.Itoa(r.WaitAOF), "write 0 or 1")
	}
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
