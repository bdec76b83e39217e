package main

import (
	"net/http"

	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/kolide"
)

func newKolide(x *config.Source, unreadable func(source, device, reason string)) (source.Adapter, error) {
	secrets, err := readSecrets("secretFiles", x.SecretFiles)
	if err != nil {
		return nil, err
	}
	client, err := vendorClient(x, asking{header: http.Header{"X-Kolide-Api-Version": {"2023-05-26"}}})
	if err != nil {
		return nil, err
	}
	options := kolide.Options{Name: x.Name, Secrets: secrets, Client: client,
		Unreadable: func(id string, reason error) { unreadable(x.Name, id, reason.Error()) }}
	if k := x.Kolide; k != nil {
		options.Checks, options.Passing, options.Users, options.Window = k.Checks, k.Passing, k.Users, k.Window
	}
	return kolide.New(options)
}
