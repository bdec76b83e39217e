package intune

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

const (
	maxCursor = 4096 // of what Graph's link to the next page says
	maxUsers  = 20   // pages of one user's devices
)

func (a *Adapter) path(rest string) string {
	if a.opts.Beta {
		return "/beta" + rest
	}
	return "/v1.0" + rest
}

func (a *Adapter) devicesPath() string { return a.path("/deviceManagement/managedDevices") }

// list asks for one page of a list, and returns the query of the next one: of @odata.nextLink, which must lead to the
// same list of the same host. A list that is not there says nothing of any device, so it is not ErrGone.
func (a *Adapter) list(
	ctx context.Context, path string, query url.Values,
) (entries []json.RawMessage, next string, err error) {
	raw, err := a.opts.Client.GetJSON(ctx, path, query)
	if err != nil {
		return nil, "", err
	}
	var answer struct {
		Value *[]json.RawMessage `json:"value"`
		Next  string             `json:"@odata.nextLink"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil || answer.Value == nil {
		return nil, "", fmt.Errorf(`the answer to %s has no array "value"; check api.url`, path)
	}
	if answer.Next == "" {
		return *answer.Value, "", nil
	}
	where, more, err := a.opts.Client.Follow(answer.Next)
	if err != nil {
		return nil, "", err
	}
	next = more.Encode()
	if where != path || next == query.Encode() || next == "" || len(next) > maxCursor {
		return nil, "", fmt.Errorf("the list %s does not go on: its next page is of another list, the same page, or has no "+
			"name of at most %d bytes", path, maxCursor)
	}
	return *answer.Value, next, nil
}

// Page implements source.Inventory: all managed devices, then what each of the policies says of its devices. The cursor
// is the number of the list (0: the devices), a question mark, and the query of the page. Total is not known:
// @odata.count was seen to count the page.
func (a *Adapter) Page(ctx context.Context, cursor string) (source.Page, error) {
	number, query := 0, url.Values{"$select": {a.selection()}}
	if cursor != "" {
		at, rest, _ := strings.Cut(cursor, "?")
		var err, bad error
		number, err = strconv.Atoi(at)
		query, bad = url.ParseQuery(rest)
		if err != nil || bad != nil || number < 0 || number > len(a.policies) || number == 0 && rest == "" {
			return source.Page{}, fmt.Errorf("%.40q is no place in the lists of this source; begin again", cursor)
		}
	}
	path := a.devicesPath()
	if number > 0 {
		path = a.path("/deviceManagement/deviceCompliancePolicies/" + a.policies[number-1].id + "/deviceStatuses")
	}
	entries, next, err := a.list(ctx, path, query)
	switch {
	case errors.Is(err, source.ErrGone):
		return source.Page{}, fmt.Errorf("there is no %s; check api.url, and the ids of policies", path)
	case err != nil:
		return source.Page{}, fmt.Errorf("a page of %s: %w", path, err)
	}
	var page source.Page
	for i, raw := range entries {
		if number > 0 {
			page.Also = append(page.Also, a.status(&a.policies[number-1], raw)...)
			continue
		}
		o, err := a.listed(raw)
		if err != nil {
			return source.Page{}, fmt.Errorf("entry %d of a page of the devices: %w", i, err)
		}
		page.Observations = append(page.Observations, o)
	}
	switch {
	case next != "":
		page.Next = strconv.Itoa(number) + "?" + next
	case number < len(a.policies):
		page.Next = strconv.Itoa(number+1) + "?"
	}
	return page, nil
}

// listed reads one device of a list. One that cannot be read is listed without facts: it is there, and what was known
// of it goes on ageing. One without an id ends the listing, because nobody could say which device is not missing.
func (a *Adapter) listed(raw json.RawMessage) (signals.Observation, error) {
	var who struct {
		ID string `json:"id"`
	}
	_ = json.Unmarshal(raw, &who) // what has no id is no object either
	if !isGUID(who.ID) {
		return signals.Observation{}, errors.New("it has no id")
	}
	var d managedDevice
	err := json.Unmarshal(raw, &d)
	if err == nil {
		var o signals.Observation
		if o, err = a.observed(&d); err == nil {
			return o, nil
		}
	}
	a.opts.Unreadable(strings.ToLower(who.ID), fmt.Errorf("the record does not have Intune's shape: %w", err))
	alias, err := a.Alias(who.ID)
	return signals.Observation{Aliases: []signals.Alias{alias}}, err
}

// status reads what a policy says of a device (learn.microsoft.com/graph/api/resources/
// intune-deviceconfig-devicecompliancedevicestatus). Its id is USER_POLICY_DEVICE, which was seen and is not
// documented: any other shape says nothing.
func (a *Adapter) status(of *policy, raw json.RawMessage) []signals.Observation {
	var s struct {
		ID       string          `json:"id"`
		Status   string          `json:"status"`
		Reported json.RawMessage `json:"lastReportedDateTime"`
	}
	err := json.Unmarshal(raw, &s)
	parts := strings.Split(s.ID, "_")
	if err == nil && (len(parts) != 3 || !strings.EqualFold(parts[1], of.id) || !isGUID(parts[2])) {
		err = errors.New("its id is not USER_POLICY_DEVICE")
	}
	at, bad := source.Instant(s.Reported)
	if err = errors.Join(err, bad); err != nil {
		a.opts.Unreadable(fmt.Sprintf("%.120s", s.ID), fmt.Errorf("the status of policy %s: %w", of.id, err))
		return nil
	}
	said, err := a.begin(parts[2], at)
	if err != nil {
		return nil
	}
	where := "deviceCompliancePolicies/" + of.id + "/deviceStatuses.status"
	said.word(of.attribute.Name, s.Status, where, map[string]signals.Value{
		"compliant": signals.Bool(of.attribute.Healthy), "noncompliant": signals.Bool(!of.attribute.Healthy)})
	return []signals.Observation{said.o}
}

// Device implements source.Inventory: GET …/managedDevices/{id}, or all devices of user/{id}. An answer about another
// device is an error: its facts would stand on the wrong one.
func (a *Adapter) Device(ctx context.Context, id string) ([]signals.Observation, error) {
	if _, err := a.Alias(id); err != nil {
		return nil, err
	}
	if user, is := strings.CutPrefix(id, userPrefix); is {
		return a.ofUser(ctx, user)
	}
	raw, err := a.opts.Client.GetJSON(ctx, a.devicesPath()+"/"+strings.ToLower(id), url.Values{"$select": {a.selection()}})
	if err != nil {
		return nil, fmt.Errorf("device %s: %w", id, err)
	}
	var d managedDevice
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, fmt.Errorf("device %s: the answer does not have Intune's shape: %w", id, err)
	}
	if !strings.EqualFold(d.ID, id) {
		return nil, fmt.Errorf("device %s: the answer is not about this device; check api.url", id)
	}
	o, err := a.observed(&d)
	if err != nil {
		return nil, fmt.Errorf("device %s: %w", id, err)
	}
	return []signals.Observation{o}, nil
}

// ofUser asks for the devices of a user: GET /users/{id}/managedDevices. A user who is gone is ErrGone, which withdraws
// no device: none carries a user's name.
func (a *Adapter) ofUser(ctx context.Context, user string) ([]signals.Observation, error) {
	path, query := a.path("/users/"+strings.ToLower(user)+"/managedDevices"), url.Values{"$select": {a.selection()}}
	var all []signals.Observation
	for range maxUsers {
		entries, next, err := a.list(ctx, path, query)
		if err != nil {
			return nil, fmt.Errorf("devices of user %s: %w", user, err)
		}
		for i, raw := range entries {
			o, err := a.listed(raw)
			if err != nil {
				return nil, fmt.Errorf("devices of user %s, entry %d: %w", user, i, err)
			}
			all = append(all, o)
		}
		if next == "" {
			return all, nil
		}
		if query, err = url.ParseQuery(next); err != nil {
			return nil, fmt.Errorf("devices of user %s: %w", user, err)
		}
	}
	return nil, fmt.Errorf("user %s has more devices than %d pages hold", user, maxUsers)
}
