package source

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// CloudEvent is an event in the envelope of CloudEvents 1.0 (https://github.com/cloudevents/spec, JSON format 1.0.2 and
// HTTP binding 1.0.2). Its time is that of the event, and dates nothing.
type CloudEvent struct {
	ID, Source, Type string
	Data             json.RawMessage // JSON of one reading
}

// IsCloudEvent reports whether a Content-Type is that of the structured mode, the whole event in the body. That is all
// that Observe can know: of the binary mode it is given the data alone.
func IsCloudEvent(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && media == "application/cloudevents+json"
}

// ReadCloudEvent reads an event in structured mode, from a body that passes CheckJSON. A batch is refused: its events have
// an id each.
func ReadCloudEvent(body []byte) (CloudEvent, error) {
	var event struct {
		Version  string          `json:"specversion"`
		ID       string          `json:"id"`
		Source   string          `json:"source"`
		Type     string          `json:"type"`
		DataType string          `json:"datacontenttype"`
		Data     json.RawMessage `json:"data"`
		Base64   json.RawMessage `json:"data_base64"`
	}
	if err := CheckJSON(body); err != nil {
		return CloudEvent{}, err
	}
	if err := json.Unmarshal(body, &event); err != nil {
		return CloudEvent{}, errors.New("the body is no CloudEvent in structured mode")
	}
	if err := exactCloudEvent(body); err != nil {
		return CloudEvent{}, err
	}
	switch {
	case event.Version != "1.0":
		return CloudEvent{}, fmt.Errorf("specversion is %.20q; CloudEvents 1.0 is read", event.Version)
	case event.ID == "" || event.Source == "" || event.Type == "":
		return CloudEvent{}, errors.New("the CloudEvent lacks id, source or type")
	case event.Base64 != nil || !jsonMedia(event.DataType):
		return CloudEvent{}, fmt.Errorf("the data of the CloudEvent is %.40q; JSON is read", event.DataType)
	case len(event.Data) == 0 || string(event.Data) == "null":
		return CloudEvent{}, errors.New("the CloudEvent has no data")
	}
	return CloudEvent{ID: event.ID, Source: event.Source, Type: event.Type, Data: event.Data}, nil
}

// exactCloudEvent refuses attributes that encoding/json would find although their case differs.
func exactCloudEvent(body []byte) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return errors.New("the body is no CloudEvent in structured mode")
	}
	for name := range members {
		if name != strings.ToLower(name) {
			return fmt.Errorf("the attribute %.40q is not in lower case, as CloudEvents wants it", name)
		}
	}
	return nil
}

func jsonMedia(contentType string) bool {
	if contentType == "" {
		return true // the JSON format's default
	}
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (media == "application/json" || strings.HasSuffix(media, "+json"))
}

// CloudEventHead reads the ce- headers of the binary mode; ok is false if there are none. What signs a body does not sign
// them, so they only choose and name: nothing of them becomes a fact.
func CloudEventHead(header http.Header) (event CloudEvent, ok bool, err error) {
	const version = "Ce-Specversion"
	if len(header.Values(version)) == 0 {
		return CloudEvent{}, false, nil
	}
	read := map[string]string{}
	for _, name := range []string{version, "Ce-Id", "Ce-Source", "Ce-Type"} {
		value, err := once(header, name)
		if err != nil {
			return CloudEvent{}, true, err
		}
		read[name] = value
	}
	if read[version] != "1.0" {
		return CloudEvent{}, true, fmt.Errorf("ce-specversion is %.20q; CloudEvents 1.0 is read", read[version])
	}
	if !jsonMedia(header.Get("Content-Type")) {
		return CloudEvent{}, true, errors.New("the data of the CloudEvent is not JSON")
	}
	return CloudEvent{ID: read["Ce-Id"], Source: read["Ce-Source"], Type: read["Ce-Type"]}, true, nil
}

// CloudEvents says which events of the envelope a source takes.
type CloudEvents struct {
	Types []string // any other type is refused
	// Origins are the senders that may ask whether they may deliver (the handshake of "HTTP 1.1 Web Hooks for Event
	// Delivery", section 4); empty: nobody may, and OPTIONS is refused.
	Origins []string
}

// Envelope finds out whether a delivery is a CloudEvent of a type that is taken, and returns it: in structured mode with
// its data, in binary mode without. ok is false for a delivery without the envelope. An error is a *Refusal.
func (c CloudEvents) Envelope(d Delivery) (event CloudEvent, structured, ok bool, err error) {
	if structured = IsCloudEvent(d.Header.Get("Content-Type")); structured {
		event, err = ReadCloudEvent(d.Body)
		ok = true
	} else {
		event, ok, err = CloudEventHead(d.Header)
	}
	if ok && err == nil && !slices.Contains(c.Types, event.Type) {
		err = fmt.Errorf("the type of the CloudEvent is %.80q, which the settings do not list in cloudEvents.types", event.Type)
	}
	if err != nil {
		return CloudEvent{}, structured, ok, &Refusal{Status: http.StatusBadRequest, Reason: err,
			Detail: "The delivery is no CloudEvent 1.0 of a type that this source takes, with JSON data."}
	}
	return event, structured, ok, nil
}

// CloudEventID is the id of a delivery in the envelope: two events are one if id and source are. In binary mode neither is
// under a signature of the body, so its bytes count as well.
func CloudEventID(d Delivery, event CloudEvent, structured bool) string {
	named := Delivery{Source: d.Source, Body: []byte(strconv.Quote(event.Source) + strconv.Quote(event.ID))}
	if !structured {
		named.Body = append(named.Body, d.Body...)
	}
	return "ce-" + DigestID(named, 0)
}

// Greet answers the handshake: the origin that is listed may deliver, at the rate that it asked for. A callback
// (WebHook-Request-Callback) is not called: the answer is given at once, and we ask no host that a stranger names.
func (c CloudEvents) Greet(method string, d Delivery) (Greeting, bool, error) {
	if method != http.MethodOptions || len(c.Origins) == 0 {
		return Greeting{}, false, nil
	}
	origin, err := once(d.Header, "Webhook-Request-Origin")
	if err != nil || !slices.Contains(c.Origins, origin) {
		return Greeting{}, true, &Refusal{Status: http.StatusBadRequest, Reason: err,
			Detail: "WebHook-Request-Origin is none that may deliver here."}
	}
	header := http.Header{"Allow": {http.MethodPost}, "Webhook-Allowed-Origin": {origin}}
	if rate := d.Header.Get("Webhook-Request-Rate"); rate != "" {
		n, err := strconv.ParseUint(rate, 10, 31)
		if err != nil || n == 0 {
			return Greeting{}, true, &Refusal{Status: http.StatusBadRequest, Reason: err,
				Detail: "WebHook-Request-Rate is no number of requests per minute."}
		}
		header.Set("WebHook-Allowed-Rate", strconv.FormatUint(n, 10))
	}
	return Greeting{Status: http.StatusOK, Header: header}, true, nil
}
