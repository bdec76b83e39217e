package mapping

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tiergate/tiergate/signals/source"
)

// observed is an Observed that was checked.
type observed struct {
	paths    []Path
	format   string
	layout   string
	zone     *time.Location // nil: a text must name its own
	never    []string
	received bool
}

var formats = []string{"auto", "rfc3339", "seconds", "milliseconds", "layout"}

func newObserved(o Observed) (*observed, error) {
	made := &observed{format: o.Time.Format, layout: o.Time.Layout, received: o.Received}
	if made.format == "" {
		made.format = "auto"
	}
	switch {
	case o.Received && (len(o.Paths) > 0 || o.Time.Format+o.Time.Layout+o.Time.Zone != ""):
		return nil, errors.New("received stands alone: what has a time is dated by it")
	case o.Received:
		return made, nil
	case len(o.Paths) == 0:
		return nil, errors.New("it has no path; name where the vendor says when it saw the device, or write received: true")
	case !slices.Contains(formats, made.format):
		return nil, fmt.Errorf("format is %q; it is %s", o.Time.Format, strings.Join(formats, ", "))
	case (made.format == "layout") != (o.Time.Layout != ""):
		return nil, errors.New("format layout and layout go together")
	}
	if made.format == "layout" {
		if err := checkLayout(o.Time.Layout); err != nil {
			return nil, err
		}
	}
	for i, text := range o.Paths {
		p, err := ParsePath(text)
		if err != nil {
			return nil, fmt.Errorf("paths[%d]: %w", i, err)
		}
		if p.many() {
			return nil, fmt.Errorf("paths[%d]: %s can find several instants; name one", i, text)
		}
		made.paths = append(made.paths, p)
	}
	for _, text := range o.Time.Never {
		made.never = append(made.never, strings.TrimSpace(text))
	}
	var err error
	if made.zone, err = zone(o.Time.Zone); err != nil {
		return nil, err
	}
	if made.format == "layout" && made.zone == nil && !zoned(made.layout) {
		return nil, errors.New("the layout reads no zone (Z07:00); write in zone which one the vendor means")
	}
	return made, nil
}

// checkLayout wants a layout that holds a whole date and time, so that what it reads is an instant.
func checkLayout(layout string) error {
	if strings.Contains(layout, "MST") {
		return fmt.Errorf("layout %.60q reads the name of a zone, which says nothing certain; read an offset (Z07:00)", layout)
	}
	probe := time.Date(2023, time.November, 17, 13, 45, 56, 0, time.FixedZone("", 2*60*60))
	read, err := time.Parse(layout, probe.Format(layout))
	if err != nil || read.Year() != 2023 || read.YearDay() != probe.YearDay() || read.Hour() != 13 || read.Minute() != 45 {
		return fmt.Errorf("layout %.60q does not hold year, month, day, hour and minute as Go's package time writes them: "+
			"2006-01-02 15:04:05", layout)
	}
	return nil
}

// zone reads UTC or an offset. Names of places are refused: their rules change under us.
func zone(text string) (*time.Location, error) {
	switch text {
	case "":
		return nil, nil
	case "UTC":
		return time.UTC, nil
	}
	at, err := time.Parse("-07:00", text)
	if err != nil {
		return nil, fmt.Errorf("zone is %.40q; write UTC or an offset such as +02:00", text)
	}
	_, offset := at.Zone()
	return time.FixedZone(text, offset), nil
}

// read finds the instant; zero: the vendor does not say. An error is an instant that cannot be read.
func (o *observed) read(record any, received time.Time) (time.Time, error) {
	if o.received {
		return received, nil
	}
	var earliest time.Time
	for _, p := range o.paths {
		found, err := p.find(record)
		if err != nil {
			return time.Time{}, err
		}
		if len(found) == 0 {
			return time.Time{}, nil
		}
		at, err := o.instant(found[0])
		if err != nil {
			return time.Time{}, fmt.Errorf("%s: %w", p, err)
		}
		if at.IsZero() {
			return time.Time{}, nil
		}
		if earliest.IsZero() || at.Before(earliest) {
			earliest = at
		}
	}
	return earliest, nil
}

func (o *observed) instant(raw any) (time.Time, error) {
	word, said := wordOf(raw)
	if _, truth := raw.(bool); !said || truth {
		return time.Time{}, errors.New("what stands there is no instant")
	}
	if word = strings.TrimSpace(word); word == "" || word == "0" || slices.Contains(o.never, word) {
		return time.Time{}, nil
	}
	_, isNumber := raw.(json.Number)
	switch o.format {
	case "seconds":
		return since1970(word, time.Second)
	case "milliseconds":
		return since1970(word, time.Millisecond)
	case "layout":
		zone := time.UTC
		if o.zone != nil {
			zone = o.zone
		}
		at, err := time.ParseInLocation(o.layout, word, zone)
		if err != nil {
			return time.Time{}, fmt.Errorf("%.60q is no instant of the layout %s", word, o.layout)
		}
		return source.Instant(quoted(at))
	case "rfc3339":
		at, err := time.Parse(time.RFC3339Nano, word)
		if isNumber || err != nil {
			return time.Time{}, fmt.Errorf("%.60q is no instant of RFC 3339", word)
		}
		return source.Instant(quoted(at))
	}
	if isNumber {
		return source.Instant(json.RawMessage(word))
	}
	at, err := source.InstantText(word)
	if err == nil || o.zone == nil {
		return at, err
	}
	for _, form := range []string{"2006-01-02T15:04:05", "2006-01-02 15:04:05"} {
		if at, err := time.ParseInLocation(form, word, o.zone); err == nil {
			return source.Instant(quoted(at))
		}
	}
	return time.Time{}, err
}

// quoted lets source.Instant judge the years that stand for "never".
func quoted(at time.Time) json.RawMessage {
	return json.RawMessage(strconv.Quote(at.UTC().Format(time.RFC3339Nano)))
}

// zoned reports whether a layout reads the zone.
func zoned(layout string) bool {
	return strings.Contains(layout, "Z07") || strings.Contains(layout, "-07")
}

// since1970 reads a number of units, with a fraction or without.
func since1970(word string, unit time.Duration) (time.Time, error) {
	number, err := strconv.ParseFloat(word, 64)
	last := float64(253_370_764_800) * float64(time.Second/unit) // the year 9999
	if err != nil || number != number || number < 0 || number > last {
		return time.Time{}, fmt.Errorf("%.60q is no number of %ss since 1970", word, map[time.Duration]string{
			time.Second: "second", time.Millisecond: "millisecond"}[unit])
	}
	whole := int64(number)
	fraction := time.Duration((number - float64(whole)) * float64(unit)).Round(time.Microsecond)
	at := time.UnixMilli(whole).Add(fraction)
	if unit == time.Second {
		at = time.Unix(whole, 0).Add(fraction)
	}
	return source.Instant(quoted(at))
}
