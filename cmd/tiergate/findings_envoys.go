package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/tiergate/tiergate/authz/findings/engine"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/xds/drift"
)

// driftSeenEvery is how often it is looked whether the Envoy was compared anew.
const driftSeenEvery = 2 * time.Second

// driftFindings writes down for findings how the running Envoy differs from what it was given.
func (sc *sidecar) driftFindings() []part {
	if len(sc.settings.Envoy.Listeners) == 0 {
		return nil
	}
	seen := &driftSeen{report: sc.drift.Report, place: placeOf(sc.settings), log: sc.observer.log,
		envoys: engine.Envoys{Records: sc.store, Now: time.Now}}
	return []part{{"envoy drift for findings", seen.run}}
}

// placeOf tells this sidecar from others whose Envoys have the same node id, as the inventory of identities does.
func placeOf(s *config.Settings) string {
	if s.Census.Name != "" {
		return s.Census.Name
	}
	if host, err := os.Hostname(); err == nil {
		return host
	}
	return "unnamed"
}

// driftSeen takes what the watcher finds to the store.
type driftSeen struct {
	report func() drift.Report
	place  string
	envoys engine.Envoys
	log    *zap.Logger

	node   string // that was seen last
	at     time.Time
	failed bool
}

func (d *driftSeen) run(ctx context.Context) error {
	ticker := time.NewTicker(driftSeenEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			d.look(ctx)
		}
	}
}

// look writes the newest report, once. Where there is no Envoy nothing is said of one: what was said ends by itself.
func (d *driftSeen) look(ctx context.Context) {
	r := d.report()
	if r.At.Equal(d.at) || r.Absent {
		return
	}
	if r.Node != "" {
		d.node = r.Node
	}
	if d.node == "" {
		return
	}
	lines := make([]string, 0, len(r.Differences))
	for i := range r.Differences {
		x := &r.Differences[i]
		lines = append(lines, fmt.Sprintf("%s %s: %s %s %s", x.Kind, x.Name, x.Change, x.Where, x.What))
	}
	err := d.envoys.Seen(ctx, d.node+" at "+d.place, lines, r.Fault == "")
	if err == nil {
		d.at, d.failed = r.At, false
		return
	}
	if !d.failed && ctx.Err() == nil { // it is tried again, and said once
		d.failed = true
		d.log.Warn("what was seen of Envoy could not be written down for findings", zap.Error(err))
	}
}
