package main

import (
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/fleet"
)

func newFleet(x *config.Source, unreadable func(source, device, reason string)) (source.Adapter, error) {
	auth, err := vendorAuth(x.Webhook)
	if err != nil {
		return nil, err
	}
	client, err := vendorClient(x, asking{})
	if err != nil {
		return nil, err
	}
	options := fleet.Options{Name: x.Name, Auth: auth, Client: client,
		Unreadable: func(id string, reason error) { unreadable(x.Name, id, reason.Error()) }}
	if f := x.Fleet; f != nil {
		options.Policies, options.Compliance, options.AllPolicies = f.Policies, f.Compliance, f.AllPolicies
		options.Users, options.ListOnly, options.PerPage = f.Users, f.ListOnly, f.PerPage
	}
	return fleet.New(options)
}
