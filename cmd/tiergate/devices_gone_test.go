package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate/admin"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/boltstore"
	"github.com/tiergate/tiergate/signals/replica"
)

// losing is a store that has lost a device.
type losing struct {
	*boltstore.Store
	lost atomic.Bool
}

func (l *losing) Posture(ctx context.Context, device signals.DeviceID) (signals.Posture, error) {
	if l.lost.Load() && device == "d000001" {
		return signals.Posture{}, signals.ErrNotFound
	}
	return l.Store.Posture(ctx, device)
}

// TestGoneDevices: what the store no longer has is shown as gone, stands nowhere, and is no passing device.
func TestGoneDevices(t *testing.T) {
	t.Parallel()
	desk, store, h := aDesk(t, 2)
	loses := &losing{Store: store}
	ctx, stop := context.WithCancel(t.Context())
	copied, ended := replica.New(loses, replica.Options{}), make(chan error, 1)
	go func() { ended <- copied.Run(ctx) }()
	defer func() { stop(); <-ended }()
	<-copied.Loaded()
	desk.devices = copied
	p, err := store.Posture(t.Context(), "d000001")
	if err != nil {
		t.Fatal(err)
	}
	loses.lost.Store(true)
	p.Revision = 2
	if err := store.PutPosture(t.Context(), p, 1); err != nil { // its notice has the copy look
		t.Fatal(err)
	}
	soon(t, "it is gone", func() bool { held, _ := copied.Device("d000001"); return held.Gone })
	_, text := asked(t, h, "/v1/devices/S000001")
	var one admin.Device
	var table bytes.Buffer
	if err := json.Unmarshal([]byte(text), &one); err != nil || !one.Gone || one.Standing != nil || deviceTable(&table, &one) != nil ||
		!strings.Contains(table.String(), "GONE  ") {
		t.Errorf("%v %s\n%s", err, text, &table)
	}
	_, text = asked(t, h, "/v1/devices?platform=windows") // no filter leaves it out, and only it
	var line admin.DeviceLine
	table.Reset()
	if err := json.Unmarshal([]byte(text), &line); err != nil || line.Device != "d000001" || !line.Gone || len(line.Failing) > 0 ||
		deviceLineRow(&table, &line, time.Now()) != nil || !strings.Contains(table.String(), "GONE: ") {
		t.Errorf("%v %s\n%s", err, text, &table)
	}
	_, text = asked(t, h, "/v1/devices?summary=true")
	var sum admin.DeviceSummary
	table.Reset()
	if err := json.Unmarshal([]byte(text), &sum); err != nil || sum.Devices != 2 || sum.Gone != 1 || sum.Signals[0].Failing != 1 ||
		summaryTable(&table, &sum) != nil || !strings.Contains(table.String(), ", 1 the store no longer has") {
		t.Errorf("%v %s\n%s", err, text, &table)
	}
}
