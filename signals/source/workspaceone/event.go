package workspaceone

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tiergate/tiergate/signals/source"
)

// fields are an event's members by their exact names: texts, and numbers as they stand.
type fields map[string]string

// event is what counts of an event.
type event struct {
	kind   string // EventType without spaces, in small letters: older servers write CompromisedStatusChanged
	device string
	at     time.Time // EventTime; zero: it does not say
}

// read reads JSON, or <Eventlog>. A body that begins with < is XML, whatever Content-Type says.
func read(body []byte) (fields, error) {
	if bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n\ufeff"), []byte("<")) {
		return readXML(body)
	}
	if err := source.CheckJSON(body); err != nil {
		return nil, err
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(body, &object) != nil || object == nil {
		return nil, errors.New("the body is not a JSON object")
	}
	all := fields{}
	for name, raw := range object {
		var text string
		var number json.Number
		switch {
		case json.Unmarshal(raw, &text) == nil:
			all[name] = text
		case json.Unmarshal(raw, &number) == nil:
			all[name] = number.String()
		}
	}
	return all, nil
}

// element is one of a flat document.
type element struct {
	XMLName xml.Name  `xml:""`
	Text    string    `xml:",chardata"`
	Inner   []element `xml:",any"`
}

// readXML reads a flat document; what has elements of its own says nothing.
func readXML(body []byte) (fields, error) {
	if err := source.CheckXML(body); err != nil {
		return nil, err
	}
	var root struct {
		XMLName  xml.Name  `xml:""`
		Elements []element `xml:",any"`
	}
	if err := xml.Unmarshal(body, &root); err != nil {
		return nil, fmt.Errorf("the body does not have the shape of an event: %w", err)
	}
	if root.XMLName.Local != "Eventlog" {
		return nil, fmt.Errorf("the document is <%.40s>; Workspace ONE UEM sends <Eventlog>", root.XMLName.Local)
	}
	all := fields{}
	for _, element := range root.Elements {
		if len(element.Inner) == 0 {
			all[element.XMLName.Local] = strings.TrimSpace(element.Text)
		}
	}
	return all, nil
}

func (f fields) event() (event, error) {
	e := event{kind: strings.ToLower(strings.ReplaceAll(f["EventType"], " ", "")), device: strings.TrimSpace(f["DeviceId"])}
	if e.kind == "" {
		return e, errors.New("the event has no EventType; this is not what Workspace ONE UEM sends")
	}
	if !isID(e.device) {
		return e, fmt.Errorf("DeviceId of the event %.60q is %.40q, which is no number of a device", f["EventType"], e.device)
	}
	var err error
	if e.at, err = source.InstantUTC(f["EventTime"]); err != nil {
		return e, fmt.Errorf("EventTime: %w", err)
	}
	return e, nil
}
