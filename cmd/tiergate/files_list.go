package main

import (
	"fmt"
	"time"

	"github.com/tiergate/tiergate/config"
)

// followedFiles are the files that are followed while the process runs, read for the first time: what Envoy shows and whom
// it lets in, whom tiergate itself believes, and the keys of issuers. Secrets of sources and of the store are not among
// them.
func followedFiles(s *config.Settings) (*fileSet, error) {
	f := &fileSet{changed: func() {}, told: fileEvents{
		Loaded: func(string, time.Time, bool) {}, Refused: func(string, error) {}, Ends: func(string, time.Time, bool) {},
		Unwatched: func(error) {},
	}}
	f.listEnvoy(s)
	f.listIdentity(s)
	f.listAssertion(s.Assertion)
	if s.Store.Embedded != nil { // the receiver runs here
		f.listApprovals(s)
	}
	return f, f.open()
}

func (f *fileSet) listEnvoy(s *config.Settings) {
	for _, l := range s.Envoy.Listeners {
		setting := "envoy.listeners[" + l.Name + "]."
		f.pair(setting+"tls", l.TLS)
		f.bundle(setting+"clientCAFile", l.ClientCAFile)
	}
	if s.Envoy.Client != nil {
		f.pair("envoy.client", *s.Envoy.Client)
	}
	f.bundle("envoy.upstreamCAFile", s.Envoy.UpstreamCA)
}

func (f *fileSet) pair(setting string, p config.KeyPair) {
	if p.CertFile != "" {
		f.groups = append(f.groups, &fileGroup{name: setting, judge: judgePair, envoy: true,
			files: []settingFile{{setting + ".certFile", p.CertFile}, {setting + ".keyFile", p.KeyFile}}})
	}
}

func (f *fileSet) bundle(setting, path string) {
	if path != "" {
		f.groups = append(f.groups, &fileGroup{name: setting, judge: judgeBundle, envoy: true,
			files: []settingFile{{setting, path}}})
	}
}

// How messages and metrics name the files of identity.
const devicesBundle = "identity.devices.bundleFile"

func domainBundle(i int) string { return fmt.Sprintf("identity.trustDomains[%d].bundleFile", i) }
func keySetFile(i int) string   { return fmt.Sprintf("identity.issuers[%d].jwksFile", i) }

func (f *fileSet) listIdentity(s *config.Settings) {
	for i, d := range s.Identity.TrustDomains {
		f.bundle(domainBundle(i), d.BundleFile)
	}
	if d := s.Identity.Devices; d != nil {
		f.bundle(devicesBundle, d.BundleFile)
	}
	for i, x := range s.Identity.Issuers {
		if x.JWKSFile != "" {
			setting := keySetFile(i)
			f.groups = append(f.groups, &fileGroup{name: setting, judge: judgeKeys, envoy: x.VerifiedBy == config.VerifiedByEnvoy,
				files: []settingFile{{setting, x.JWKSFile}}})
		}
	}
}

// onUse has contents of a setting's file brought into force by use, which may refuse them.
func (f *fileSet) onUse(setting string, use func(raw []byte) error) {
	if f == nil {
		return
	}
	for _, g := range f.groups {
		if g.name == setting {
			g.use = func(contents [][]byte) error { return use(contents[0]) }
		}
	}
}
