package main

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/tiergate/tiergate/authz/evidence"
	"github.com/tiergate/tiergate/config"
)

// newRecorder makes the recorder of decisions. Without evidence.file it is nil, which records nothing and refuses what
// must be on record.
func newRecorder(s *config.Settings, o *observer) (*evidence.Recorder, error) {
	e := s.Evidence
	return recorderOf("evidence", o, evidence.Options{File: e.File, MaxBytes: e.MaxBytes, Keep: e.Keep, Queue: e.Queue, Within: e.Within})
}

// newStepRecorder makes that of the steps of people in `ingest`; nil: the settings name no file.
func newStepRecorder(s *config.Settings, o *observer) (*evidence.Recorder, error) {
	e := s.Ingest.Evidence
	return recorderOf("ingest.evidence", o, evidence.Options{File: e.File, MaxBytes: e.MaxBytes, Keep: e.Keep})
}

func recorderOf(setting string, o *observer, options evidence.Options) (*evidence.Recorder, error) {
	if options.File == "" {
		return nil, nil
	}
	options.Events = o.evidence()
	recorder, err := evidence.New(options)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", setting, err)
	}
	o.registry.MustRegister(evidenceCounts{recorder})
	return recorder, nil
}

// evidence maps the callbacks of the recorder.
func (o *observer) evidence() evidence.Events {
	return evidence.Events{
		Failed: func(err error, retryIn time.Duration) {
			o.log.Error("decisions cannot be recorded", zap.Error(err), zap.Duration("retryIn", retryIn))
		},
		Recovered: func(away time.Duration) { o.log.Info("decisions are recorded again", zap.Duration("away", away)) },
		Lost: func(decisions uint64) {
			o.log.Error("decisions are in no record", zap.Uint64("decisions", decisions))
		},
		LostChanges: func(changes uint64) {
			o.log.Error("changes of the policy, or steps of people, are in no record", zap.Uint64("changes", changes))
		},
		Mended: func(file, aside string, bytes int) {
			o.log.Warn("the last line of the record was torn and is set aside", zap.String("file", file),
				zap.String("aside", aside), zap.Int("bytes", bytes))
		},
		Rotated: func(older string) {
			o.log.Info("the record was full and goes on in a new file", zap.String("older", older))
		},
	}
}

// evidenceCounts are the recorder's counts, all of one instant: the results add up to the offers but for what is held.
type evidenceCounts struct{ recorder *evidence.Recorder }

var (
	evidenceOffered = prometheus.NewDesc("tiergate_evidence_offered_total", "Decisions that came to be recorded.", nil, nil)
	evidenceResults = prometheus.NewDesc("tiergate_evidence_decisions_total", "Decisions by what became of their record.",
		[]string{"result"}, nil)
	evidenceHeld    = prometheus.NewDesc("tiergate_evidence_held", "Decisions that wait to be recorded.", nil, nil)
	evidenceFaults  = prometheus.NewDesc("tiergate_evidence_faults_total", "Failed attempts to write or sync the record.", nil, nil)
	evidenceChanges = prometheus.NewDesc("tiergate_evidence_changes_total",
		"Changes of the policy, and steps of people, by what became of their record.", []string{"result"}, nil)
	evidenceTorn = prometheus.NewDesc("tiergate_evidence_torn_lines_total", "Torn last lines set aside.", nil, nil)
)

func (c evidenceCounts) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{evidenceOffered, evidenceResults, evidenceHeld, evidenceFaults, evidenceChanges, evidenceTorn} {
		to <- d
	}
}

func (c evidenceCounts) Collect(to chan<- prometheus.Metric) {
	s := c.recorder.Stats()
	counter := func(of *prometheus.Desc, n uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(of, prometheus.CounterValue, float64(n), labels...)
	}
	counter(evidenceOffered, s.Offered)
	counter(evidenceResults, s.Written, "written")
	counter(evidenceResults, s.Withdrawn, "withdrawn")
	counter(evidenceResults, s.Dropped, "dropped")
	counter(evidenceResults, s.Failed, "failed")
	counter(evidenceFaults, s.Faults)
	counter(evidenceChanges, s.Changes, "written")
	counter(evidenceChanges, s.ChangesLost, "lost")
	counter(evidenceTorn, s.Torn)
	to <- prometheus.MustNewConstMetric(evidenceHeld, prometheus.GaugeValue, float64(s.Held))
}
