package lint

import (
	"net/netip"
	"regexp"
	"strings"

	"github.com/tiergate/tiergate/xds"
	"github.com/tiergate/tiergate/xds/dump"
)

// reserved are names of headers that only tiergate may say; a pattern that is to cover them must match all.
var reserved = []string{xds.HeaderPrefix + "subject", xds.HeaderPrefix + "assertion", xds.HeaderPrefix + "z"}

// matches evaluates an envoy.type.matcher.v3.StringMatcher; a kind that is not known matches nothing.
func matches(m dump.Value, text string) bool {
	fold := func(s string) string { return s }
	if m.Get("ignore_case").Bool() {
		fold = strings.ToLower
	}
	text = fold(text)
	has := func(field string) (string, bool) { v := m.Get(field); return fold(v.Text()), v.Has() }
	if s, ok := has("exact"); ok {
		return text == s
	}
	if s, ok := has("prefix"); ok {
		return strings.HasPrefix(text, s)
	}
	if s, ok := has("suffix"); ok {
		return strings.HasSuffix(text, s)
	}
	if s, ok := has("contains"); ok {
		return strings.Contains(text, s)
	}
	if s := m.Get("safe_regex", "regex"); s.Has() {
		whole, err := regexp.Compile(`^(?:` + s.Text() + `)$`)
		return err == nil && whole.MatchString(text)
	}
	return false
}

func anyMatches(list []dump.Value, text string) bool {
	for _, m := range list {
		if matches(m, text) {
			return true
		}
	}
	return false
}

// local reports an address that no other machine reaches: a Unix socket, an internal listener, loopback.
func local(address string) bool {
	if strings.HasPrefix(address, "unix:") || strings.HasPrefix(address, "internal:") {
		return true
	}
	if at, err := netip.ParseAddrPort(address); err == nil {
		return at.Addr().Unmap().IsLoopback()
	}
	return strings.HasPrefix(strings.ToLower(address), "localhost:")
}

// plaintext reports a cluster that carries its bytes in the clear to, as far as can be seen, another machine.
func plaintext(c dump.Cluster) bool {
	if c.TLS.Has() {
		return false
	}
	for _, e := range c.Endpoints {
		if !local(e) {
			return true
		}
	}
	return len(c.Endpoints) == 0
}

// localTarget reports a gRPC target (https://github.com/grpc/grpc/blob/master/doc/naming.md) on this machine.
func localTarget(target string) bool {
	for _, scheme := range []string{"ipv4:", "ipv6:", "dns:///", "dns:"} {
		target = strings.TrimPrefix(target, scheme)
	}
	return local(target) || strings.HasPrefix(target, "unix-abstract:")
}
