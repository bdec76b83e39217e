package main

import (
	"fmt"
	"io"
	"strings"

	"go.uber.org/zap"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/config"
)

// unrecorded are the tiers that excuse something by exceptions or grace, where the settings keep no record of decisions.
func unrecorded(s *config.Settings, p *policy.Policy) []string {
	if s.Evidence.File != "" {
		return nil
	}
	var tiers []string
	for _, t := range p.Spec().Tiers {
		if t.Grace != nil || t.Exceptions != nil {
			tiers = append(tiers, t.Meta.Name)
		}
	}
	return tiers
}

// sayUnrecorded names them: what is excused is to be watched most closely.
func sayUnrecorded(out io.Writer, file string, p *policy.Policy) error {
	if file == "" {
		return nil
	}
	settings, err := loadSettings(file)
	if err != nil {
		return err
	}
	if tiers := unrecorded(settings, p); len(tiers) > 0 {
		fmt.Fprintf(out, "these tiers excuse by exceptions or grace, and no decision is on record (settings: evidence.file): %s\n",
			strings.Join(tiers, ", "))
	}
	return nil
}

// tellUnrecorded logs and counts them, for each policy that comes into force.
func (sc *sidecar) tellUnrecorded(p *policy.Policy) {
	tiers := unrecorded(sc.settings, p)
	sc.observer.unrecorded.Set(float64(len(tiers)))
	if len(tiers) > 0 {
		sc.observer.log.Warn("tiers excuse by exceptions or grace, and no decision is on record, only in this log; set evidence.file",
			zap.Strings("tiers", tiers))
	}
}
