package main

import (
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/okta"
)

func newOkta(x *config.Source, unreadable func(source, device, reason string)) (source.Adapter, error) {
	// The organisation's own authorization server: only it issues tokens for Okta's APIs.
	client, err := vendorClient(x, asking{endpoint: "/oauth2/v1/token", scope: "okta.devices.read okta.users.read", word: "SSWS"})
	if err != nil {
		return nil, err
	}
	options := okta.Options{Name: x.Name, Client: client,
		Unreadable: func(id string, reason error) { unreadable(x.Name, id, reason.Error()) }}
	if x.Webhook != nil {
		if options.Hook, err = vendorAuth(x.Webhook); err != nil {
			return nil, err
		}
	}
	if o := x.Okta; o != nil {
		options.PageSize, options.User, options.Encrypted = o.PageSize, o.User, o.Encrypted
	}
	return okta.New(options)
}
