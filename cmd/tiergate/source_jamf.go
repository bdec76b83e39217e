package main

import (
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/jamf"
)

// askingJamf are the paths of token endpoints: OAuth 2.0 API clients and the login of Jamf Pro (developer.jamf.com,
// "Jamf Pro API").
var askingJamf = asking{endpoint: "/api/oauth/token", login: "/api/v1/auth/token"}

func newJamf(x *config.Source, unreadable func(source, device, reason string)) (source.Adapter, error) {
	auth, err := vendorAuth(x.Webhook)
	if err != nil {
		return nil, err
	}
	client, err := vendorClient(x, askingJamf)
	if err != nil {
		return nil, err
	}
	options := jamf.Options{Name: x.Name, Auth: auth, API: client,
		Unreadable: func(id string, reason error) { unreadable(x.Name, id, reason.Error()) }}
	if j := x.Jamf; j != nil {
		options.ComputersAPI, options.Kinds, options.PageSize, options.User = j.ComputersAPI, j.Kinds, j.PageSize, j.User
		options.ComputerGroups, options.MobileGroups = jamfGroups(j.ComputerGroups), jamfGroups(j.MobileGroups)
		options.Ownership = j.Ownership
	}
	return jamf.New(options)
}

func jamfGroups(g *config.JamfGroups) jamf.Groups {
	if g == nil {
		return jamf.Groups{}
	}
	return jamf.Groups{Compliant: g.Compliant, Noncompliant: g.Noncompliant}
}
