package xds

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
)

// maxSocketPath is what a Unix socket address holds (sun_path of 108 bytes, its terminating zero included).
const maxSocketPath = 107

var listenerName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

func (b *builder) checkSettings() {
	s := b.in.Settings
	if err := checkSocketPath(s.AuthzSocket); err != nil {
		b.settingsFault("runtimeDir", "the socket of ext_authz: "+err.Error(), "choose a shorter absolute runtimeDir")
	}
	if s.CheckTimeout <= 0 || s.CheckTimeout > MaxCheckTimeout {
		b.settingsFault("envoy.checkTimeout", fmt.Sprintf("%v is not more than 0 and at most %v", s.CheckTimeout,
			MaxCheckTimeout), "write for instance 250ms")
	}
	if s.WorkloadAPI != "" {
		if err := checkSocketPath(s.WorkloadAPI); err != nil {
			b.settingsFault("identity.workloadAPI.socket", err.Error(), "choose a shorter path, such as a symbolic link to it")
		}
	}
	if s.AccessLog != "" && !filepath.IsAbs(s.AccessLog) {
		b.settingsFault("envoy.accessLog.file", fmt.Sprintf("%q is no absolute path", s.AccessLog),
			"write an absolute path or /dev/stdout")
	}
	names, addresses := map[string]bool{}, map[string]string{}
	if s.Health != "" {
		if _, err := literalAddress(s.Health); err != nil {
			b.settingsFault("envoy.health.address", err.Error(), "write an IP address and a port, such as 127.0.0.1:8445")
		}
		addresses[s.Health] = "for probes (envoy.health)"
	}
	for _, l := range s.Listeners {
		b.checkListener(l)
		if names[l.Name] {
			b.settingsFault(settingsField(l, "name"), "two listeners have this name", "give each a name of its own")
		}
		names[l.Name] = true
		if other, taken := addresses[l.Address]; taken {
			b.settingsFault(settingsField(l, "address"), fmt.Sprintf("%s is also the address of listener %s", l.Address,
				other), "give each listener an address of its own")
		}
		addresses[l.Address] = l.Name
	}
}

func (b *builder) checkListener(l Listener) {
	if !listenerName.MatchString(l.Name) {
		b.settingsFault(settingsField(l, "name"), fmt.Sprintf("%q is no name for a listener", l.Name),
			"write 1 to 63 lower-case letters, digits and inner hyphens")
	}
	if _, err := literalAddress(l.Address); err != nil {
		b.settingsFault(settingsField(l, "address"), err.Error(), "write an IP address and a port, such as 127.0.0.1:8443")
	}
	isolated, known := b.isolated[l.Audience]
	switch {
	case l.Audience == "":
	case !known:
		b.settingsFault(settingsField(l, "audience"), fmt.Sprintf("the policy has no audience %q", l.Audience),
			"name an isolated audience of the policy, or none")
	case !isolated:
		b.settingsFault(settingsField(l, "audience"), fmt.Sprintf("audience %q is not isolated", l.Audience),
			"leave audience out: routes of audiences that are not isolated are on every listener without one")
	}
	if l.ClientCertificates == CertificateNone && len(l.ClientCA)+len(l.TrustDomains)+len(l.ClientSPIFFEIDs) > 0 {
		b.settingsFault(settingsField(l, "clientCertificates"), "nobody is asked for a certificate, and it is said whose would do",
			"remove clientCAFile, clientTrustDomains and clientSPIFFEIDs, or write clientCertificates: optional")
	}
	// Envoy 1.40 demands a certificate as soon as names are to match, and its SPIFFE validator always does.
	if l.ClientCertificates == CertificateOptional &&
		(len(l.ClientSPIFFEIDs) > 0 || len(l.ClientCA) == 0 && len(l.TrustDomains) > 0) {
		b.settingsFault(settingsField(l, "clientCertificates"), "Envoy lets nobody in without a certificate where clientSPIFFEIDs "+
			"or only clientTrustDomains say who may connect",
			"name CAs alone, in clientCAFile, or give clients with tokens a listener of their own")
	}
}

func checkSocketPath(path string) error {
	switch {
	case !filepath.IsAbs(path):
		return fmt.Errorf("%q is no absolute path", path)
	case len(path) > maxSocketPath:
		return fmt.Errorf("%q has %d bytes; a Unix socket's path holds %d", path, len(path), maxSocketPath)
	}
	return nil
}

// literalAddress reads ip:port. A name would be resolved by someone else, later, and perhaps otherwise.
func literalAddress(text string) (netip.AddrPort, error) {
	address, err := netip.ParseAddrPort(text)
	switch {
	case err != nil:
		return address, fmt.Errorf("%q is no literal IP address and port", text)
	case address.Port() == 0:
		return address, fmt.Errorf("%q has port 0", text)
	case address.Addr().Zone() != "":
		return address, fmt.Errorf("%q has a zone", text)
	}
	return address, nil
}
