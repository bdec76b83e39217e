package crowdstrike

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// The paths of the API (falcon.crowdstrike.com/documentation, "Host and Host Group Management", "Zero Trust Assessment").
const (
	scrollPath     = "/devices/queries/devices-scroll/v1"
	hostsPath      = "/devices/entities/devices/v2"
	assessmentPath = "/zero-trust-assessment/entities/assessments/v1"
	maxCursor      = 1024
)

// Device implements source.Inventory.
func (a *Adapter) Device(ctx context.Context, id string) ([]signals.Observation, error) {
	if _, err := a.Alias(id); err != nil {
		return nil, err
	}
	observed, err := a.hosts(ctx, []string{id})
	if err != nil {
		return nil, fmt.Errorf("host %s: %w", id, err)
	}
	if len(observed) == 0 {
		return nil, fmt.Errorf("host %s: %w", id, source.ErrGone)
	}
	return observed, nil
}

// Page implements source.Inventory. The cursor is the offset of the scroll, which Falcon keeps for two minutes: a listing
// that pauses for longer fails, and begins again.
func (a *Adapter) Page(ctx context.Context, cursor string) (source.Page, error) {
	query := url.Values{"limit": {strconv.Itoa(a.opts.PageSize)}}
	if cursor != "" {
		query.Set("offset", cursor)
	}
	body, err := a.opts.Client.GetJSON(ctx, scrollPath, query)
	if errors.Is(err, source.ErrGone) {
		// A list that is not there says nothing of any host.
		return source.Page{}, fmt.Errorf("there is no %s, or its offset is over; check api.url", scrollPath)
	}
	if err != nil {
		return source.Page{}, fmt.Errorf("a page of the hosts: %w", err)
	}
	var answer struct {
		Meta struct {
			Pagination struct {
				Total  int    `json:"total"`
				Offset string `json:"offset"`
			} `json:"pagination"`
		} `json:"meta"`
		Resources *[]string       `json:"resources"`
		Errors    json.RawMessage `json:"errors"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Resources == nil {
		return source.Page{}, errors.New(`the list of hosts has no array "resources"; check api.url`)
	}
	if err := noErrors(answer.Errors); err != nil {
		return source.Page{}, err
	}
	page := source.Page{Next: answer.Meta.Pagination.Offset, Total: answer.Meta.Pagination.Total}
	if len(page.Next) > maxCursor {
		return source.Page{}, errors.New("the offset of the next page is too long")
	}
	if len(*answer.Resources) == 0 { // the offset is given even at the end
		page.Next = ""
		return page, nil
	}
	for _, id := range *answer.Resources {
		if !hostID.MatchString(id) {
			return source.Page{}, fmt.Errorf("the list names %.60q, which is no id of a host", id)
		}
	}
	page.Observations, err = a.hosts(ctx, *answer.Resources)
	if err != nil {
		return source.Page{}, fmt.Errorf("a page of the hosts: %w", err)
	}
	return page, nil
}

// hosts asks for hosts, and for their assessments. Those that are gone are left out.
func (a *Adapter) hosts(ctx context.Context, ids []string) ([]signals.Observation, error) {
	body, err := a.opts.Client.PostJSON(ctx, hostsPath, nil, map[string][]string{"ids": ids})
	if errors.Is(err, source.ErrGone) {
		return nil, fmt.Errorf("there is no %s; check api.url", hostsPath)
	}
	if err != nil {
		return nil, err
	}
	found, err := byID(body, "device_id", ids)
	if err != nil {
		return nil, err
	}
	var assessed map[string]json.RawMessage
	if a.opts.Assessments && len(found) > 0 {
		if assessed, err = a.assessments(ctx, ids); err != nil {
			return nil, err
		}
	}
	var all []signals.Observation
	for _, id := range ids {
		raw, there := found[id]
		if !there {
			continue
		}
		o, err := a.observation(id, raw, assessed[id])
		if err != nil {
			return nil, err
		}
		all = append(all, o)
	}
	return all, nil
}

// assessments asks for the assessments of hosts. A host may have none.
func (a *Adapter) assessments(ctx context.Context, ids []string) (map[string]json.RawMessage, error) {
	body, err := a.opts.Client.GetJSON(ctx, assessmentPath, url.Values{"ids": ids})
	if errors.Is(err, source.ErrGone) {
		return map[string]json.RawMessage{}, nil // Falcon has none of any of them
	}
	if err != nil {
		return nil, fmt.Errorf("their assessments: %w", err)
	}
	return byID(body, "aid", ids)
}

// byID takes apart the resources of an answer. One about a host that was not asked for is an error: its facts would stand on
// the wrong device.
func byID(body []byte, member string, asked []string) (map[string]json.RawMessage, error) {
	var answer struct {
		Resources []json.RawMessage `json:"resources"` // null where there is none
		Errors    json.RawMessage   `json:"errors"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("the answer does not have Falcon's shape: %w", err)
	}
	if !missing(answer.Errors) { // what is left out for another reason would look as if it were gone
		return nil, noErrors(answer.Errors)
	}
	want := make(map[string]bool, len(asked))
	for _, id := range asked {
		want[id] = true
	}
	found := make(map[string]json.RawMessage, len(answer.Resources))
	for i, raw := range answer.Resources {
		var who map[string]json.RawMessage
		_ = json.Unmarshal(raw, &who) // what has no id is no object either
		var id string
		if json.Unmarshal(who[member], &id) != nil || !want[id] || found[id] != nil {
			return nil, fmt.Errorf("resource %d of the answer is of no host that was asked for, or twice; check api.url", i)
		}
		found[id] = raw
	}
	return found, nil
}

// missing tells whether all errors of an answer, if there are any, say that something is not there: code 404.
func missing(raw json.RawMessage) bool {
	if noErrors(raw) == nil {
		return true
	}
	var all []struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}
	if json.Unmarshal(raw, &all) != nil {
		return false
	}
	for _, e := range all {
		if e.Code != 404 && !strings.Contains(strings.ToLower(e.Message), "not found") {
			return false
		}
	}
	return true
}
