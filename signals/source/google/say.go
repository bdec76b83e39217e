package google

import (
	"encoding/json"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// statements collects what a record says. What has no instant is not said.
type statements struct {
	o  signals.Observation
	at time.Time
}

// begin names the device and dates what follows.
func (a *Adapter) begin(id, serial string, synced json.RawMessage) (*statements, error) {
	own, err := a.Alias(id)
	if err != nil {
		return nil, err
	}
	s := &statements{o: signals.Observation{Aliases: []signals.Alias{own}}}
	// What is malformed identifies nothing either, and the device has a name without it.
	if alias, err := signals.NewAlias(signals.AliasSerial, serial); err == nil {
		s.o.Aliases = append(s.o.Aliases, alias)
	}
	s.at, err = source.Instant(synced)
	return s, err
}

func (s *statements) say(attribute string, value signals.Value, path string) {
	if !s.at.IsZero() {
		s.o.Facts = append(s.o.Facts, signals.Fact{Attribute: attribute, Value: value, Path: path, Observed: s.at})
	}
}

// word says what a word of an enumeration means. Empty: it is not said; one that is not listed is unknown.
func (s *statements) word(attribute, word, path string, means map[string]signals.Value) {
	if word != "" {
		s.say(attribute, means[word], path)
	}
}

func (s *statements) platform(platform signals.Value, word, path, version string) {
	if word != "" {
		s.say("platform", platform, path)
	}
	if os := source.SplitOS(platform, version); os.Version != "" {
		s.say("os_version", source.Text(os.Version), "osVersion")
	}
}
