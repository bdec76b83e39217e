package main

import (
	"cmp"
	"slices"

	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/google"
)

// What Google is asked with. Each list has a scope and a host of its own (developers.google.com/identity/protocols/oauth2/scopes).
const (
	googleDevicesScope  = "https://www.googleapis.com/auth/cloud-identity.devices.readonly"
	googleChromeOSScope = "https://www.googleapis.com/auth/admin.directory.device.chromeos.readonly"
	googleChromeOSURL   = "https://admin.googleapis.com"
)

func newGoogle(x *config.Source, unreadable func(source, device, reason string)) (source.Adapter, error) {
	g := config.Google{}
	if x.Google != nil {
		g = *x.Google
	}
	options := google.Options{Name: x.Name, Customer: g.Customer, Users: g.Users,
		Unreadable: func(id string, reason error) { unreadable(x.Name, id, reason.Error()) }}
	var err error
	if len(g.Lists) == 0 || slices.Contains(g.Lists, google.ListDevices) {
		if options.Devices, err = vendorClient(x, asking{scope: googleDevicesScope}); err != nil {
			return nil, err
		}
	}
	if slices.Contains(g.Lists, google.ListChromeOS) {
		there, api := *x, *x.API
		api.URL, there.API = cmp.Or(g.ChromeOSURL, googleChromeOSURL), &api
		if options.ChromeOS, err = vendorClient(&there, asking{scope: googleChromeOSScope}); err != nil {
			return nil, err
		}
	}
	return google.New(options)
}
