package config

import (
	"fmt"
	"regexp"
	"time"
)

// Census is what `serve` counts of the decisions that it answers: which non-human identities call, where from and which
// routes, and how often exceptions and grace carry a decision. It is written to the store, and nothing is admitted by it.
type Census struct {
	// Off: nothing is counted here. What only this sidecar's routes show then looks unused.
	Off bool `yaml:"off,omitempty"`
	// Name is how this sidecar is called in what was seen, 1 to 64 letters, digits, and -_.: it lasts, and no two that share a
	// store have the same. Default: the name of the host.
	Name string `yaml:"name,omitempty"`
	// Every is how often what was counted is written, 1s to 10m, default 30s. What a process counted since is lost if it is
	// killed; one that is told to end writes it first.
	Every time.Duration `yaml:"every,omitempty"`
}

// Default and bounds of Census.Every.
const (
	DefaultCensusEvery = 30 * time.Second

	minCensusEvery, maxCensusEvery = time.Second, 10 * time.Minute
)

var censusName = regexp.MustCompile(`^[A-Za-z0-9_.:-]{1,64}$`)

func (c *check) census(s *Census) {
	if s.Name != "" && !censusName.MatchString(s.Name) {
		c.fault("census.name", fmt.Sprintf("name is %q", s.Name), "write 1 to 64 letters, digits, and any of - _ . :")
	}
	if !c.document.Has("census.every") {
		s.Every = DefaultCensusEvery
	}
	if s.Every < minCensusEvery || s.Every > maxCensusEvery {
		c.fault("census.every", fmt.Sprintf("every is %s", s.Every), "write a duration from 1s to 10m")
	}
}
