package main

import (
	"fmt"

	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals/ingest"
	"github.com/tiergate/tiergate/signals/source"
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

// newAdapter makes the adapter of one source; each type has a file of its own. An error begins with the field.
func newAdapter(x *config.Source, unreadable func(source, device, reason string)) (source.Adapter, error) {
	switch x.Type {
	case config.SourceStandard:
		return newStandard(x, unreadable)
	case config.SourceMapping:
		return newMapping(x, unreadable)
	case config.SourceSentinelOne:
		return newSentinelOne(x, unreadable)
	case config.SourceJamfProtect:
		return newJamfProtect(x, unreadable)
	case config.SourceVerifiedAccess:
		return newVerifiedAccess(x, unreadable)
	case config.SourceJamf:
		return newJamf(x, unreadable)
	case config.SourceFleet:
		return newFleet(x, unreadable)
	case config.SourceKolide:
		return newKolide(x, unreadable)
	case config.SourceKandji:
		return newKandji(x, unreadable)
	case config.SourceWorkspaceOne:
		return newWorkspaceOne(x, unreadable)
	case config.SourceCrowdStrike:
		return newCrowdStrike(x, unreadable)
	case config.SourceGoogle:
		return newGoogle(x, unreadable)
	case config.SourceIntune:
		return newIntune(x, unreadable)
	case config.SourceDefender:
		return newDefender(x, unreadable)
	case config.SourceOkta:
		return newOkta(x, unreadable)
	case config.SourceOsquery:
		return newOsquery(x, unreadable)
	}
	return nil, fmt.Errorf("there is no source type %q", x.Type)
}

func newStandard(x *config.Source, _ func(source, device, reason string)) (source.Adapter, error) {
	secrets, err := readSecrets("secretFiles", x.SecretFiles)
	if err != nil {
		return nil, err
	}
	adapter, err := standard.New(secrets)
	if err != nil || x.CloudEvents == nil {
		return adapter, err
	}
	return adapter.WithCloudEvents(x.CloudEvents.Origins), nil
}

// vendorAuth is how a vendor shows who it is. An error begins with the field.
func vendorAuth(w *config.Webhook) (source.Auth, error) {
	auth, err := webhookAuth(w)
	if err != nil {
		return nil, fmt.Errorf("webhook.%w", err)
	}
	return auth, nil
}

func webhookAuth(w *config.Webhook) (source.Auth, error) {
	switch {
	case w.Basic != nil:
		passwords, err := readSecrets("basic.passwordFiles", w.Basic.PasswordFiles)
		return source.Basic{User: w.Basic.Username, Passwords: passwords}, err
	case w.HMAC != nil:
		return hmacAuth(w.HMAC)
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
