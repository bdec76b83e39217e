package config

import (
	"fmt"
	"path/filepath"
	"time"
)

// Evidence is where decisions are recorded. Without a file none is, and no tier may demand it.
type Evidence struct {
	File     string `yaml:"file,omitempty"`     // JSON lines; nobody but the user that runs tiergate may write its directory
	MaxBytes int64  `yaml:"maxBytes,omitempty"` // of one file, which is then renamed FILE.<time>; default 256 MiB
	Keep     int    `yaml:"keep,omitempty"`     // how many renamed files are kept; default 8
	Queue    int    `yaml:"queue,omitempty"`    // how many decisions wait before others are dropped and counted; default 8192
	// Within is how long a decision waits for its record where a tier demands one: less than envoy.checkTimeout. Default
	// 100ms, or half of checkTimeout if that is less.
	Within time.Duration `yaml:"within,omitempty"`
}

// IngestEvidence is where `tiergate ingest` records the steps of people. With the embedded store they stand among the decisions.
type IngestEvidence struct {
	File     string `yaml:"file,omitempty"`     // as that of Evidence, and another
	MaxBytes int64  `yaml:"maxBytes,omitempty"` // as that of Evidence
	Keep     int    `yaml:"keep,omitempty"`     // as that of Evidence
}

// Defaults and bounds of Evidence.
const (
	DefaultEvidenceMaxBytes = 256 << 20
	DefaultEvidenceKeep     = 8
	DefaultEvidenceQueue    = 8192
	DefaultEvidenceWithin   = 100 * time.Millisecond

	minEvidenceBytes, maxEvidenceBytes = 1 << 20, 1 << 40
	maxEvidenceKeep                    = 10_000
	minEvidenceQueue, maxEvidenceQueue = 64, 1 << 20
	minEvidenceWithin                  = time.Millisecond
)

// evidence fills in the defaults where there is a file, and checks.
func (c *check) evidence(s *Settings) {
	e := &s.Evidence
	if e.File == "" {
		for _, field := range []string{"evidence.maxBytes", "evidence.keep", "evidence.queue", "evidence.within"} {
			if c.document.Has(field) {
				c.fault(field, last(field)+" without a file", "name the file in evidence.file; without one nothing is recorded")
			}
		}
		return
	}
	c.absolute(&e.File)
	parent := filepath.Dir(e.File)
	c.dir("evidence.file", &parent)
	bounded(c, "evidence.maxBytes", &e.MaxBytes, DefaultEvidenceMaxBytes, minEvidenceBytes, maxEvidenceBytes)
	bounded(c, "evidence.keep", &e.Keep, DefaultEvidenceKeep, 1, maxEvidenceKeep)
	bounded(c, "evidence.queue", &e.Queue, DefaultEvidenceQueue, minEvidenceQueue, maxEvidenceQueue)
	switch {
	case !c.document.Has("evidence.within"):
		e.Within = max(min(DefaultEvidenceWithin, s.Envoy.CheckTimeout/2), minEvidenceWithin)
	case e.Within < minEvidenceWithin || e.Within >= s.Envoy.CheckTimeout:
		c.fault("evidence.within", fmt.Sprintf("within is %v", e.Within),
			fmt.Sprintf("write at least 1ms and less than envoy.checkTimeout (%v), or Envoy gives up first", s.Envoy.CheckTimeout))
	}
}

// ingestEvidence is evidence for the receiver's own file. It runs after evidence.
func (c *check) ingestEvidence(s *Settings) {
	e := &s.Ingest.Evidence
	if e.File == "" {
		for _, field := range []string{"ingest.evidence.maxBytes", "ingest.evidence.keep"} {
			if c.document.Has(field) {
				c.fault(field, last(field)+" without a file", "name the file in ingest.evidence.file; without one nothing is recorded")
			}
		}
		return
	}
	c.absolute(&e.File)
	parent := filepath.Dir(e.File)
	c.dir("ingest.evidence.file", &parent)
	switch {
	case s.Store.Embedded != nil:
		c.fault("ingest.evidence.file", "`serve` is the receiver of an embedded store, and records steps among its decisions",
			"name the file in evidence.file")
	case e.File == s.Evidence.File:
		c.fault("ingest.evidence.file", "it is that of evidence.file, which `serve` writes; a file has one writer", "name another")
	}
	bounded(c, "ingest.evidence.maxBytes", &e.MaxBytes, DefaultEvidenceMaxBytes, minEvidenceBytes, maxEvidenceBytes)
	bounded(c, "ingest.evidence.keep", &e.Keep, DefaultEvidenceKeep, 1, maxEvidenceKeep)
}

// bounded fills in the default of a number that is not written, and wants one that is within its bounds.
func bounded[T int | int64](c *check, path string, field *T, value, least, most T) {
	if !c.document.Has(path) {
		*field = value
	}
	if *field < least || *field > most {
		c.fault(path, fmt.Sprintf("%s is %d", last(path), *field), fmt.Sprintf("write a number from %d to %d", least, most))
	}
}
