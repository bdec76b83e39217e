package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/boltstore"
	"github.com/tiergate/tiergate/signals/redisstore"
	"github.com/tiergate/tiergate/signals/ssf"
)

// loadSettings reads the settings file with the vocabulary of this build.
func loadSettings(file string) (*config.Settings, error) {
	names := make([]string, 0, len(signals.Attributes()))
	for _, a := range signals.Attributes() {
		names = append(names, a.Name)
	}
	return config.Load(file, config.Vocabulary{Attributes: names, Events: ssf.Kinds(), Path: mappingPath})
}

// storePatience is how long a Redis may take for any answer, above what a decision or a write can wait. Tests set it, which ask what is
// right and not how soon.
var storePatience time.Duration

// openStore opens the store that the settings name. A server that is down does not keep the process from starting: what
// needs it says so, and goes on when it is back.
func openStore(s *config.Settings) (signals.Store, error) {
	if e := s.Store.Embedded; e != nil {
		return boltstore.Open(e.File)
	}
	r := s.Store.Redis
	options := redisstore.Options{Address: r.Address, Sentinels: r.Sentinels, Master: r.Master, Cluster: r.Cluster,
		SentinelUsername: r.SentinelUsername, Username: r.Username, WaitAOF: r.WaitAOF, WaitReplicas: r.WaitReplicas,
		Patience: storePatience}
	if r.SentinelPasswordFile != "" {
		secret, err := readSecret(r.SentinelPasswordFile)
		if err != nil {
			return nil, fmt.Errorf("store.redis.sentinelPasswordFile: %w", err)
		}
		options.SentinelPassword = secret
	}
	if r.PasswordFile != "" {
		secret, err := readSecret(r.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("store.redis.passwordFile: %w", err)
		}
		options.Password = secret
	}
	if r.CAFile != "" {
		tlsConfig, err := storeTLS(r)
		if err != nil {
			return nil, err
		}
		options.TLS = tlsConfig
	}
	return redisstore.New(options)
}

func storeTLS(r *config.RedisStore) (*tls.Config, error) {
	pem, err := os.ReadFile(r.CAFile)
	if err != nil {
		return nil, fmt.Errorf("store.redis.caFile: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("store.redis.caFile: %s holds no PEM certificate", r.CAFile)
	}
	return &tls.Config{RootCAs: roots, ServerName: r.ServerName, MinVersion: tls.VersionTLS12}, nil
}

// readSecret reads a file of one secret; surrounding white space, such as a final newline, is not part of it.
func readSecret(file string) (string, error) {
	info, err := os.Stat(file)
	if err != nil {
		return "", err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s can be read by others (mode %04o): chmod 600 it", file, info.Mode().Perm())
	}
	raw, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		return "", err
	}
	secret := strings.TrimSpace(string(raw))
	if secret == "" {
		return "", fmt.Errorf("%s is empty", file)
	}
	return secret, nil
}

// authorityOptions are the CA certificates of workloads and devices that stand in files; trust domains without one
// follow the Workload API (newTrust).
func authorityOptions(s *config.Settings, held *fileSet) (options identity.AuthorityOptions, err error) {
	options.TrustDomains = map[string][]byte{}
	for i, d := range s.Identity.TrustDomains {
		if d.BundleFile == "" {
			continue
		}
		pem, err := held.content(domainBundle(i), d.BundleFile)
		if err != nil {
			return options, err
		}
		options.TrustDomains[d.Name] = pem
	}
	if d := s.Identity.Devices; d != nil {
		pem, err := held.content(devicesBundle, d.BundleFile)
		if err != nil {
			return options, err
		}
		options.Devices, options.DeviceBinding = pem, identity.Binding(d.Bind)
		options.IgnoreURINames = d.IgnoreURINames
	}
	for i, text := range s.Identity.Forwarders {
		pattern, err := identity.ParseSPIFFEPattern(text)
		if err != nil {
			return options, fmt.Errorf("identity.forwarders[%d]: %w", i, err)
		}
		options.Forwarders = append(options.Forwarders, pattern)
	}
	return options, nil
}

// world is what the settings say about the names that a policy uses.
func world(s *config.Settings) policy.World {
	recorded, logins := s.Evidence.File != "", s.Login != nil
	w := policy.World{Sources: map[string]policy.Source{}, Issuers: []string{}, TrustDomains: []string{}, Evidence: &recorded, Logins: &logins}
	for _, x := range s.Sources {
		source := policy.Source{Attests: x.Attests, Every: x.Every}
		if e := x.EnrolledUser; e != nil {
			source.EnrolledUser = policy.EnrolledAs{Issuer: e.Issuer, Is: policy.EnrolledClaim(e.Is)}
		}
		w.Sources[x.Name] = source
	}
	for i := range s.SSF {
		w.Sources[s.SSF[i].Name] = policy.Source{Attests: s.SSF[i].Attests}
	}
	for _, x := range s.Identity.Issuers {
		w.Issuers = append(w.Issuers, x.Name)
	}
	for _, x := range s.Identity.TrustDomains {
		w.TrustDomains = append(w.TrustDomains, x.Name)
	}
	if len(s.Outlets) > 0 || s.Store.Embedded != nil { // else those of the receiver's settings count
		w.Outlets = []string{}
		for i := range s.Outlets {
			w.Outlets = append(w.Outlets, s.Outlets[i].Name)
		}
	}
	w.SVIDAudiences = []string{}
	if s.Identity.JWTSVIDs != nil {
		w.SVIDAudiences = s.Identity.JWTSVIDs.Audiences
	}
	return w
}
