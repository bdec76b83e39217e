package authz

import (
	"net/netip"
	"strings"
)

// spiffeScheme tells the SPIFFE ID of a forwarder from the beginning of an address.
const spiffeScheme = "spiffe://"

// networkOf is the part of an address that names its network of 16 bits (IPv4) or 48 (IPv6): wide enough that the nodes of a
// cluster, each with a network of its own, are one. It is a part of the text, which Envoy writes as inet_ntop does, so that
// nothing is allocated for a decision; empty: it is no such address.
func networkOf(address string) string {
	const second = len("255.255.") // within which the second full stop of IPv4 stands, and the first colon of IPv6
	stops := 0
	for i := range min(len(address), second) {
		switch address[i] {
		case '.':
			if stops++; stops == 2 {
				return address[:i]
			}
		case ':':
			return networkOf6(address)
		}
	}
	return ""
}

func networkOf6(address string) string {
	const groups, longest = 3, 45 // of any address, RFC 4291
	if len(address) > longest {
		return ""
	}
	end := 0
	for group := range groups {
		next := strings.IndexByte(address[end:], ':')
		if next < 0 {
			return ""
		}
		end += next
		if group == groups-1 || strings.HasPrefix(address[end:], "::") {
			break
		}
		end++
	}
	return address[:end+1]
}

// placeOf is a place of a Sighting: the sidecar, and how the call came to it.
func placeOf(sidecar, way string) string {
	if strings.HasPrefix(way, spiffeScheme) {
		return sidecar + " via " + way
	}
	whole, bits := way+".0.0", 16
	if colons, v6 := strings.CutSuffix(way, ":"); v6 {
		whole, bits = colons+"::", 48
	}
	address, err := netip.ParseAddr(whole)
	if err != nil {
		return sidecar
	}
	network, err := address.Prefix(bits)
	if err != nil {
		return sidecar
	}
	return sidecar + " from " + network.String()
}
