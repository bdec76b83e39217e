package standard

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// Type is the one type of event that this source reads.
const Type = "device.posture.updated"

// event is the body. Members that it does not name are refused.
type event struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      data      `json:"data"`
}

type data struct {
	Device     device                   `json:"device"`
	ObservedAt time.Time                `json:"observed_at"`
	Attributes map[string]signals.Value `json:"attributes"`
}

// device names the device. Null is the same as leaving the name out.
type device struct {
	Serial      string `json:"serial"`
	UUID        string `json:"uuid"`
	Certificate string `json:"certificate"`
	Directory   string `json:"directory"`
	ID          string `json:"id"`
}

// Observe implements source.Adapter. An attribute that is null says that the sender looked and could not tell.
func (a *Adapter) Observe(d source.Delivery) ([]signals.Observation, error) {
	e, err := a.read(d)
	switch {
	case err != nil:
		return nil, err
	case e.ObservedAt.IsZero():
		return nil, errors.New("data.observed_at is missing; send when the device was looked at (RFC 3339)")
	}
	aliases, err := e.Device.aliases(d.Source)
	if err != nil {
		return nil, err
	}
	facts, err := e.facts()
	if err != nil {
		return nil, err
	}
	return []signals.Observation{{Aliases: aliases, Facts: facts}}, nil
}

// aliases returns the names that say something. Placeholders are left out, since the other names may still find the
// device; a malformed name is an error.
func (d device) aliases(from string) ([]signals.Alias, error) {
	names := []signals.Alias{
		{Kind: signals.AliasCertificate, Value: d.Certificate},
		{Kind: signals.AliasDirectory, Value: d.Directory},
		{Kind: signals.AliasSerial, Value: d.Serial},
		{Kind: signals.AliasUUID, Value: d.UUID},
	}
	if d.ID != "" {
		names = append(names, signals.Alias{Kind: signals.AliasVendor, Value: from + "/" + d.ID})
	}
	var usable []signals.Alias
	for _, name := range names {
		alias, err := signals.NewAlias(name.Kind, name.Value)
		switch {
		case errors.Is(err, signals.ErrPlaceholder):
		case err != nil:
			return nil, fmt.Errorf("data.device: %w", err)
		default:
			usable = append(usable, alias)
		}
	}
	if len(usable) == 0 {
		return nil, errors.New("data.device has no usable name; " +
			"send at least one of serial, uuid, certificate, directory and id, and no placeholder")
	}
	return usable, nil
}

// facts checks every attribute against the vocabulary; one that does not fit refuses them all.
func (d data) facts() ([]signals.Fact, error) {
	if len(d.Attributes) == 0 {
		return nil, errors.New("data.attributes is empty; there is nothing to say of the device")
	}
	var facts []signals.Fact
	for _, name := range slices.Sorted(maps.Keys(d.Attributes)) {
		value := d.Attributes[name]
		path := "data.attributes." + name
		attribute, found := signals.LookupAttribute(name)
		if !found {
			return nil, fmt.Errorf("%.80s: there is no such attribute; there are %s", path, vocabulary())
		}
		if text, ok := value.AsText(); ok && attribute.Kind == signals.KindText && !printable(text) {
			return nil, fmt.Errorf("%s: a text has 1 to %d bytes and no control characters", path, signals.MaxTextBytes)
		}
		if !attribute.Accepts(value) {
			return nil, fmt.Errorf("%s: %.60q is not what it can be; it is %s", path, value, kindOf(attribute))
		}
		facts = append(facts, signals.Fact{Attribute: name, Value: value, Path: path, Observed: d.ObservedAt})
	}
	return facts, nil
}

func printable(text string) bool {
	return text != "" && len(text) <= signals.MaxTextBytes && utf8.ValidString(text) &&
		!strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

func kindOf(attribute signals.Attribute) string {
	if len(attribute.Scale) > 0 {
		return "one of " + strings.Join(attribute.Scale, ", ") + ", or null"
	}
	return "a " + attribute.Kind.String() + " or null"
}

func vocabulary() string {
	var names []string
	for _, attribute := range signals.Attributes() {
		names = append(names, attribute.Name)
	}
	return strings.Join(names, ", ")
}
