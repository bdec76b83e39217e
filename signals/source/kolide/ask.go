package kolide

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
	devicesPath = "/devices"
	perPage     = 100 // the most that Kolide gives
	maxCursor   = 512
)

// answer is a list of Kolide's API (kolide.com/docs/developers/api, "Pagination").
type answer struct {
	Data       *[]json.RawMessage `json:"data"`
	Pagination struct {
		Next string `json:"next_cursor"`
	} `json:"pagination"`
}

// list asks for one page. A list that is not there says nothing of any device, so it is not ErrGone.
func (a *Adapter) list(ctx context.Context, path, cursor string, most int) ([]json.RawMessage, string, error) {
	query := url.Values{"per_page": {strconv.Itoa(most)}}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	body, err := a.opts.Client.GetJSON(ctx, path, query)
	if errors.Is(err, source.ErrGone) {
		return nil, "", fmt.Errorf("there is no %s; check api.url", path)
	}
	if err != nil {
		return nil, "", err
	}
	var page answer
	if err := json.Unmarshal(body, &page); err != nil || page.Data == nil {
		return nil, "", fmt.Errorf(`the answer to %s has no array "data"; check api.url`, path)
	}
	next := page.Pagination.Next
	if next == cursor && next != "" || len(next) > maxCursor {
		return nil, "", fmt.Errorf("the list of %s does not go on: its next cursor is the one that it was asked with, or too long", path)
	}
	return *page.Data, next, nil
}

// Page implements source.Inventory. The cursor is Kolide's own. Total is not known.
func (a *Adapter) Page(ctx context.Context, cursor string) (source.Page, error) {
	most := perPage
	if len(a.opts.Checks) > 0 || a.opts.Users {
		most /= 4 // each device costs questions of its own, and a page must be had before whoever waits for it gives up
	}
	devices, next, err := a.list(ctx, devicesPath, cursor, most)
	if err != nil {
		return source.Page{}, fmt.Errorf("a page of the devices: %w", err)
	}
	page := source.Page{Next: next}
	for i, raw := range devices {
		var who struct {
			ID json.RawMessage `json:"id"`
		}
		_ = json.Unmarshal(raw, &who) // what has no id is no object either
		id, err := deviceID(who.ID)
		if err != nil {
			return source.Page{}, fmt.Errorf("entry %d of a page of the devices: %w", i, err)
		}
		observed, err := a.listed(ctx, id, raw)
		if err != nil {
			return source.Page{}, fmt.Errorf("device %s: %w", id, err)
		}
		page.Observations = append(page.Observations, observed)
	}
	return page, nil
}

// listed reads one device of the list. One that cannot be read is listed without facts: it is there, and what was known of
// it goes on ageing.
func (a *Adapter) listed(ctx context.Context, id string, raw json.RawMessage) (signals.Observation, error) {
	var d device
	if err := json.Unmarshal(raw, &d); err != nil {
		a.opts.Unreadable(id, fmt.Errorf("the record does not have Kolide's shape: %w", err))
		alias, err := a.Alias(id)
		return signals.Observation{Aliases: []signals.Alias{alias}}, err
	}
	return a.observation(ctx, id, &d)
}

// Device implements source.Inventory: GET /devices/{id}. An answer about another device is an error: its facts would stand
// on the wrong one.
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
		return nil, fmt.Errorf("device %s: the answer does not have Kolide's shape: %w", id, err)
	}
	if got, err := deviceID(d.ID); err != nil || got != id {
		return nil, fmt.Errorf("device %s: the answer is not about this device; check api.url", id)
	}
	observed, err := a.observation(ctx, id, &d)
	if err != nil {
		return nil, fmt.Errorf("device %s: %w", id, err)
	}
	return []signals.Observation{observed}, nil
}

// maxIssuePages bounds what is read of one device's issues.
const maxIssuePages = 20

// issue is what counts of an open issue of a device.
type issue struct {
	Detected  json.RawMessage `json:"detected_at"`
	Rechecked json.RawMessage `json:"last_rechecked_at"`
	Resolved  json.RawMessage `json:"resolved_at"`
	Check     struct {
		Identifier json.RawMessage `json:"identifier"`
	} `json:"check_information"`
}

// issues asks for the open issues of a device, all of them: one that is left out would look like none.
func (a *Adapter) issues(ctx context.Context, id string) ([]issue, error) {
	var all []issue
	cursor := ""
	for range maxIssuePages {
		page, next, err := a.list(ctx, devicesPath+"/"+id+"/open_issues", cursor, perPage)
		if err != nil {
			return nil, fmt.Errorf("its open issues: %w", err)
		}
		for i, raw := range page {
			var one issue
			if err := json.Unmarshal(raw, &one); err != nil {
				return nil, fmt.Errorf("its open issue %d does not have Kolide's shape: %w", i, err)
			}
			all = append(all, one)
		}
		if next == "" {
			return all, nil
		}
		cursor = next
	}
	return nil, fmt.Errorf("it has more open issues than %d pages hold", maxIssuePages)
}

// owner asks who a person is. A person who is gone is nobody.
func (a *Adapter) owner(ctx context.Context, id string) (email string, err error) {
	body, err := a.opts.Client.GetJSON(ctx, "/people/"+id, nil)
	if errors.Is(err, source.ErrGone) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("its registered owner: %w", err)
	}
	var person struct {
		ID    json.RawMessage `json:"id"`
		Email string          `json:"email"`
	}
	if err := json.Unmarshal(body, &person); err != nil {
		return "", fmt.Errorf("its registered owner: the answer does not have Kolide's shape: %w", err)
	}
	if got, err := deviceID(person.ID); err != nil || got != id {
		return "", errors.New("its registered owner: the answer is about somebody else; check api.url")
	}
	return person.Email, nil
}
