package osquery

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// prefix is before the names of our queries; logs of others are somebody else's.
const prefix = "tiergate_"

// query is one of the schedule: what is asked where, and how its rows are read.
type query struct {
	name, platform, sql string
	say                 func(s *said, rows []row)
}

// queries ask tables of osquery's schema. Each is a snapshot: all rows each time, so that nothing must be remembered.
var queries = []query{
	{"os", "", "SELECT platform, platform_like, version, build FROM os_version", (*said).system},
	{"filevault", "darwin", "SELECT filevault_status FROM disk_encryption WHERE user_uuid <> ''",
		all("disk_encryption", "filevault_status", "on", "off")},
	{"luks", "linux", "SELECT d.encrypted FROM disk_encryption d JOIN mounts m ON m.device_alias = d.name WHERE m.path = '/'",
		all("disk_encryption", "encrypted", "1", "0")},
	{"bitlocker", "windows", "SELECT protection_status FROM bitlocker_info", all("disk_encryption", "protection_status", "1", "0")},
	{"alf", "darwin", "SELECT global_state FROM alf", all("firewall", "global_state", "1 2", "0")},
	{"security_center", "windows", "SELECT firewall FROM windows_security_center", all("firewall", "firewall", "Good", "Poor")},
	{"screenlock", "darwin", "SELECT enabled FROM screenlock", all("screen_lock", "enabled", "1", "0")},
	{"secureboot", "", "SELECT secure_boot FROM secureboot", all("secure_boot", "secure_boot", "1", "0")},
}

// schedule is the configuration that devices are given.
func schedule(interval time.Duration) ([]byte, error) {
	type scheduled struct {
		Query    string `json:"query"`
		Interval int    `json:"interval"` // seconds
		Snapshot bool   `json:"snapshot"`
		Platform string `json:"platform,omitempty"`
	}
	asked := map[string]scheduled{}
	for _, q := range queries {
		asked[prefix+q.name] = scheduled{q.sql, int(interval / time.Second), true, q.platform}
	}
	return json.Marshal(map[string]any{"schedule": asked, "node_invalid": false})
}

// row is one of a table; its values are texts, or numbers with --logger_numerics.
type row map[string]json.RawMessage

func (r row) text(column string) string {
	raw := strings.TrimSpace(string(r[column]))
	var text string
	if json.Unmarshal([]byte(raw), &text) == nil {
		return text
	}
	return raw
}

// result is a line of the log (osquery.readthedocs.io, "Logging", "Snapshot logs").
type result struct {
	Name     string          `json:"name"`
	Action   string          `json:"action"`
	UnixTime json.RawMessage `json:"unixTime,omitempty"` // when the query ran, by the device's clock
	Snapshot *[]row          `json:"snapshot"`
}

// Observe implements source.Adapter. A line of a query of ours that is no snapshot is an error: what is added or removed says nothing
// to who does not know what was there.
func (a *Adapter) Observe(d source.Delivery) ([]signals.Observation, error) {
	r, err := read(d.Body)
	if err != nil {
		return nil, err
	}
	names, err := a.names(keptKey, r.Kept)
	if err != nil {
		return nil, err
	}
	var lines []result
	if r.LogType == nil || *r.LogType != "result" || json.Unmarshal(r.Data, &lines) != nil || lines == nil {
		return nil, errors.New("this is no log of results: log_type is not result, or data is no array of lines")
	}
	s := said{o: signals.Observation{Aliases: names}}
	for i := range lines {
		if err := s.line(&lines[i]); err != nil {
			return nil, fmt.Errorf("line %d (%.60s): %w", i, lines[i].Name, err)
		}
	}
	if len(s.o.Facts) == 0 {
		return nil, nil
	}
	return []signals.Observation{s.o}, nil
}

// said collects what is said of one device.
type said struct {
	o    signals.Observation
	at   time.Time
	path string
}

func (s *said) say(attribute string, value signals.Value, column string) {
	s.o.Facts = append(s.o.Facts, signals.Fact{Attribute: attribute, Value: value, Path: s.path + "." + column, Observed: s.at})
}

func (s *said) line(line *result) (err error) {
	name, ours := strings.CutPrefix(line.Name, prefix)
	if !ours {
		return nil
	}
	at := slices.IndexFunc(queries, func(q query) bool { return q.name == name })
	switch {
	case at < 0:
		return errors.New("this is no query of the schedule")
	case line.Action != "snapshot" || line.Snapshot == nil:
		return fmt.Errorf("action is %.20q; only a snapshot says how a device stands", line.Action)
	}
	if s.at, err = source.Instant(line.UnixTime); err == nil && s.at.IsZero() {
		err = errors.New("unixTime is missing")
	}
	if err == nil {
		s.path = line.Name
		queries[at].say(s, *line.Snapshot)
	}
	return err
}

// all reads one column of all rows: false if one has a bad word, true if each has a good one, and else, as without any row,
// unknown.
func all(attribute, column, good, bad string) func(*said, []row) {
	return func(s *said, rows []row) {
		value := signals.Bool(true)
		if len(rows) == 0 {
			value = signals.Unknown
		}
		for _, r := range rows {
			switch word := r.text(column); {
			case word == bad:
				value = signals.Bool(false)
			case !slices.Contains(strings.Fields(good), word) && value != signals.Bool(false):
				value = signals.Unknown
			}
		}
		s.say(attribute, value, column)
	}
}

// system reads os_version, which has one row.
func (s *said) system(rows []row) {
	if len(rows) != 1 {
		s.say("platform", signals.Unknown, "platform")
		return
	}
	platform := source.Platform(rows[0].text("platform"))
	if !platform.Known() {
		platform = source.Platform(rows[0].text("platform_like"))
	}
	s.say("platform", platform, "platform")
	if os := source.SplitOS(platform, rows[0].text("version")); os.Version != "" {
		s.say("os_version", source.Text(os.Version), "version")
	}
	if build := rows[0].text("build"); build != "" {
		s.say("os_build", source.Text(build), "build")
	}
}
