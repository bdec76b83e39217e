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
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

const (
	threatsPath    = "/api/v1/threat-details"
	threatsPerPage = 1000 // the most that Kandji gives
	// maxThreatPages bounds what is read for one page of devices.
	maxThreatPages = 20
)

// threat is what counts of a finding of Avert. Its dates have no zone; Kandji writes them in UTC.
type threat struct {
	Device     string `json:"device_id"`
	Status     string `json:"status"`
	Detected   string `json:"detection_date"`
	Quarantine string `json:"date_of_quarantine"`
	Release    string `json:"date_of_release"`
}

// found is what is known of one device's threats.
type found struct {
	level signals.Value
	at    time.Time // the latest of their dates
}

// threatsOf asks for all findings, of one device where id is given. All must be had: a device's worst may be the last.
func (a *Adapter) threatsOf(ctx context.Context, id string) (map[string]found, error) {
	all := map[string]found{}
	offset := 0
	for range maxThreatPages {
		query := url.Values{"limit": {strconv.Itoa(threatsPerPage)}, "offset": {strconv.Itoa(offset)}}
		if id != "" {
			query.Set("device_id", id)
		}
		body, err := a.opts.API.GetJSON(ctx, threatsPath, query)
		if errors.Is(err, source.ErrGone) {
			return nil, fmt.Errorf("there is no %s; check api.url, or set threats: false", threatsPath)
		}
		if err != nil {
			return nil, err
		}
		var answer struct {
			Count   *int               `json:"count"`
			Results *[]json.RawMessage `json:"results"`
		}
		if err := json.Unmarshal(body, &answer); err != nil || answer.Results == nil {
			return nil, fmt.Errorf(`the answer to %s has no array "results"; check api.url`, threatsPath)
		}
		for i, raw := range *answer.Results {
			if err := a.add(all, raw, id); err != nil {
				return nil, fmt.Errorf("%s: threat %d: %w", threatsPath, offset+i, err)
			}
		}
		offset += len(*answer.Results)
		if len(*answer.Results) == 0 || answer.Count != nil && offset >= *answer.Count {
			return all, nil
		}
	}
	return nil, fmt.Errorf("there are more than %d threats; delete old ones in Kandji, or set threats: false",
		maxThreatPages*threatsPerPage)
}

// add joins one finding to those of its device: the worse level, the later date.
func (a *Adapter) add(all map[string]found, raw json.RawMessage, id string) error {
	var t threat
	if err := json.Unmarshal(raw, &t); err != nil {
		return fmt.Errorf("it does not have Kandji's shape: %w", err)
	}
	if _, err := a.Alias(t.Device); err != nil {
		return err
	}
	if id != "" && t.Device != id {
		return errAnother
	}
	level := a.level(t.Status)
	before, there := all[t.Device]
	if there {
		level = worse(before.level, level)
	}
	at := before.at
	for _, date := range []string{t.Detected, t.Quarantine, t.Release} {
		when, err := source.InstantUTC(date)
		if err != nil {
			return err
		}
		if when.After(at) {
			at = when
		}
	}
	all[t.Device] = found{level, at}
	return nil
}

// level is what a finding means: what is in quarantine did run, what is not may run now. A word that is not known may be
// either.
func (a *Adapter) level(status string) signals.Value {
	switch strings.ToUpper(strings.ReplaceAll(strings.TrimSpace(status), " ", "_")) {
	case "QUARANTINED":
		return signals.Text("medium")
	case "NOT_QUARANTINED":
		return signals.Text("high")
	case "RELEASED":
		if a.opts.Released != "" {
			return signals.Text(a.opts.Released)
		}
	}
	return signals.Unknown
}

// worse is the higher level. Unknown is worse than none and low: what is behind it may be more.
func worse(x, y signals.Value) signals.Value {
	if rank(x) >= rank(y) {
		return x
	}
	return y
}

func rank(level signals.Value) int {
	word, known := level.AsText()
	if !known {
		word = "unknown"
	}
	return slices.Index([]string{"none", "low", "unknown", "medium", "high"}, word)
}

// threatened says the level of a device. A finding that is listed is so as of the last check-in too: an older good word must
// not overtake it.
func (a *Adapter) threatened(o *signals.Observation, all map[string]found, id string, seen time.Time) {
	threats, there := all[id]
	if !there && !a.opts.Quiet {
		return
	}
	s := &statements{o: o, at: seen, from: "threat-details."}
	if !there {
		s.say("threat_level", signals.Text("none"), "results")
		return
	}
	if threats.at.After(seen) {
		s.at = threats.at
	}
	s.say("threat_level", threats.level, "status")
}
