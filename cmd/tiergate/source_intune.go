package main

import (
	"net/url"

	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/intune"
)

// entraToken is where a tenant of Microsoft Entra gives tokens
// (learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow); of a national cloud api.token.url
// says it.
func entraToken(tenant string) string {
	return "https://login.microsoftonline.com/" + tenant + "/oauth2/v2.0/token"
}

func newIntune(x *config.Source, unreadable func(source, device, reason string)) (source.Adapter, error) {
	i := x.Intune
	how := asking{endpoint: entraToken(i.Tenant)}
	if u, err := url.Parse(x.API.URL); err == nil {
		how.scope = u.Scheme + "://" + u.Host + "/.default" // of a national cloud, its own Graph's
	}
	client, err := vendorClient(x, how)
	if err != nil {
		return nil, err
	}
	options := intune.Options{Name: x.Name, Client: client, Tenant: i.Tenant, Beta: i.APIVersion == config.IntuneBeta,
		Policies: i.Policies, Email: i.User == config.IntuneEmail,
		Unreadable: func(id string, reason error) { unreadable(x.Name, id, reason.Error()) }}
	if b := i.SecureBoot; b != nil {
		options.SecureBootOn, options.SecureBootOff = b.On, b.Off
	}
	if options.ClientStates, err = readSecrets("intune.clientStateFiles", i.ClientStateFiles); err != nil {
		return nil, err
	}
	if x.Webhook != nil {
		if options.Forwarder, err = vendorAuth(x.Webhook); err != nil {
			return nil, err
		}
		if len(x.Webhook.URLSecretFiles) > 0 {
			options.InURL = options.Forwarder
		}
	}
	if i.Validation == nil {
		return intune.New(options)
	}
	proof, err := newGraphProof(i)
	if err != nil {
		return nil, err
	}
	options.Token = proof.judge
	adapter, err := intune.New(options)
	return &graphSource{adapter, proof}, err
}
