package kandji

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

const (
	devicesPath = "/api/v1/devices"
	perPage     = 300 // the most that Kandji gives, of devices and of rows
	// perPageAsked is a page where each device is asked for by itself: it must be had before whoever waits for it gives up.
	perPageAsked = 40
	listDevices  = "devices"
	// maxOffset ends a list that never ends, because a proxy on the way drops the query.
	maxOffset = 1_000_000
)

var errAnother = errors.New("the answer is about another device; check api.url")

func orShapeless(err error) error {
	if err == nil {
		return errors.New("what it should have is not there")
	}
	return err
}

// Page implements source.Inventory: the next devices of the list and, beside them, the next rows of each table. The cursor
// is where each of those that go on is: "devices=300 filevault=300". Total is not known: the list is an array without one.
func (a *Adapter) Page(ctx context.Context, cursor string) (source.Page, error) {
	at, err := a.places(cursor)
	if err != nil {
		return source.Page{}, err
	}
	var page source.Page
	var next []string
	for _, list := range a.lists() {
		offset, goesOn := at[list]
		if !goesOn {
			continue
		}
		var after int
		if list == listDevices {
			page.Observations, page.Also, after, err = a.devices(ctx, offset)
		} else {
			var rows []signals.Observation
			rows, after, err = a.rows(ctx, list, url.Values{"limit": {strconv.Itoa(perPage)},
				"offset": {strconv.Itoa(offset)}, "sort_by": {"device_id"}}, offset)
			page.Also = append(page.Also, rows...)
		}
		if err != nil {
			return source.Page{}, fmt.Errorf("%s from %d on: %w", list, offset, err)
		}
		if after > maxOffset {
			return source.Page{}, fmt.Errorf("%s has no end: it goes on after %d; check api.url and the proxies before it", list, maxOffset)
		}
		if after > 0 {
			next = append(next, fmt.Sprintf("%s=%d", list, after))
		}
	}
	page.Next = strings.Join(next, " ")
	return page, nil
}

func (a *Adapter) lists() []string { return append([]string{listDevices}, a.opts.Tables...) }

// places reads a cursor.
func (a *Adapter) places(cursor string) (map[string]int, error) {
	at := map[string]int{}
	if cursor == "" {
		for _, list := range a.lists() {
			at[list] = 0
		}
		return at, nil
	}
	for part := range strings.SplitSeq(cursor, " ") {
		list, number, _ := strings.Cut(part, "=")
		offset, err := strconv.Atoi(number)
		if err != nil || offset < 1 || !slices.Contains(a.lists(), list) {
			return nil, fmt.Errorf("%.60q is no place in the lists of this source; begin again", cursor)
		}
		at[list] = offset
	}
	return at, nil
}

// devices asks for one page of the list, and for what is asked of each. A list that is not there says nothing of any device.
func (a *Adapter) devices(ctx context.Context, offset int) (listed, also []signals.Observation, next int, err error) {
	most := perPage
	if a.perDevice() {
		most = perPageAsked
	}
	body, err := a.opts.API.GetJSON(ctx, devicesPath, url.Values{"limit": {strconv.Itoa(most)},
		"offset": {strconv.Itoa(offset)}, "ordering": {"device_id"}})
	if errors.Is(err, source.ErrGone) {
		return nil, nil, 0, fmt.Errorf("there is no %s; check api.url", devicesPath)
	}
	if err != nil {
		return nil, nil, 0, err
	}
	var records []json.RawMessage
	if err := json.Unmarshal(body, &records); err != nil || records == nil {
		return nil, nil, 0, fmt.Errorf("the answer to %s is no array; check api.url", devicesPath)
	}
	if len(records) == 0 {
		return nil, nil, 0, nil
	}
	var threats map[string]found
	if a.opts.Threats {
		if threats, err = a.threatsOf(ctx, ""); err != nil {
			return nil, nil, 0, err
		}
	}
	for i, raw := range records {
		record, more, err := a.entry(ctx, raw, threats)
		if err != nil {
			return nil, nil, 0, fmt.Errorf("entry %d: %w", offset+i, err)
		}
		listed, also = append(listed, record), append(also, more...)
	}
	return listed, also, offset + len(records), nil
}

