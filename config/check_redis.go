package config

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// redisShape checks where the servers are, in one of three ways, and whether secrets are safe on the way to them.
func (c *check) redisShape(r *RedisStore) {
	const at, help = "store.redis", "write address for one server, sentinels and master, or cluster"
	chosen := 0
	for _, field := range []string{".address", ".sentinels", ".cluster"} {
		if c.document.Has(at + field) {
			chosen++
		}
	}
	switch {
	case chosen == 0:
		c.fault(at, "store.redis does not say where the servers are", help)
	case chosen > 1:
		c.fault(at, "store.redis has more than one of address, sentinels and cluster", help)
	}
	if c.document.Has(at+".address") && !strings.HasPrefix(r.Address, "/") {
		c.redisServer(r, at+".address", r.Address, "127.0.0.1:6379 or /run/valkey/valkey.sock")
	}
	if strings.HasPrefix(r.Address, "/") && r.CAFile != "" {
		c.fault(at+".caFile", "caFile with a Unix socket", "remove it; a socket needs no TLS")
	}
	c.redisServers(r, at+".sentinels", r.Sentinels, "127.0.0.1:26379")
	c.redisServers(r, at+".cluster", r.Cluster, "127.0.0.1:6379")
	c.redisSentinels(r)
}

func (c *check) redisServers(r *RedisStore, at string, addresses []string, example string) {
	if len(addresses) == 0 && c.document.Has(at) {
		c.fault(at, "the list is empty", "name some of the servers, such as "+example)
	}
	for i, address := range addresses {
		c.redisServer(r, fmt.Sprintf("%s[%d]", at, i), address, example)
	}
}

func (c *check) redisServer(r *RedisStore, at, address, example string) {
	const safe = "set caFile for TLS, or use a loopback address or a Unix socket"
	host, port, err := net.SplitHostPort(address)
	switch {
	case err != nil || !isPort(port) || !isHost(host):
		kind := "is not host:port"
		if strings.HasSuffix(at, ".address") {
			kind = "is neither host:port nor the absolute path of a socket"
		}
		c.fault(at, strconv.Quote(address)+" "+kind, "write it as "+example)
	case r.CAFile != "" || isLoopback(host):
	case r.PasswordFile != "":
		c.fault("store.redis.passwordFile", "the password would cross the network in the clear", safe)
	case r.SentinelPasswordFile != "":
		c.fault("store.redis.sentinelPasswordFile", "the password would cross the network in the clear", safe)
	}
}

func (c *check) redisSentinels(r *RedisStore) {
	const at = "store.redis."
	sentinels := c.document.Has(at + "sentinels")
	if sentinels && !c.document.Has(at+"master") {
		c.fault(at+"sentinels", "sentinels without master",
			"write the name that they monitor the primary under (sentinel monitor NAME …)")
	}
	if c.document.Has(at+"master") && strings.TrimSpace(r.Master) == "" {
		c.fault(at+"master", "the name is empty", "write the name that the sentinels monitor the primary under")
	}
	for field, set := range map[string]bool{
		"master": r.Master != "", "sentinelUsername": r.SentinelUsername != "",
		"sentinelPasswordFile": r.SentinelPasswordFile != "",
	} {
		if set && !sentinels {
			c.fault(at+field, field+" without sentinels", "name the sentinels, or remove it")
		}
	}
	if r.SentinelUsername != "" && r.SentinelPasswordFile == "" {
		c.fault(at+"sentinelUsername", "sentinelUsername without sentinelPasswordFile",
			"name the file that holds its password")
	}
	c.file(at+"sentinelPasswordFile", &r.SentinelPasswordFile)
	if r.WaitReplicas < 0 || r.WaitReplicas > 5 {
		c.fault(at+"waitReplicas", "waitReplicas is "+strconv.Itoa(r.WaitReplicas), "write 0 to 5")
	}
}
