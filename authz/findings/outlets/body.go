package outlets

import (
	"bytes"
	"encoding/json"
	"time"
)

// spell writes JSON without HTML escapes, so that what is signed reads as it was meant.
func spell(value any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		panic("outlets: an event that has no JSON: " + err.Error()) // its types have only texts, numbers and instants
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

func (e *Event) size() int { return len(spell(e)) }

// told is the event as an outlet may tell it.
func (e *Event) told(details bool) Event {
	out := *e
	if !details {
		out.Data.Evidence, out.Data.Person = nil, ""
	}
	return out
}

// plainBody is our own body, in the shape that Standard Webhooks 1.0.0 recommends ("Payload structure"): type, timestamp, data.
type plainBody struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      Data      `json:"data"`
}

func plain(e *Event) []byte { return spell(plainBody{e.Type, e.At, e.Data}) }

// jsonLine is one line of a file for a SIEM: the plain body and the id, which a webhook has in a header.
func jsonLine(e *Event) []byte {
	return append(spell(struct {
		ID string `json:"id"`
		plainBody
	}{e.ID, plainBody{e.Type, e.At, e.Data}}), '\n')
}

// cloudEvent is the structured mode of CloudEvents 1.0.2, JSON format (cloudevents.io/v1.0.2, "JSON Event Format", section 3).
type cloudEvent struct {
	SpecVersion     string    `json:"specversion"`
	ID              string    `json:"id"`
	Source          string    `json:"source"`
	Type            string    `json:"type"`
	Subject         string    `json:"subject,omitempty"`
	Time            time.Time `json:"time"`
	DataContentType string    `json:"datacontenttype"`
	Data            Data      `json:"data"`
}

// The attributes of a CloudEvent that do not depend on the event. DefaultSource is the source where the settings name none.
const (
	DefaultSource = "/tiergate/findings"
	cloudPrefix   = "dev.tiergate."
)

func cloud(e *Event, source string) []byte {
	return spell(cloudEvent{SpecVersion: "1.0", ID: e.ID, Source: source, Type: cloudPrefix + e.Type, Subject: e.About, Time: e.At,
		DataContentType: "application/json", Data: e.Data})
}
