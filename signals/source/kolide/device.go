package kolide

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// device is what counts of Kolide's record of a device, in the list and alone.
type device struct {
	ID        json.RawMessage `json:"id"`
	Serial    string          `json:"serial"`        // null on Android; "Default string"
	UUID      string          `json:"hardware_uuid"` // null on Android
	Type      string          `json:"device_type"`   // Mac, Windows, Linux, iOS, Android
	OS        string          `json:"operating_system"`
	LastSeen  json.RawMessage `json:"last_seen_at"`
	AuthState string          `json:"auth_state"`
	Owner     struct {
		Identifier json.RawMessage `json:"identifier"`
	} `json:"registered_owner_info"`
}

// observation puts a device into our words. Everything is dated by last_seen_at, an open issue by when it was checked last:
// what has no instant is not said.
func (a *Adapter) observation(ctx context.Context, id string, d *device) (signals.Observation, error) {
	own, err := a.Alias(id)
	if err != nil {
		return signals.Observation{}, err
	}
	o := signals.Observation{Aliases: []signals.Alias{own}}
	for _, name := range []signals.Alias{
		{Kind: signals.AliasSerial, Value: d.Serial}, {Kind: signals.AliasUUID, Value: d.UUID},
	} {
		// What is malformed identifies nothing either, and the device has a name without it.
		if alias, err := signals.NewAlias(name.Kind, name.Value); err == nil {
			o.Aliases = append(o.Aliases, alias)
		}
	}
	seen, err := source.Instant(d.LastSeen)
	if err != nil {
		return signals.Observation{}, err
	}
	say := func(attribute string, value signals.Value, path string, at time.Time) {
		if !at.IsZero() {
			o.Facts = append(o.Facts, signals.Fact{Attribute: attribute, Value: value, Path: path, Observed: at})
		}
	}
	platform := source.Platform(d.Type)
	if d.Type != "" {
		say("platform", platform, "device_type", seen)
	}
	if os := source.SplitOS(platform, d.OS); os.Version != "" {
		say("os_version", source.Text(os.Version), "operating_system", seen)
		if os.Build != "" {
			say("os_build", source.Text(os.Build), "operating_system", seen)
		}
	}
	if d.AuthState != "" {
		compliance, lifecycle := standing(d.AuthState)
		say("config_compliance", compliance, "auth_state", seen)
		say("lifecycle", lifecycle, "auth_state", seen)
	}
	if err := a.checked(ctx, id, seen, say); err != nil {
		return signals.Observation{}, err
	}
	return o, a.owned(ctx, d, seen, say)
}

// standing is what auth_state says. Blocked is no longer let in by Kolide; of the others with open issues the user has been
// told, with a date at which they are blocked or without.
func standing(state string) (compliance, lifecycle signals.Value) {
	switch strings.ToLower(strings.ReplaceAll(state, "_", " ")) {
	case "good":
		return signals.Text("compliant"), signals.Text("enrolled")
	case "notified", "will block":
		return signals.Text("in_grace"), signals.Text("enrolled")
	case "blocked":
		return signals.Text("noncompliant"), signals.Text("blocked")
	}
	return signals.Unknown, signals.Unknown
}

type sayer func(attribute string, value signals.Value, path string, at time.Time)

// checked reads the attributes that checks tell.
func (a *Adapter) checked(ctx context.Context, id string, seen time.Time, say sayer) error {
	if len(a.opts.Checks) == 0 {
		return nil
	}
	open, err := a.issues(ctx, id)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(a.opts.Checks)) {
		attribute, _ := signals.LookupAttribute(name)
		value, at := signals.Unknown, seen
		if a.opts.Passing {
			value = signals.Bool(attribute.Healthy)
		}
		for i := range open {
			check, err := deviceID(open[i].Check.Identifier)
			if err != nil || !slices.Contains(a.opts.Checks[name], check) || resolved(&open[i]) {
				continue
			}
			when, err := lastChecked(&open[i])
			if err != nil {
				return err
			}
			if when.IsZero() || when.Before(seen) {
				when = seen // it is open as of the record; the later instant cannot be overtaken by an older good word
			}
			value, at = signals.Bool(!attribute.Healthy), when
		}
		say(name, value, "open_issues", at)
	}
	return nil
}

// resolved tells whether an issue is over. One that was exempted is not: the device is as it is.
func resolved(i *issue) bool {
	at, err := source.Instant(i.Resolved)
	return err == nil && !at.IsZero()
}

func lastChecked(i *issue) (time.Time, error) {
	at, err := source.Instant(i.Rechecked)
	if err == nil && at.IsZero() {
		at, err = source.Instant(i.Detected)
	}
	return at, err
}

// owned says who the registered owner is.
func (a *Adapter) owned(ctx context.Context, d *device, seen time.Time, say sayer) error {
	person, err := deviceID(d.Owner.Identifier)
	if !a.opts.Users || err != nil { // "" where nobody has registered it
		return nil
	}
	email, err := a.owner(ctx, person)
	if err != nil || email == "" {
		return err
	}
	say("enrolled_user", source.Text(email), "registered_owner_info", seen)
	return nil
}
