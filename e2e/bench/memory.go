package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/tiergate/tiergate/e2e/bench/world"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/replica"
)

const heapDevices, heapFacts = 100_000, 20

// memory prints the heap of a replica, as MB of 1,000,000 bytes and as JSON for replicaHeap.
func memory(ctx context.Context, out io.Writer) error {
	store := &manyPostures{devices: heapDevices}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	before := heapInUse()
	fault := make(chan error, 1)
	copied := replica.New(store, replica.Options{Events: replica.Events{Offline: func(err error, _ time.Duration) {
		select {
		case fault <- err:
		default: // the first one says enough
		}
	}}})
	ended := make(chan error, 1)
	go func() { ended <- copied.Run(ctx) }()
	select {
	case <-copied.Loaded():
	case err := <-fault:
		return fmt.Errorf("the replica cannot load: %w", err)
	}
	megabytes := float64(heapInUse()-before) / 1e6
	if devices := copied.Status().Devices; devices != heapDevices {
		return fmt.Errorf("the replica holds %d devices instead of %d", devices, heapDevices)
	}
	cancel()
	runtime.KeepAlive(copied)
	if err := <-ended; err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(map[string]any{"devices": heapDevices, "factsEach": heapFacts, "heapMB": megabytes})
}

// heapInUse is what is alive on the heap after a collection.
func heapInUse() uint64 {
	runtime.GC()
	runtime.GC() // pools let go of theirs at the second one
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// replicaHeap runs memory in a process of its own and returns MB.
func (f *fleet) replicaHeap(ctx context.Context) (float64, error) {
	var complaint bytes.Buffer
	command := exec.CommandContext(ctx, f.self, "memory")
	command.Stderr = &complaint
	said, err := command.Output()
	if err != nil {
		return 0, fmt.Errorf("measure the heap of a replica: %w: %s", err, complaint.Bytes())
	}
	var figure struct {
		HeapMB float64 `json:"heapMB"`
	}
	return figure.HeapMB, json.Unmarshal(said, &figure)
}

// manyPostures is a store that makes each posture when it is read, so that the heap is the replica's alone. As from a
// real store, no two postures share a byte.
type manyPostures struct {
	signals.Postures // the rest of the interface is not for a replica

	devices int
}

// EachPosture implements signals.Postures.
func (s *manyPostures) EachPosture(
	_ context.Context, yield func(signals.Posture) error, _ func(signals.DeviceID, error),
) (signals.Cursor, error) {
	at := time.Now().UTC()
	for i := range s.devices {
		posture, err := rich(i, at)
		if err != nil {
			return "", err
		}
		if err := yield(posture); err != nil {
			return "", err
		}
	}
	return "0", nil
}

// WatchPostures implements signals.Postures: nothing ever changes.
func (s *manyPostures) WatchPostures(ctx context.Context, _ signals.Cursor, _ func(signals.Change) error) error {
	<-ctx.Done()
	return ctx.Err()
}

func fingerprintOf(i int) string {
	sum := sha256.Sum256(strconv.AppendInt(nil, int64(i), 10))
	return hex.EncodeToString(sum[:])
}

// rich is a posture of 20 facts: ten attributes, each from an MDM and from an EDR.
func rich(i int, at time.Time) (signals.Posture, error) {
	posture, err := world.PostureOf(i, fingerprintOf(i), at)
	if err != nil {
		return posture, err
	}
	facts := posture.Facts
	o := signals.Observation{}
	for _, source := range []string{"acme-mdm", "acme-edr"} {
		for n, fact := range facts {
			fact.Source, fact.Path = strings.Clone(source), strings.Clone(fact.Path)
			fact.Attribute = strings.Clone(fact.Attribute)
			fact.Observed = at.Add(-time.Duration(i%3600+n) * time.Second)
			fact.Received = fact.Observed.Add(time.Second)
			if text, ok := fact.Value.AsText(); ok {
				fact.Value = signals.Text(strings.Clone(text))
			}
			o.Facts = append(o.Facts, fact)
		}
	}
	posture.Facts = nil
	merged, _ := posture.Merge(o)
	if len(merged.Facts) != heapFacts {
		return merged, fmt.Errorf("a posture has %d facts instead of %d", len(merged.Facts), heapFacts)
	}
	return merged, nil
}
