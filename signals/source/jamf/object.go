package jamf

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

var udidShape = regexp.MustCompile(
	`^([0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}|[0-9A-F]{40}|[0-9A-F]{8}-[0-9A-F]{16})$`)

// object is a JSON object whose members are found by their exact names; encoding/json would take jssid for jssID.
type object map[string]json.RawMessage

func parseObject(raw json.RawMessage) (object, error) {
	var o object
	if err := json.Unmarshal(raw, &o); err != nil || o == nil {
		return nil, errors.New("it is not an object")
	}
	return o, nil
}

// get walks down; nil is what is absent or null.
func (o object) get(path ...string) json.RawMessage {
	for i, name := range path {
		raw := o[name]
		if len(raw) == 0 || string(raw) == "null" {
			return nil
		}
		if i == len(path)-1 {
			return raw
		}
		var err error
		if o, err = parseObject(raw); err != nil {
			return nil
		}
	}
	return nil
}

// textOf reads a text, or a number as it stands; anything else is empty.
func textOf(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var number json.Number
	if json.Unmarshal(raw, &number) == nil {
		return number.String()
	}
	return ""
}

func sortedNames(o object) []string { return slices.Sorted(maps.Keys(o)) }

func isXML(body []byte) bool { return bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("<")) }

// parseEnvelope reads {"event":…,"webhook":…}, or <JSSEvent> with the same two in it.
func parseEnvelope(body []byte) (object, error) {
	if err := oneReading(body); err != nil {
		return nil, err
	}
	if !isXML(body) {
		return parseObject(body)
	}
	decoder := xml.NewDecoder(bytes.NewReader(body))
	for {
		token, err := decoder.Token()
		if err != nil {
			return nil, fmt.Errorf("the body is not one XML document: %w", err)
		}
		if root, ok := token.(xml.StartElement); ok {
			if root.Name.Local != "JSSEvent" {
				return nil, fmt.Errorf("the document is <%.40s>; Jamf Pro sends <JSSEvent>", root.Name.Local)
			}
			raw, err := elementJSON(decoder)
			if err != nil {
				return nil, err
			}
			return parseObject(raw)
		}
	}
}

// xmlLists are the elements of an event that may stand several times. How Jamf Pro writes lists in XML is nowhere
// documented, so each likely way is taken.
var xmlLists = []string{"groupAddedDevices", "groupRemovedDevices", "groupAddedDevicesIds", "groupRemovedDevicesIds",
	"reportUrl", "reportUrls", "id", "int", "integer", "long", "string", "item", "element", "device", "jssID"}

// elementJSON turns an element, whose start was read, into JSON: an object if it has elements, with a list for
// those that stand several times, else a text. Jamf Pro's elements have no attributes.
func elementJSON(decoder *xml.Decoder) (json.RawMessage, error) {
	var text strings.Builder
	children := map[string][]json.RawMessage{}
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return nil, io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
		switch token := token.(type) {
		case xml.CharData:
			text.Write(token)
		case xml.StartElement:
			child, err := elementJSON(decoder)
			if err != nil {
				return nil, err
			}
			children[token.Name.Local] = append(children[token.Name.Local], child)
		case xml.EndElement:
			if len(children) == 0 {
				return json.Marshal(text.String())
			}
			whole := map[string]any{}
			for name, items := range children {
				if whole[name] = items; len(items) == 1 {
					whole[name] = items[0]
				}
			}
			return json.Marshal(whole)
		}
	}
}
