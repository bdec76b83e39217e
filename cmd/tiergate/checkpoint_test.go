package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate/admin"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/checkpoint"
	"github.com/tiergate/tiergate/signals/replica"
)

// TestDevicesAndTheCheckpoint: `device get` says that a device is older than it was, and that one is lost.
func TestDevicesAndTheCheckpoint(t *testing.T) {
	t.Parallel()
	desk, store, h := aDesk(t, 2)
	c := checkpoint.Of(time.Now(), 7, "receiver", map[signals.DeviceID]signals.Revision{"d000001": 5, "d000009": 3})
	ctx, stop := context.WithCancel(t.Context())
	copied := replica.New(store, replica.Options{Checkpoint: func(context.Context) (*checkpoint.Checkpoint, error) { return c, nil }})
	ended := make(chan error, 1)
	go func() { ended <- copied.Run(ctx) }()
	defer func() { stop(); <-ended }()
	<-copied.Loaded()
	desk.devices = copied
	_, text := asked(t, h, "/v1/devices/S000001")
	var one admin.Device
	if err := json.Unmarshal([]byte(text), &one); err != nil || one.Standing != nil ||
		!strings.Contains(one.Fault, "somebody put an older version back") {
		t.Errorf("%v\n%s", err, text)
	}
	for name, want := range map[string]string{
		"d000009": "the store has lost device d000009", "d000008": "no device is known", "S000009": "no device is known",
	} {
		if status, text := asked(t, h, "/v1/devices/"+name); status != 404 || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	claim := signals.Record{Kind: "alias", Key: "serial:S000009", Revision: 1, Value: []byte(`{"device":"d000009"}`)}
	if err := store.PutRecord(t.Context(), claim, 0); err != nil {
		t.Fatal(err)
	}
	if _, text := asked(t, h, "/v1/devices/S000009"); !strings.Contains(text, "the store has lost device d000009") {
		t.Error(text)
	}
}

// TestStoreSealAndTheCheckpoint: `store seal` tells that the store has less than the checkpoint says, and renews that with
// --yes. The checkpoint is that of another store, which has a device more.
func TestStoreSealAndTheCheckpoint(t *testing.T) {
	t.Parallel()
	var stores [2]signals.Store
	var files [2]string
	dir, err := os.MkdirTemp("", "tg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	sealFiles(t, dir, "seal")
	for i, devices := range [2][]signals.DeviceID{{"d1", "d2"}, {"d1"}} {
		own := filepath.Join(dir, fmt.Sprint(i))
		if err := os.Mkdir(own, 0o700); err != nil {
			t.Fatal(err)
		}
		files[i] = filepath.Join(dir, fmt.Sprint(i, ".yaml"))
		text := "store: {redis: {address: " + valkey(t, own) + ", seal: {keyFile: seal.key, trustFiles: [seal.pub]}}}\n"
		if err := os.WriteFile(files[i], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		settings, err := loadSettings(files[i])
		if err != nil {
			t.Fatal(err)
		}
		if stores[i], err = openStore(settings); err != nil {
			t.Fatal(err)
		}
		defer stores[i].Close()
		sealed, err := sealedStore(settings, stores[i])
		if err != nil {
			t.Fatal(err)
		}
		for _, device := range devices {
			if err := sealed.PutPosture(t.Context(), signals.Posture{Device: device, Revision: 5}, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	seal := func(i, exit int, args string, want ...string) {
		t.Helper()
		var out, errs bytes.Buffer
		if got := run(t.Context(), append([]string{"store", "seal", "--config", files[i]}, strings.Fields(args)...), &out, &errs); got != exit {
			t.Fatalf("%s: exit %d\n%s%s", args, got, &out, &errs)
		}
		for _, text := range want {
			if !strings.Contains(out.String(), text) {
				t.Errorf("%s does not say %q:\n%s", args, text, &out)
			}
		}
	}
	seal(0, exitNo, "", "checkpoint: there is no checkpoint")
	seal(0, exitFine, "--yes")
	if _, err := stores[0].EachRecord(t.Context(), checkpoint.Kind, func(r signals.Record) error {
		return stores[1].PutRecord(t.Context(), r, 0)
	}); err != nil {
		t.Fatal(err)
	}
	seal(1, exitNo, "", "checkpoint: 2 devices, sealed ", "older in the store 0, missing 1", "not in the store: the device with mark ")
	seal(1, exitNo, "-o json", `"missing": 1`, `"rolledBack": 0`)
	seal(1, exitFine, "--yes")
	seal(1, exitFine, "", "checkpoint: 1 devices")
}
