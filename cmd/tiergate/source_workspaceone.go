package main

import (
	"net/http"

	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/workspaceone"
)

// newWorkspaceOne asks in version 1 of the API, whose records the adapter knows; an empty search is a 204.
func newWorkspaceOne(x *config.Source, unreadable func(source, device, reason string)) (source.Adapter, error) {
	auth, err := vendorAuth(x.Webhook)
	if err != nil {
		return nil, err
	}
	client, err := vendorClient(x, asking{header: http.Header{"Accept": {"application/json;version=1"}}, noContent: true})
	if err != nil {
		return nil, err
	}
	options := workspaceone.Options{Name: x.Name, Auth: auth, API: client,
		Unreadable: func(id string, reason error) { unreadable(x.Name, id, reason.Error()) }}
	if w := x.WorkspaceOne; w != nil {
		options.PageSize, options.Group, options.User = w.PageSize, w.OrganizationGroup, w.User
		options.Ownership, options.Encryption = w.Ownership, w.Encryption
	}
	return workspaceone.New(options)
}
