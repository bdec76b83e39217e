package kandji

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// status is what counts of GET /api/v1/devices/{id}/status.
type status struct {
	ID         string  `json:"device_id"`
	Items      *[]item `json:"library_items"`
	Parameters *[]item `json:"parameters"`
}

// item is a library item, or a parameter, which has no reported_at.
type item struct {
	ID       string          `json:"item_id"`
	Status   string          `json:"status"`
	Reported json.RawMessage `json:"reported_at"`
}

// meanings are the documented words of a status. A muted alert is a failure that nobody wants to hear of.
var meanings = map[string]string{
	"pass": "compliant", "success": "compliant", "remediated": "compliant",
	"error": "noncompliant", "failed": "noncompliant", "warning": "noncompliant", "pending": "pending",
	"available": "not_applicable", "excluded": "not_applicable", "incompatible": "not_applicable",
}

// healthOf is what a status says of an attribute: whether the item did its work. What is waiting, or not for this device, does
// not tell.
func healthOf(word string, attribute signals.Attribute) signals.Value {
	switch meanings[strings.ToLower(word)] {
	case "compliant":
		return signals.Bool(attribute.Healthy)
	case "noncompliant":
		return signals.Bool(!attribute.Healthy)
	}
	return signals.Unknown
}

// reported says what the items of a device tell. The list is as of the device's last check-in, which the parameters, that have
// no time of their own, are dated by; an item that was reported later is dated so.
func (a *Adapter) reported(o *signals.Observation, raw []byte, id string, seen time.Time) error {
	var answer status
	if err := json.Unmarshal(raw, &answer); err != nil || answer.Items == nil && answer.Parameters == nil {
		return fmt.Errorf("the status does not have Kandji's shape: %w", orShapeless(err))
	}
	if answer.ID != id {
		return errAnother
	}
	all := map[string][]item{}
	for _, list := range []*[]item{answer.Items, answer.Parameters} {
		if list == nil {
			continue
		}
		for _, one := range *list {
			all[one.ID] = append(all[one.ID], one)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.opts.Items)) {
		attribute, _ := signals.LookupAttribute(name)
		value, at, err := together(all, a.opts.Items[name], seen, func(words []string) signals.Value {
			return health(words, attribute)
		})
		if err != nil {
			return err
		}
		(&statements{o: o, at: at, from: "status."}).say(name, value, "items")
	}
	ids := a.opts.Compliance
	if a.opts.AllItems {
		ids = slices.Sorted(maps.Keys(all))
	}
	if len(ids) == 0 {
		return nil
	}
	value, at, err := together(all, ids, seen, compliance)
	if err == nil {
		(&statements{o: o, at: at, from: "status."}).say("config_compliance", value, "items")
	}
	return err
}

// together judges the words of some items; one that the device does not have has the word "".
func together(all map[string][]item, ids []string, at time.Time, judge func([]string) signals.Value) (signals.Value, time.Time, error) {
	var words []string
	for _, id := range ids {
		if len(all[id]) == 0 {
			words = append(words, "")
		}
		for _, one := range all[id] {
			words = append(words, one.Status)
			when, err := source.Instant(one.Reported)
			if err != nil {
				return signals.Unknown, at, fmt.Errorf("status: item %.60q: %w", id, err)
			}
			if when.After(at) {
				at = when
			}
		}
	}
	return judge(words), at, nil
}

// health is healthy where all say so, unhealthy where one does.
func health(words []string, attribute signals.Attribute) signals.Value {
	whole := signals.Bool(attribute.Healthy)
	for _, word := range words {
		value := healthOf(word, attribute)
		if value == signals.Bool(!attribute.Healthy) {
			return value
		}
		if !value.Known() {
			whole = signals.Unknown
		}
	}
	return whole
}

// compliance is the worst of what the items say. One that failed decides; else one that is absent, or whose word is not known,
// leaves it unknown.
func compliance(words []string) signals.Value {
	scale, _ := signals.LookupAttribute("config_compliance")
	worst, unknown := -1, false
	for _, word := range words {
		at := slices.Index(scale.Scale, meanings[strings.ToLower(word)])
		unknown = unknown || at < 0
		worst = max(worst, at)
	}
	if worst < 0 || unknown && scale.Scale[worst] != "noncompliant" {
		return signals.Unknown
	}
	return signals.Text(scale.Scale[worst])
}
