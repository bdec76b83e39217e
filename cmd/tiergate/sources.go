package main

import (
	"crypto/x509"
	"fmt"
	"net/url"
	"os"

	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals/ingest"
	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/fleet"
	"github.com/tiergate/tiergate/signals/source/jamf"
	"github.com/tiergate/tiergate/signals/source/standard"
)

// newSources makes the adapters of the sources.
func newSources(s *config.Settings, unreadable func(source, device, reason string)) ([]ingest.Source, error) {
	sources := make([]ingest.Source, 0, len(s.Sources))
	for i := range s.Sources {
		x := &s.Sources[i]
		adapter, err := newAdapter(x, unreadable)
		if err != nil {
			return nil, fmt.Errorf("sources[%d] (%s): %w", i, x.Name, err)
		}
		made := ingest.Source{Name: x.Name, Adapter: adapter, Attests: x.Attests}
		made.URLSecret = x.Webhook != nil && len(x.Webhook.URLSecretFiles) > 0
		if x.Sync != nil {
			// None at all may be gone: the least number that is not the default.
			made.Sync = ingest.Sync{Every: x.Sync.Every, MaxShrink: max(float64(x.Sync.MaxShrinkPercent)/100, 1e-12)}
		}
		sources = append(sources, made)
	}
	return sources, nil
}

func newAdapter(x *config.Source, unreadable func(source, device, reason string)) (source.Adapter, error) {
	if x.Type == config.SourceStandard {
		secrets, err := readSecrets("secretFiles", x.SecretFiles)
		if err != nil {
			return nil, err
		}
		return standard.New(secrets)
	}
	auth, err := vendorAuth(x.Webhook)
	if err != nil {
		return nil, fmt.Errorf("webhook.%w", err)
	}
	client, err := vendorClient(x)
	if err != nil {
		return nil, fmt.Errorf("api.%w", err)
	}
	switch x.Type {
	case config.SourceJamf:
		options := jamf.Options{Name: x.Name, Auth: auth, API: client,
			Unreadable: func(id string, reason error) { unreadable(x.Name, id, reason.Error()) }}
		if j := x.Jamf; j != nil {
			options.ComputersAPI, options.Kinds, options.PageSize, options.User = j.ComputersAPI, j.Kinds, j.PageSize, j.User
			options.ComputerGroups, options.MobileGroups = jamfGroups(j.ComputerGroups), jamfGroups(j.MobileGroups)
			options.Ownership = j.Ownership
		}
		return jamf.New(options)
	case config.SourceFleet:
		options := fleet.Options{Name: x.Name, Auth: auth, Client: client,
			Unreadable: func(id string, reason error) { unreadable(x.Name, id, reason.Error()) }}
		if f := x.Fleet; f != nil {
			options.Policies, options.Compliance, options.AllPolicies = f.Policies, f.Compliance, f.AllPolicies
			options.Users, options.ListOnly, options.PerPage = f.Users, f.ListOnly, f.PerPage
		}
		return fleet.New(options)
	}
	return nil, fmt.Errorf("there is no source type %q", x.Type)
}

func jamfGroups(g *config.JamfGroups) jamf.Groups {
	if g == nil {
		return jamf.Groups{}
	}
	return jamf.Groups{Compliant: g.Compliant, Noncompliant: g.Noncompliant}
}

// vendorAuth is how a vendor shows who it is. An error begins with the field.
func vendorAuth(w *config.Webhook) (source.Auth, error) {
	switch {
	case w.Basic != nil:
		passwords, err := readSecrets("basic.passwordFiles", w.Basic.PasswordFiles)
		return source.Basic{User: w.Basic.Username, Passwords: passwords}, err
	case w.Header != nil:
		values, err := readSecrets("header.valueFiles", w.Header.ValueFiles)
		return source.Header{Name: w.Header.Name, Values: values}, err
	}
	values, err := readSecrets("urlSecretFiles", w.URLSecretFiles)
	for i, value := range values {
		if len(value) < source.MinURLSecret {
			return nil, fmt.Errorf("urlSecretFiles[%d]: the secret has %d characters; make one of at least %d: openssl rand -hex 16",
				i, len(value), source.MinURLSecret)
		}
	}
	return source.URLSecret{Values: values}, err
}

// The paths of token endpoints: OAuth 2.0 API clients and the login of Jamf Pro (developer.jamf.com, "Jamf Pro API").
const (
	jamfOAuthPath = "/api/oauth/token"
	jamfLoginPath = "/api/v1/auth/token"
)

// vendorClient asks the vendor. An error begins with the field.
func vendorClient(x *config.Source) (*source.Client, error) {
	a := x.API
	options := source.ClientOptions{Base: a.URL, RedirectHosts: a.AllowedHosts, Rate: float64(a.Rate),
		UserAgent: "tiergate"}
	if a.CAFile != "" {
		pem, err := os.ReadFile(a.CAFile)
		if err != nil {
			return nil, fmt.Errorf("caFile: %w", err)
		}
		options.Roots = x509.NewCertPool()
		if !options.Roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("caFile: %s holds no PEM certificate", a.CAFile)
		}
	}
	if a.ProxyURL != "" {
		proxy, err := url.Parse(a.ProxyURL)
		if err != nil {
			return nil, fmt.Errorf("proxyURL: it cannot be read; write http://host:port")
		}
		options.Proxy = proxy
	}
	var err error
	if options.Credentials, err = vendorCredentials(a); err != nil {
		return nil, err
	}
	client, err := source.NewClient(options)
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	return client, nil
}

func vendorCredentials(a *config.API) (source.Credentials, error) {
	switch {
	case a.ClientID != "":
		secret, err := readSecret(a.ClientSecretFile)
		if err != nil {
			return nil, fmt.Errorf("clientSecretFile: %w", err)
		}
		return source.ClientCredentials{Endpoint: jamfOAuthPath, ID: a.ClientID, Secret: secret}, nil
	case a.Username != "":
		password, err := readSecret(a.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("passwordFile: %w", err)
		}
		return source.BasicLogin{Endpoint: jamfLoginPath, User: a.Username, Password: password}, nil
	}
	token, err := readSecret(a.TokenFile)
	if err != nil {
		return nil, fmt.Errorf("tokenFile: %w", err)
	}
	return source.Bearer{Token: token}, nil
}

// readSecrets reads files of one secret each.
func readSecrets(setting string, files []string) ([]string, error) {
	var secrets []string
	for i, file := range files {
		secret, err := readSecret(file)
		if err != nil {
			return nil, fmt.Errorf("%s[%d]: %w", setting, i, err)
		}
		secrets = append(secrets, secret)
	}
	return secrets, nil
}
