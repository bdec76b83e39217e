package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Endpoint is where an upstream is reached: an IP address, or a DNS name that Envoy resolves. Exactly one of Addr and Name
// is set.
type Endpoint struct {
	Addr netip.Addr // has no zone
	Name string     // in lower case
	Port uint16     // not 0
}

// Literal reports whether the endpoint is an IP address.
func (e Endpoint) Literal() bool { return e.Name == "" }

// ParseEndpoint reads "127.0.0.1:8443", "[::1]:8443" or "payroll.acme.example:8443". What could be taken for an address
// but is none, such as "127.1:80", is no name either (RFC 1123, section 2.1): resolvers disagree about it.
func ParseEndpoint(text string) (Endpoint, error) {
	if literal, err := netip.ParseAddrPort(text); err == nil {
		switch {
		case literal.Port() == 0:
			return Endpoint{}, fmt.Errorf("%q has port 0", text)
		case literal.Addr().Zone() != "":
			return Endpoint{}, fmt.Errorf("%q has a zone", text)
		}
		return Endpoint{Addr: literal.Addr(), Port: literal.Port()}, nil
	}
	host, digits, _ := strings.Cut(text, ":")
	if err := checkDNSName(host); err != nil {
		return Endpoint{}, fmt.Errorf("%q is no IP address and port, nor a DNS name and port", text)
	}
	port, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || digits != strconv.FormatUint(port, 10) || port == 0 {
		return Endpoint{}, fmt.Errorf("%q has no port from 1 to 65535", text)
	}
	return Endpoint{Name: host, Port: uint16(port)}, nil
}

// checkDNSName accepts a host name in lower case (RFC 1123, section 2.1): labels of letters, digits and inner hyphens,
// 253 bytes at most, the last one not all digits.
func checkDNSName(name string) error {
	labels := strings.Split(name, ".")
	for _, label := range labels {
		switch {
		case label == "" || len(label) > 63:
			return errors.New("it has a label that is empty or longer than 63 bytes")
		case label[0] == '-' || label[len(label)-1] == '-':
			return errors.New("it has a label that begins or ends with a hyphen")
		case strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "":
			return errors.New("it has something other than lower-case letters, digits, hyphens and dots")
		}
	}
	switch last := labels[len(labels)-1]; {
	case len(name) > 253:
		return errors.New("it is longer than 253 bytes")
	case strings.Trim(last, "0123456789") == "", strings.HasPrefix(last, "0x"):
		return errors.New("it ends like an IP address")
	}
	return nil
}
