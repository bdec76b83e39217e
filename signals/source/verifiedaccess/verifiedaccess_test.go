package verifiedaccess_test

import (
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/mapping"
	"github.com/tiergate/tiergate/signals/source/verifiedaccess"
	"github.com/tiergate/tiergate/signals/sourcetest"
)

var received = time.Date(2026, time.November, 20, 12, 0, 0, 0, time.UTC)

// read reads a delivery as the source does.
func read(body []byte) ([]signals.Observation, error) {
	spec := verifiedaccess.Spec()
	made, err := mapping.New(mapping.Options{Name: "acme", Spec: spec, Auth: source.Header{Name: "X", Values: []string{"y"}}})
	if err != nil {
		return nil, err
	}
	return made.Observe(source.Delivery{Source: "acme", Body: body, Received: received})
}

func TestDeliveries(t *testing.T) { sourcetest.Deliveries(t, read) }

func FuzzReadNeverInvents(f *testing.F) { sourcetest.FuzzBodies(f, read) }

func TestSamples(t *testing.T) {
	if sourcetest.Recorded(t, "google", read) == 0 {
		t.Error("no recorded body says anything")
	}
}
