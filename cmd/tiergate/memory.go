package main

import (
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"go.uber.org/zap"
)

// What the garbage collector is told unless GOGC or GOMEMLIMIT say otherwise. A sidecar's live heap is small next to what
// each request leaves behind, so collecting at five times the live heap instead of twice halves the collector's work.
const (
	defaultGOGC = 400
	limitShare  = 0.9 // of the cgroup's limit: the rest is for what the Go heap does not count
)

// tuneMemory sets the collector's pace, and keeps the heap below the container's limit by collecting more often near it.
func tuneMemory(log *zap.Logger) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(defaultGOGC)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		if limit, ok := cgroupLimit("/sys/fs/cgroup"); ok {
			debug.SetMemoryLimit(int64(float64(limit) * limitShare))
		}
	}
	log.Info("memory", zap.Int64("limitBytes", debug.SetMemoryLimit(-1)), zap.String("GOGC", os.Getenv("GOGC")))
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
