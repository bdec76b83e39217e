package standard

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tiergate/tiergate/signals/source"
)

// TypeCloudEvent is the type of the same statement in the envelope of CloudEvents 1.0: its data is that of the event
// without type and timestamp, {"device","observed_at","attributes"}.
const TypeCloudEvent = "device.posture"

// WithCloudEvents takes deliveries in the envelope too, of the one type; the three headers of Standard Webhooks sign them as
// they sign any body. Senders among origins may ask by OPTIONS whether they may deliver.
func (a *Adapter) WithCloudEvents(origins []string) *Adapter {
	return &Adapter{keys: a.keys, events: &source.CloudEvents{Types: []string{TypeCloudEvent}, Origins: origins}}
}

// envelope refuses an envelope that is not taken. The id of the delivery stays webhook-id, which is signed.
func (a *Adapter) envelope(d source.Delivery) error {
	events := source.CloudEvents{}
	if a.events != nil {
		events = *a.events
	}
	_, _, _, err := events.Envelope(d)
	return err
}

// Greet implements source.Greeter.
func (a *Adapter) Greet(method string, d source.Delivery) (source.Greeting, bool, error) {
	if a.events == nil {
		return source.Greeting{}, false, nil
	}
	return a.events.Greet(method, d)
}

// read takes the data out of whichever envelope there is. Of the binary mode only the data comes here: it has no type, and
// a device.
func (a *Adapter) read(d source.Delivery) (data, error) {
	if a.events != nil && source.IsCloudEvent(d.Header.Get("Content-Type")) {
		event, err := source.ReadCloudEvent(d.Body)
		if err != nil {
			return data{}, err
		}
		var inner data
		return inner, source.Decode(event.Data, &inner)
	}
	var members map[string]json.RawMessage
	if a.events != nil && json.Unmarshal(d.Body, &members) == nil && members["type"] == nil && members["device"] != nil {
		var inner data
		return inner, source.Decode(bytes.TrimSpace(d.Body), &inner)
	}
	var e event
	if err := source.Decode(d.Body, &e); err != nil {
		return data{}, err
	}
	switch {
	case e.Type != Type:
		return data{}, fmt.Errorf("the type is %.60q; this source reads %s only", e.Type, Type)
	case e.Timestamp.IsZero():
		return data{}, errors.New("timestamp is missing; send when the event happened (RFC 3339)")
	}
	return e.Data, nil
}
