package reach

import (
	"net/netip"
	"slices"
	"strings"
)

// leadsInto are the listeners of the same Envoy that a path ends at: internal ones by name, others by their address.
func leadsInto(all []Path, p Path) []string {
	var into []string
	for _, endpoint := range p.Endpoints {
		name, internal := strings.CutPrefix(endpoint, "internal:")
		for _, q := range all {
			if internal && q.Listener == name || slices.ContainsFunc(q.Addresses, func(a string) bool { return listensFor(a, endpoint) }) {
				into = append(into, q.Listener)
			}
		}
	}
	slices.Sort(into)
	return slices.Compact(into)
}

// listensFor: a listener on every address of the machine is met under any, of which we cannot tell which are its own.
func listensFor(address, endpoint string) bool {
	if same(address, endpoint) {
		return true
	}
	at, err := netip.ParseAddrPort(address)
	if err != nil || !at.Addr().IsUnspecified() {
		return false
	}
	colon := strings.LastIndexByte(endpoint, ':')
	return colon >= 0 && endpoint[colon+1:] == address[strings.LastIndexByte(address, ':')+1:]
}

// same compares addresses by what they mean: [::ffff:127.0.0.1]:1 is 127.0.0.1:1.
func same(a, b string) bool {
	if strings.EqualFold(a, b) {
		return true
	}
	x, errX := netip.ParseAddrPort(a)
	y, errY := netip.ParseAddrPort(b)
	return errX == nil && errY == nil && x.Port() == y.Port() && x.Addr().Unmap() == y.Addr().Unmap()
}
