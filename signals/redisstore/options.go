package redisstore

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"time"
)

// Options say where the server or servers are and what durable means. Exactly one of Address, Sentinels and Cluster is
// set.
type Options struct {
	Address string // of one server: host:port, or the absolute path of a Unix socket
	// Sentinels (host:port) know which server is the primary of Master; it is asked of them at each new connection, and
	// what they tell of a switch ends the connections to the one before.
	Sentinels        []string
	Master           string
	SentinelUsername string
	SentinelPassword string
	// Cluster are some of the nodes (host:port) of a Cluster; the others are learned from them.
	Cluster []string

	Username string
	Password string
	// TLS is for servers and Sentinels alike; nil: plaintext. Without ServerName each is verified by the host that it was
	// reached at, which in a Cluster or behind Sentinels is what these announce.
	TLS *tls.Config
	// WaitAOF is the number of local append-only files (0 or 1) that must have synced a write before it is
	// acknowledged (WAITAOF, Redis 7.2 or Valkey, appendonly yes). 0: the server's own settings decide what an
	// acknowledgement is worth.
	WaitAOF int
	// WaitReplicas is the number of replicas (0 to 5) that must have synced a write to their append-only files before it
	// is acknowledged. 0: what a primary that dies had not yet sent to its replicas is lost by the failover.
	WaitReplicas int
	// Patience is how long a connection and an answer may take at least, of whatever sort the call is. 0: as long as a decision,
	// a write and a watch each can wait. Who would rather have a late answer than none sets it.
	Patience time.Duration
	Events   Events
}

// Events are called for what an operator may want to see. Each may be nil; they must not block.
type Events struct {
	// Call: an operation (its method's name, lower-case with dashes) ended. Not found and conflict are no failures but
	// come as their errors.
	Call func(operation string, took time.Duration, err error)
}

// maxWaitReplicas is generous: each more makes a write wait for the slowest.
const maxWaitReplicas = 5

func (o *Options) check() error {
	chosen := 0
	for _, set := range []bool{o.Address != "", len(o.Sentinels) > 0, len(o.Cluster) > 0} {
		if set {
			chosen++
		}
	}
	if chosen != 1 {
		return fmt.Errorf("%d of Address, Sentinels and Cluster are set; set exactly one", chosen)
	}
	if o.Address != "" && !filepath.IsAbs(o.Address) && !strings.Contains(o.Address, ":") {
		return fmt.Errorf("redis address %q is neither host:port nor the absolute path of a Unix socket", o.Address)
	}
	for _, address := range append(append([]string{}, o.Sentinels...), o.Cluster...) {
		if _, _, err := net.SplitHostPort(address); err != nil {
			return fmt.Errorf("redis address %q is not host:port", address)
		}
	}
	if (o.Master != "") != (len(o.Sentinels) > 0) {
		return errors.New("Sentinels and Master belong together: the name that the Sentinels monitor the primary under")
	}
	if o.WaitAOF < 0 || o.WaitAOF > 1 {
		return fmt.Errorf("waitAOF is %d; a server has one append-only file, so it is 0 or 1", o.WaitAOF)
	}
	if o.WaitReplicas < 0 || o.WaitReplicas > maxWaitReplicas {
		return fmt.Errorf("waitReplicas is %d; it is 0 to %d", o.WaitReplicas, maxWaitReplicas)
	}
	return nil
}

// where names the servers in errors.
func (o *Options) where() string {
	switch {
	case len(o.Sentinels) > 0:
		return fmt.Sprintf("the primary %q of the Sentinels %s", o.Master, strings.Join(o.Sentinels, ", "))
	case len(o.Cluster) > 0:
		return "the Cluster of " + strings.Join(o.Cluster, ", ")
	}
	return o.Address
}

// waits says whether a write waits for append-only files at all.
func (o *Options) waits() bool { return o.WaitAOF > 0 || o.WaitReplicas > 0 }

// mayDial refuses an address that a server or a Sentinel named when the password would leave this machine in the clear
// by that. What the operator named is the operator's choice.
func (o *Options) mayDial(address string) error {
	if o.TLS != nil || o.Password == "" && o.SentinelPassword == "" || isLocal(address) {
		return nil
	}
	for _, named := range append(append([]string{o.Address}, o.Sentinels...), o.Cluster...) {
		if named != "" && !isLocal(named) {
			return nil
		}
	}
	return fmt.Errorf("a server named %q, where the password would go in the clear; set TLS, or see that the servers "+
		"announce addresses of this machine", address)
}

// isLocal knows localhost by name (RFC 6761, section 6.3).
func isLocal(address string) bool {
	if filepath.IsAbs(address) {
		return true
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
