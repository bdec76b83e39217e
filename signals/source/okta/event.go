package okta

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// hook is what counts of an event hook's body: events in the form of Okta's System Log
// (developer.okta.com/docs/concepts/event-hooks, "Sample event delivery payload").
type hook struct {
	Type string `json:"eventType"`
	Data struct {
		Events *[]event `json:"events"`
	} `json:"data"`
}

type event struct {
	Type   string `json:"eventType"`
	Target []struct {
		ID   string `json:"id"`
		Type string `json:"type"`
	} `json:"target"`
}

const hookType = "com.okta.event_hook"

func read(body []byte) (hook, error) {
	var h hook
	if err := source.CheckJSON(body); err != nil {
		return h, err
	}
	if !bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")) {
		return h, errors.New("the body is not a JSON object")
	}
	if err := json.Unmarshal(body, &h); err != nil {
		return h, fmt.Errorf("the body does not have the shape of Okta's event hooks: %w", err)
	}
	return h, nil
}

// Points implements source.Inventory: the devices that the events are about, each once. An event about devices that names none
// is an error; one about something else (a user, an app) says nothing.
func (a *Adapter) Points(d source.Delivery) ([]string, error) {
	h, err := read(d.Body)
	switch {
	case err != nil:
		return nil, err
	case h.Type != hookType:
		return nil, fmt.Errorf("eventType is %.60q, not %s; this is no delivery of an event hook", h.Type, hookType)
	case h.Data.Events == nil:
		return nil, errors.New("the delivery has no data.events")
	}
	var ids []string
	for i, e := range *h.Data.Events {
		named := false
		for _, target := range e.Target {
			if target.Type != "Device" {
				continue
			}
			if !isID(target.ID) {
				return nil, fmt.Errorf("event %d (%.60s): %.80q is no id of a device", i, e.Type, target.ID)
			}
			named = true
			if !slices.Contains(ids, target.ID) {
				ids = append(ids, target.ID)
			}
		}
		if !named && strings.HasPrefix(e.Type, "device.") {
			return nil, fmt.Errorf("event %d (%.60s) names no device: it has no target of type Device", i, e.Type)
		}
	}
	return ids, nil
}

// Observe implements source.Adapter. An event says that something happened, and nothing of a device's state.
func (a *Adapter) Observe(d source.Delivery) ([]signals.Observation, error) {
	_, err := a.Points(d)
	return nil, err
}
