package config

import (
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
	c.redisShape(r)
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
	c.seal(r)
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
