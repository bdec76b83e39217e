package jamfprotect_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/jamfprotect"
	"github.com/tiergate/tiergate/signals/source/mapping"
	"github.com/tiergate/tiergate/signals/sourcetest"
)

var received = time.Date(2026, time.November, 20, 12, 0, 0, 0, time.UTC)

// read reads a delivery as the source does.
func read(body []byte) ([]signals.Observation, error) {
	spec := jamfprotect.Spec()
	made, err := mapping.New(mapping.Options{Name: "acme", Spec: spec, Auth: source.Header{Name: "X", Values: []string{"y"}}})
	if err != nil {
		return nil, err
	}
	return made.Observe(source.Delivery{Source: "acme", Body: body, Received: received})
}

func TestDeliveries(t *testing.T) { sourcetest.Deliveries(t, read) }

func FuzzReadNeverInvents(f *testing.F) { sourcetest.FuzzBodies(f, read) }

// The recorded alert is of severity 0, which says nothing. Alerts are sent on one line each.
func TestSamples(t *testing.T) {
	facts := sourcetest.Recorded(t, "jamf_protect", func(body []byte) ([]signals.Observation, error) {
		var flat bytes.Buffer
		if err := json.Compact(&flat, body); err != nil {
			return nil, err
		}
		return read(flat.Bytes())
	})
	if facts > 0 {
		t.Errorf("%d facts of an alert that says nothing", facts)
	}
}
