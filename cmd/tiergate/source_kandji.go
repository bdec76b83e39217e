package main

import (
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/kandji"
)

func newKandji(x *config.Source, unreadable func(source, device, reason string)) (source.Adapter, error) {
	client, err := vendorClient(x, asking{})
	if err != nil {
		return nil, err
	}
	options := kandji.Options{Name: x.Name, API: client,
		Unreadable: func(id string, reason error) { unreadable(x.Name, id, reason.Error()) }}
	if k := x.Kandji; k != nil {
		options.Tables, options.Details, options.Items, options.Compliance = k.Tables, k.Details, k.Items, k.Compliance
		options.AllItems, options.Threats, options.Quiet, options.Released = k.AllItems, k.Threats, k.Quiet, k.Released
	}
	return kandji.New(options)
}
