package fleet

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

const hostsPath = "/api/v1/fleet/hosts"

// Device implements source.Inventory: GET /api/v1/fleet/hosts/{id} and, where users are wanted, its device_mapping.
func (a *Adapter) Device(ctx context.Context, id string) ([]signals.Observation, error) {
	if _, err := a.Alias(id); err != nil {
		return nil, err
	}
	h, err := a.details(ctx, id)
	if err != nil {
		return nil, err
	}
	observed, err := a.observation(ctx, &h)
	if err != nil {
		return nil, err
	}
	return []signals.Observation{observed}, nil
}

// details asks for one host. An answer about another host is an error: its facts would stand on the wrong device.
func (a *Adapter) details(ctx context.Context, id string) (host, error) {
	body, err := a.opts.Client.GetJSON(ctx, hostsPath+"/"+id, nil)
	if err != nil {
		return host{}, fmt.Errorf("host %s: %w", id, err)
	}
	var answer struct {
		Host *host `json:"host"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return host{}, fmt.Errorf("host %s: the answer does not have Fleet's shape: %w", id, err)
	}
	if answer.Host == nil || strconv.FormatInt(answer.Host.ID, 10) != id {
		return host{}, fmt.Errorf("host %s: the answer is not about this host; check api.url", id)
	}
	return *answer.Host, nil
}

// Page implements source.Inventory. The cursor is the number of the page; the list ends with a page that has no hosts,
// and not with a short one: a server may give fewer at once than it is asked for. Total is not known.
func (a *Adapter) Page(ctx context.Context, cursor string) (source.Page, error) {
	number := 0
	if cursor != "" {
		var err error
		if number, err = strconv.Atoi(cursor); err != nil || number <= 0 || strconv.Itoa(number) != cursor {
			return source.Page{}, fmt.Errorf("%.40q is no place in the list of hosts; begin again", cursor)
		}
	}
	body, err := a.opts.Client.GetJSON(ctx, hostsPath, url.Values{
		"page": {strconv.Itoa(number)}, "per_page": {strconv.Itoa(a.opts.PerPage)}, "populate_policies": {"true"},
		"order_key": {"id"}, "order_direction": {"asc"}, // a host that enrols meanwhile comes at the end, and moves nothing
	})
	if errors.Is(err, source.ErrGone) {
		// A list that is not there says nothing of any host.
		return source.Page{}, fmt.Errorf("there is no %s; check api.url", hostsPath)
	}
	if err != nil {
		return source.Page{}, fmt.Errorf("page %d of the hosts: %w", number, err)
	}
	var answer struct {
		Hosts *[]json.RawMessage `json:"hosts"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Hosts == nil {
		return source.Page{}, fmt.Errorf(`page %d of the hosts has no array "hosts"; check api.url`, number)
	}
	var page source.Page
	for i, raw := range *answer.Hosts {
		observed, gone, err := a.listed(ctx, raw)
		if err != nil {
			return source.Page{}, fmt.Errorf("page %d of the hosts, entry %d: %w", number, i, err)
		}
		if !gone {
			page.Observations = append(page.Observations, observed)
		}
	}
	if len(*answer.Hosts) > 0 {
		page.Next = strconv.Itoa(number + 1)
	}
	return page, nil
}

// listed reads one host of the list, and asks for its details if the list leaves them out. A host that cannot be read
// is listed without facts: it is there, and what was known of it goes on ageing. One without an id ends the listing,
// because nobody could say which host is not missing.
func (a *Adapter) listed(ctx context.Context, raw json.RawMessage) (o signals.Observation, gone bool, err error) {
	var who named
	if err := json.Unmarshal(raw, &who); err != nil || who.ID <= 0 {
		return o, false, errors.New("it has no id")
	}
	id := strconv.FormatInt(who.ID, 10)
	var h host
	if err := json.Unmarshal(raw, &h); err != nil {
		a.opts.Unreadable(id, fmt.Errorf("the record does not have Fleet's shape: %w", err))
		alias, err := a.Alias(id)
		return signals.Observation{Aliases: []signals.Alias{alias}}, false, err
	}
	if _, said := source.Truth(h.DiskEncryption); !said && !a.opts.ListOnly {
		h, err = a.details(ctx, id)
		if errors.Is(err, source.ErrGone) {
			return o, true, nil // removed since the list was made
		}
		if err != nil {
			return o, false, err
		}
	}
	o, err = a.observation(ctx, &h)
	return o, false, err
}

// mapping asks who uses a host: GET /api/v1/fleet/hosts/{id}/device_mapping. Fleet does not say when it was seen.
func (a *Adapter) mapping(ctx context.Context, id string) ([]mapped, error) {
	body, err := a.opts.Client.GetJSON(ctx, hostsPath+"/"+id+"/device_mapping", nil)
	if errors.Is(err, source.ErrGone) {
		return nil, nil // older servers have none; that a host is gone is for the question for the host to find
	}
	if err != nil {
		return nil, fmt.Errorf("users of host %s: %w", id, err)
	}
	var answer struct {
		Mapping []mapped `json:"device_mapping"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("users of host %s: the answer does not have Fleet's shape: %w", id, err)
	}
	return answer.Mapping, nil
}
