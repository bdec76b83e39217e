package workspaceone

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
	devicesPath = "/api/mdm/devices"
	searchPath  = devicesPath + "/search"
	// maxPages ends a search that never ends.
	maxPages = 100_000
)

// search asks for one page. A 204 is an empty one. A list that is not there says nothing of any device, so it is not ErrGone.
func (a *Adapter) search(ctx context.Context, number, size int) (devices []json.RawMessage, total int, err error) {
	query := url.Values{"page": {strconv.Itoa(number)}, "pagesize": {strconv.Itoa(size)}, "orderby": {"deviceid"}}
	if a.opts.Group != "" {
		query.Set("lgid", a.opts.Group)
	}
	body, err := a.opts.API.GetJSON(ctx, searchPath, query)
	switch {
	case errors.Is(err, source.ErrGone):
		return nil, 0, fmt.Errorf("there is no %s; check api.url", searchPath)
	case err != nil || body == nil:
		return nil, 0, err
	}
	var answer struct {
		Devices *[]json.RawMessage `json:"Devices"`
		Page    *int               `json:"Page"`
		Size    int                `json:"PageSize"`
		Total   int                `json:"Total"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Devices == nil {
		return nil, 0, fmt.Errorf(`the answer to %s has no array "Devices"; check api.url`, searchPath)
	}
	if answer.Page != nil && *answer.Page != number || answer.Size > 0 && answer.Size != size {
		return nil, 0, fmt.Errorf("asked for page %d of %d devices, the search answers with another; a proxy may drop the query, "+
			"or pageSize be more than this server gives", number, size)
	}
	return *answer.Devices, answer.Total, nil
}

// Page implements source.Inventory: the cursor is the page's number. The last is the one with which Total is reached or, where the
// server does not say it, the first without a device.
func (a *Adapter) Page(ctx context.Context, cursor string) (source.Page, error) {
	number := 0
	if cursor != "" {
		var err error
		if number, err = strconv.Atoi(cursor); err != nil || number < 1 || number > maxPages {
			return source.Page{}, fmt.Errorf("%.40q is no page of this search; begin again", cursor)
		}
	}
	devices, total, err := a.search(ctx, number, a.opts.PageSize)
	if err != nil {
		return source.Page{}, fmt.Errorf("page %d: %w", number, err)
	}
	page := source.Page{Total: total}
	if len(devices) > 0 && (total <= 0 || (number+1)*a.opts.PageSize < total) {
		page.Next = strconv.Itoa(number + 1)
	}
	for i, raw := range devices {
		o, err := a.listed(raw)
		if err != nil {
			return source.Page{}, fmt.Errorf("page %d: entry %d: %w", number, i, err)
		}
		page.Observations = append(page.Observations, o)
	}
	return page, nil
}

// listed reads one record of the search. One that cannot be read is listed without facts: it is there, and what was known of it
// goes on ageing.
func (a *Adapter) listed(raw json.RawMessage) (signals.Observation, error) {
	var who struct {
		ID struct {
			Value json.Number `json:"Value"`
		} `json:"Id"`
	}
	_ = json.Unmarshal(raw, &who) // what has no id is no object either
	id := who.ID.Value.String()
	own, err := a.Alias(id)
	if err != nil {
		return signals.Observation{}, err
	}
	var d device
	var o signals.Observation
	if err = json.Unmarshal(raw, &d); err == nil {
		o, err = a.observation(&d)
	}
	if err != nil {
		a.opts.Unreadable(id, fmt.Errorf("its record: %w", err))
		return signals.Observation{Aliases: []signals.Alias{own}}, nil
	}
	return o, nil
}

// Device implements source.Inventory. A 404 is also what a wrong URL answers, so it counts only if the search is there. An answer
// about another device is an error: its facts would stand on the wrong one.
func (a *Adapter) Device(ctx context.Context, id string) ([]signals.Observation, error) {
	if _, err := a.Alias(id); err != nil {
		return nil, err
	}
	body, err := a.opts.API.GetJSON(ctx, devicesPath+"/"+id, nil)
	if errors.Is(err, source.ErrGone) || err == nil && body == nil {
		if _, _, err := a.search(ctx, 0, 1); err != nil {
			return nil, fmt.Errorf("device %s: %w", id, err)
		}
		return nil, fmt.Errorf("device %s: %w", id, source.ErrGone)
	}
	if err != nil {
		return nil, fmt.Errorf("device %s: %w", id, err)
	}
	var d device
	if err := json.Unmarshal(body, &d); err != nil {
		return nil, fmt.Errorf("device %s: the record does not have Workspace ONE's shape: %w", id, err)
	}
	if d.ID.Value.String() != id {
		return nil, fmt.Errorf("device %s: the answer is about another device; check api.url", id)
	}
	o, err := a.observation(&d)
	if err != nil {
		return nil, fmt.Errorf("device %s: %w", id, err)
	}
	return []signals.Observation{o}, nil
}
