package main

import (
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/crowdstrike"
)

func newCrowdStrike(x *config.Source, unreadable func(source, device, reason string)) (source.Adapter, error) {
	secrets, err := readSecrets("secretFiles", x.SecretFiles)
	if err != nil {
		return nil, err
	}
	client, err := vendorClient(x, asking{endpoint: "/oauth2/token"})
	if err != nil {
		return nil, err
	}
	options := crowdstrike.Options{Name: x.Name, Secrets: secrets, Client: client,
		Unreadable: func(id string, reason error) { unreadable(x.Name, id, reason.Error()) }}
	if c := x.CrowdStrike; c != nil {
		options.Signed, options.SignatureHeader, options.TimestampHeader = c.Signed, c.SignatureHeader, c.TimestampHeader
		options.Window, options.Points, options.PageSize = c.Window, c.Points, c.PageSize
		options.Assessments, options.Signals = c.Assessments, c.Signals
	}
	return crowdstrike.New(options)
}
