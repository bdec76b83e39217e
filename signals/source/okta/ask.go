package okta

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

const (
	devicesPath = "/api/v1/devices"
	maxCursor   = 2048 // of the query of the next page
	maxUsers    = 20   // pages of one device's users
)

// list asks for one page and returns the query of the next one, which must be of the same list. A list that is not there says
// nothing of any device, so it is not ErrGone. limit is how many entries were asked for; 0: as many as Okta gives.
func (a *Adapter) list(
	ctx context.Context, path string, query url.Values, limit int,
) (entries []json.RawMessage, next string, err error) {
	body, link, linked, err := a.opts.Client.GetPage(ctx, path, query)
	if errors.Is(err, source.ErrGone) {
		return nil, "", fmt.Errorf("there is no %s; check api.url", path)
	}
	if err != nil {
		return nil, "", err
	}
	if json.Unmarshal(body, &entries) != nil || entries == nil {
		return nil, "", fmt.Errorf("the answer to %s is no array; check api.url", path)
	}
	if link == "" {
		// Okta links each page to itself at least. Where that is lost the next page may be lost as well, and devices on it would
		// seem to be gone.
		if !linked && limit > 0 && len(entries) >= limit {
			return nil, "", fmt.Errorf("the answer to %s is full and has no header Link, which says where the list goes on; "+
				"let no proxy remove it", path)
		}
		return entries, "", nil
	}
	where, more, err := a.opts.Client.Follow(link)
	if err != nil {
		return nil, "", err
	}
	next = more.Encode()
	if where != path || next == "" || next == query.Encode() || len(next) > maxCursor {
		return nil, "", fmt.Errorf("the list %s does not go on: its next page is of another list, the same page, or has no "+
			"name of at most %d bytes", path, maxCursor)
	}
	return entries, next, nil
}

// Page implements source.Inventory. The cursor is the query of Okta's link to the page. Total is not known.
func (a *Adapter) Page(ctx context.Context, cursor string) (source.Page, error) {
	query := url.Values{"expand": {"user"}, "limit": {strconv.Itoa(a.opts.PageSize)}}
	if cursor != "" {
		var err error
		if query, err = url.ParseQuery(cursor); err != nil {
			return source.Page{}, fmt.Errorf("%.40q is no place in the list of devices; begin again", cursor)
		}
	}
	entries, next, err := a.list(ctx, devicesPath, query, a.opts.PageSize)
	if err != nil {
		return source.Page{}, fmt.Errorf("a page of the devices: %w", err)
	}
	page := source.Page{Next: next}
	for i, raw := range entries {
		o, err := a.listed(raw)
		if err != nil {
			return source.Page{}, fmt.Errorf("entry %d of a page of the devices: %w", i, err)
		}
		page.Observations = append(page.Observations, o)
	}
	return page, nil
}

// listed reads one device of the list. One that cannot be read is listed without facts: it is there, and what was known of
// it goes on ageing. One without an id ends the listing, because nobody could say which device is not missing.
func (a *Adapter) listed(raw json.RawMessage) (signals.Observation, error) {
	var who struct {
		ID string `json:"id"`
	}
	_ = json.Unmarshal(raw, &who) // what has no id is no object either
	alias, err := a.Alias(who.ID)
	if err != nil {
		return signals.Observation{}, err
	}
	var d device
	err = json.Unmarshal(raw, &d)
	if err == nil {
		var o signals.Observation
		if o, err = a.observed(&d); err == nil {
			return o, nil
		}
	}
	a.opts.Unreadable(who.ID, fmt.Errorf("the record does not have Okta's shape: %w", err))
	return signals.Observation{Aliases: []signals.Alias{alias}}, nil
}

// Device implements source.Inventory: GET /api/v1/devices/{id}, which takes no expand, and …/users. An answer about another
// device is an error: its facts would stand on the wrong one.
func (a *Adapter) Device(ctx context.Context, id string) ([]signals.Observation, error) {
	if _, err := a.Alias(id); err != nil {
		return nil, err
	}
	body, err := a.opts.Client.GetJSON(ctx, devicesPath+"/"+id, nil)
	if err != nil {
		return nil, fmt.Errorf("device %s: %w", id, err)
	}
	var d device
	if err := json.Unmarshal(body, &d); err != nil {
		return nil, fmt.Errorf("device %s: the answer does not have Okta's shape: %w", id, err)
	}
	if d.ID != id {
		return nil, fmt.Errorf("device %s: the answer is not about this device; check api.url", id)
	}
	users, err := a.users(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("device %s: its users: %w", id, err)
	}
	d.Embedded.Users = &users
	o, err := a.observed(&d)
	if err != nil {
		return nil, fmt.Errorf("device %s: %w", id, err)
	}
	return []signals.Observation{o}, nil
}

// users asks for all users of a device: one that is left out may be the one without a screen lock.
func (a *Adapter) users(ctx context.Context, id string) ([]deviceUser, error) {
	all, query := []deviceUser{}, url.Values{}
	for range maxUsers {
		entries, next, err := a.list(ctx, devicesPath+"/"+id+"/users", query, 0)
		if err != nil {
			return nil, err
		}
		for i, raw := range entries {
			var u deviceUser
			if err := json.Unmarshal(raw, &u); err != nil {
				return nil, fmt.Errorf("entry %d does not have Okta's shape: %w", i, err)
			}
			all = append(all, u)
		}
		if next == "" {
			return all, nil
		}
		if query, err = url.ParseQuery(next); err != nil {
			return nil, fmt.Errorf("the link to its next page: %w", err)
		}
	}
	return nil, fmt.Errorf("there are more than %d pages hold", maxUsers)
}
