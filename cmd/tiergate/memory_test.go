package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestCgroupLimit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file, text string
		want       int64
	}{
		"version 2":             {"memory.max", "268435456\n", 256 << 20},
		"version 2 without":     {"memory.max", "max\n", 0},
		"version 1":             {"memory/memory.limit_in_bytes", "134217728\n", 128 << 20},
		"version 1 without":     {"memory/memory.limit_in_bytes", "9223372036854771712\n", 0},
		"nonsense":              {"memory.max", "lots\n", 0},
		"zero":                  {"memory.max", "0\n", 0},
		"no cgroup file at all": {"other", "1\n", 0},
	} {
		root := t.TempDir()
		file := filepath.Join(root, c.file)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, ok := cgroupLimit(root); got != c.want || ok != (c.want > 0) {
			t.Errorf("%s: %d, %v", name, got, ok)
		}
	}
}

// TestPaceOfTheCollector: four times a small live heap for garbage, a fixed room beside a larger one, never less than twice it.
func TestPaceOfTheCollector(t *testing.T) {
	t.Parallel()
	for live, want := range map[uint64]int{
		0: mostGOGC, 1 << 20: mostGOGC, 6 << 20: 400, 8 << 20: 300, 12 << 20: 200, 24 << 20: 100, 1 << 40: leastGOGC,
		1<<64 - 1: leastGOGC,
	} {
		if got := gcPercent(live); got != want {
			t.Errorf("%d bytes: %d, want %d", live, got, want)
		}
	}
}