// entry reads one record of the list. One that cannot be read is listed without facts: it is there, and what was known of it
// goes on ageing.
func (a *Adapter) entry(
	ctx context.Context, raw json.RawMessage, threats map[string]found,
) (o signals.Observation, also []signals.Observation, err error) {
	var who struct {
		ID string `json:"device_id"`
	}
	_ = json.Unmarshal(raw, &who) // what has no id is no object either
	own, err := a.Alias(who.ID)
	if err != nil {
		return o, nil, err
	}
	var d device
	if err = json.Unmarshal(raw, &d); err == nil {
		o, err = a.listed(&d)
	}
	if err != nil {
		a.opts.Unreadable(who.ID, fmt.Errorf("its record: %w", err))
		return signals.Observation{Aliases: []signals.Alias{own}}, nil, nil
	}
	if d.isRemoved() {
		return o, nil, nil
	}
	if a.opts.Threats {
		seen, _ := source.Instant(d.CheckIn) // it was read before
		a.threatened(&o, threats, d.ID, seen)
	}
	if a.opts.Details {
		more, err := a.details(ctx, d.ID)
		if errors.Is(err, source.ErrGone) { // since the list was written
			return o, nil, nil
		}
		if err != nil {
			return o, nil, err
		}
		also = append(also, more)
	}
	return o, also, a.status(ctx, &o, &d)
}

// details asks for the details of a device.
func (a *Adapter) details(ctx context.Context, id string) (signals.Observation, error) {
	body, err := a.opts.API.GetJSON(ctx, devicesPath+"/"+id+"/details", nil)
	if err != nil {
		return signals.Observation{}, err
	}
	var d details
	if err := json.Unmarshal(body, &d); err != nil {
		return signals.Observation{}, fmt.Errorf("the details do not have Kandji's shape: %w", err)
	}
	if d.General.ID != id {
		return signals.Observation{}, errAnother
	}
	return a.detailed(&d)
}

// status asks what the library items of a device say, where the settings want it.
func (a *Adapter) status(ctx context.Context, o *signals.Observation, d *device) error {
	if !a.wantsStatus() {
		return nil
	}
	body, err := a.opts.API.GetJSON(ctx, devicesPath+"/"+d.ID+"/status", nil)
	if errors.Is(err, source.ErrGone) { // since the device was had
		return nil
	}
	if err != nil {
		return err
	}
	seen, _ := source.Instant(d.CheckIn) // it was read before
	return a.reported(o, body, d.ID, seen)
}

// Device implements source.Inventory: the record, the details, and the rows of each table. A 404 is also what a wrong URL
// answers, so it counts only if the list is there. An answer about another device is an error: its facts would stand on the
// wrong one.
func (a *Adapter) Device(ctx context.Context, id string) ([]signals.Observation, error) {
	if _, err := a.Alias(id); err != nil {
		return nil, err
	}
	all, err := a.device(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("device %s: %w", id, err)
	}
	return all, nil
}

func (a *Adapter) device(ctx context.Context, id string) ([]signals.Observation, error) {
	body, err := a.opts.API.GetJSON(ctx, devicesPath+"/"+id, nil)
	if errors.Is(err, source.ErrGone) {
		if _, listed := a.opts.API.GetJSON(ctx, devicesPath, url.Values{"limit": {"1"}}); listed != nil {
			if errors.Is(listed, source.ErrGone) {
				listed = fmt.Errorf("there is no %s; check api.url", devicesPath)
			}
			return nil, listed
		}
	}
	if err != nil {
		return nil, err
	}
	var d device
	if err := json.Unmarshal(body, &d); err != nil {
		return nil, fmt.Errorf("the record does not have Kandji's shape: %w", err)
	}
	if d.ID != id {
		return nil, errAnother
	}
	o, err := a.listed(&d)
	if err != nil {
		return nil, err
	}
	if d.isRemoved() {
		return []signals.Observation{o}, nil
	}
	if a.opts.Threats {
		threats, err := a.threatsOf(ctx, id)
		if err != nil {
			return nil, err
		}
		seen, _ := source.Instant(d.CheckIn) // it was read before
		a.threatened(&o, threats, id, seen)
	}
	if err := a.status(ctx, &o, &d); err != nil {
		return nil, err
	}
	more, err := a.details(ctx, id)
	if errors.Is(err, source.ErrGone) {
		return nil, errors.New("the device is there and its details are not; check the rights of the API token")
	}
	if err != nil {
		return nil, err
	}
	all := []signals.Observation{o, more}
	for _, name := range a.opts.Tables {
		rows, err := a.ofDevice(ctx, name, id)
		if err != nil {
			return nil, err
		}
		all = append(all, rows...)
	}
	return all, nil
}
