package main

import (
	"context"
	"math"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
)

// What the garbage collector is told unless GOGC or GOMEMLIMIT say otherwise. A small heap may grow to five times itself, so
// that collecting does not show in a decision. With many devices the live heap is large, and five times it would mostly cost
// memory: garbage, of which a decision leaves half a kilobyte, then gets less room.
const (
	mostGOGC    = 400
	leastGOGC   = 100
	garbageRoom = 24 << 20 // bytes
	limitShare  = 0.9      // of the cgroup's limit: the rest is for what the Go heap does not count
	paceEvery   = 2 * time.Second
)

// limitMemory keeps the heap below the container's limit by collecting more often near it.
func limitMemory(log *zap.Logger) {
	if os.Getenv("GOMEMLIMIT") == "" {
		if limit, ok := cgroupLimit("/sys/fs/cgroup"); ok {
			debug.SetMemoryLimit(int64(float64(limit) * limitShare))
		}
	}
	log.Info("memory", zap.Int64("limitBytes", debug.SetMemoryLimit(-1)), zap.String("GOGC", os.Getenv("GOGC")))
}

// paceCollector sets the collector's pace by the size of the live heap, until ctx ends.
func paceCollector(ctx context.Context) error {
	if os.Getenv("GOGC") != "" {
		<-ctx.Done()
		return nil
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	tick := time.NewTicker(paceEvery)
	defer tick.Stop()
	for pace := 0; ; {
		metrics.Read(live)
		if next := gcPercent(live[0].Value.Uint64()); next != pace {
			debug.SetGCPercent(next)
			pace = next
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// gcPercent is the GOGC with which garbage may take garbageRoom beside a live heap of so many bytes.
func gcPercent(live uint64) int {
	return int(min(max(garbageRoom*100/max(live, 1), leastGOGC), mostGOGC))
}

// cgroupLimit reads the memory limit of this process's cgroup in bytes: memory.max of version 2, memory.limit_in_bytes of
// version 1. ok is false where there is none, or none that can be read.
func cgroupLimit(root string) (limit int64, ok bool) {
	for _, file := range []string{"/memory.max", "/memory/memory.limit_in_bytes"} {
		raw, err := os.ReadFile(root + file)
		if err != nil {
			continue
		}
		limit, err := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64)
		// Version 1 writes "no limit" as a number near the largest there is.
		if err == nil && limit > 0 && limit < math.MaxInt64/2 {
			return limit, true
		}
	}
	return 0, false
}
