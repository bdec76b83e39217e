package main

import (
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/defender"
)

// defenderScope is what Defender's API is asked with, on each of its hosts of the public cloud
// (learn.microsoft.com/defender-endpoint/api/exposed-apis-create-app-webapp); of another cloud api.token.scope says it.
const defenderScope = "https://api.securitycenter.microsoft.com/.default"

func newDefender(x *config.Source, unreadable func(source, device, reason string)) (source.Adapter, error) {
	d := x.Defender
	client, err := vendorClient(x, asking{endpoint: entraToken(d.Tenant), scope: defenderScope})
	if err != nil {
		return nil, err
	}
	return defender.New(defender.Options{Name: x.Name, Client: client, PageSize: d.PageSize, SeenWithin: d.SeenWithin,
		JoinDuplicates: d.JoinDuplicates,
		Unreadable:     func(id string, reason error) { unreadable(x.Name, id, reason.Error()) }})
}
