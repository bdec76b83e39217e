package sentinelone_test

import (
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/mapping"
	"github.com/tiergate/tiergate/signals/source/sentinelone"
	"github.com/tiergate/tiergate/signals/sourcetest"
)

var received = time.Date(2026, time.November, 20, 12, 0, 0, 0, time.UTC)

// read reads a delivery as the source does.
func read(body []byte) ([]signals.Observation, error) {
	api := sentinelone.Spec(sentinelone.Options{Firewall: true, DiskEncryption: true})
	spec := mapping.Spec{Delivery: &mapping.Delivery{Record: api.Record}}
	made, err := mapping.New(mapping.Options{Name: "acme", Spec: spec, Auth: source.Header{Name: "X", Values: []string{"y"}}})
	if err != nil {
		return nil, err
	}
	return made.Observe(source.Delivery{Source: "acme", Body: body, Received: received})
}

func TestDeliveries(t *testing.T) { sourcetest.Deliveries(t, read) }

func FuzzReadNeverInvents(f *testing.F) { sourcetest.FuzzBodies(f, read) }

// The API lists agents under "data".
func TestSamples(t *testing.T) {
	facts := sourcetest.Recorded(t, "sentinelone", func(body []byte) ([]signals.Observation, error) {
		return read([]byte(`{"data":[` + string(body) + `]}`))
	})
	if facts == 0 {
		t.Error("no recorded body says anything")
	}
}
