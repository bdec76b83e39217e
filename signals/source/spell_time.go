package source

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// layouts are the forms that name a zone; Go takes any number of fractional digits behind the seconds.
var layouts = []string{
	"2006-01-02T15:04:05Z07:00",  // RFC 3339: almost everyone
	"2006-01-02T15:04:05Z0700",   // Jamf classic: 2020-08-03T12:24:29.968+0000
	"2006-01-02 15:04:05Z07:00",  // Kandji: 2022-06-24 14:20:19.961496+00:00
	"2006-01-02 15:04:05 Z07:00", // Kandji: 2022-08-15 13:51:01 +0000
	"2006-01-02 15:04:05 Z0700",
}

// nowhere are the forms without a zone.
var nowhere = []string{"2006-01-02T15:04:05", "2006-01-02 15:04:05"}

var wcfDate = regexp.MustCompile(`^\\?/Date\((-?[0-9]{1,16})(?:[+-][0-9]{4})?\)\\?/$`)

// Instant reads a vendor's timestamp: a text as InstantText takes it, or a number of seconds or milliseconds since
// 1970. The zero Time without an error says that the vendor does not say: null, absent (raw is empty), "", 0, or one of
// the dates that stand for "never" (years 0, 1, 1970 and 9999). What stands there and cannot be read is an error:
// without its instant a fact cannot be ordered, and must not be dated by a guess. The future is not judged here.
func Instant(raw json.RawMessage) (time.Time, error) {
	text := strings.TrimSpace(string(raw))
	if text == "" || text == "null" {
		return time.Time{}, nil
	}
	if text[0] != '"' {
		return epoch(text)
	}
	var word string
	if err := json.Unmarshal(raw, &word); err != nil {
		return time.Time{}, fmt.Errorf("%.60s is no timestamp: %w", text, err)
	}
	return InstantText(word)
}

// InstantText is Instant for a text: RFC 3339, its relatives with a blank or a zone without its colon, \/Date(ms)\/,
// and digits. A text without a zone is refused: for one vendor it is UTC, for another the time of its server.
func InstantText(text string) (time.Time, error) { return instant(text, layouts) }

// InstantUTC is InstantText for the members that a vendor is known to write in UTC without saying so.
func InstantUTC(text string) (time.Time, error) {
	return instant(text, slices.Concat(nowhere, layouts))
}

func instant(text string, forms []string) (time.Time, error) {
	text = strings.TrimSpace(text)
	if text == "" || never(text) {
		return time.Time{}, nil
	}
	if m := wcfDate.FindStringSubmatch(text); m != nil {
		ms, err := strconv.ParseInt(m[1], 10, 64)
		return plausible(time.UnixMilli(ms)), err
	}
	if strings.Trim(text, "0123456789.") == "" {
		return epoch(text)
	}
	for _, form := range forms {
		if at, err := time.Parse(form, text); err == nil {
			return plausible(at), nil
		}
	}
	return time.Time{}, fmt.Errorf("%.60q is no timestamp with its zone", text)
}

var noDates = []string{"0000-00-00", "0001-01-01", "1970-01-01T00:00:00", "1970-01-01 00:00:00", "9999-12-31"}

// never reports the spellings of "no date" that are no dates, or no dates in any zone.
func never(text string) bool {
	return slices.ContainsFunc(noDates, func(prefix string) bool { return strings.HasPrefix(text, prefix) })
}

// milliseconds is where numbers begin to be milliseconds: as seconds it is the year 5138, as milliseconds March 1973.
const milliseconds = 1e11

// epoch reads seconds, with a fraction or without, or milliseconds since 1970.
func epoch(text string) (time.Time, error) {
	number, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(number) || math.Abs(number) > 1e16 {
		return time.Time{}, fmt.Errorf("%.60q is no number of seconds or milliseconds since 1970", text)
	}
	if math.Abs(number) >= milliseconds {
		return plausible(time.UnixMilli(int64(number))), nil
	}
	seconds, fraction := math.Modf(number)
	// Microseconds are what a float64 of today's seconds can tell apart.
	return plausible(time.Unix(int64(seconds), int64(math.Round(fraction*1e6))*1e3)), nil
}

// plausible turns the years that stand for "never" into the zero Time.
func plausible(at time.Time) time.Time {
	if at = at.UTC(); at.Year() <= 1970 || at.Year() >= 9999 {
		return time.Time{}
	}
	return at
}
