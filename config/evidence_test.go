package config_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiergate/tiergate/config"
)

func TestEvidence(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", "/run/user/7")
	for name, tt := range map[string]struct {
		text string
		want config.Evidence // File is relative to the settings
	}{
		"none": {"", config.Evidence{}},
		"defaults": {"evidence: {file: decisions.jsonl}\n", config.Evidence{
			File: "decisions.jsonl", MaxBytes: 256 << 20, Keep: 8, Queue: 8192, Within: 100 * time.Millisecond,
		}},
		"Envoy waits for less than the default": {"evidence: {file: decisions.jsonl}\nenvoy: {checkTimeout: 100ms}\n", config.Evidence{
			File: "decisions.jsonl", MaxBytes: 256 << 20, Keep: 8, Queue: 8192, Within: 50 * time.Millisecond,
		}},
		"all": {"evidence: {file: policy/d.jsonl, maxBytes: 1048576, keep: 1, queue: 64, within: 1ms}\n", config.Evidence{
			File: "policy/d.jsonl", MaxBytes: 1 << 20, Keep: 1, Queue: 64, Within: time.Millisecond,
		}},
	} {
		dir, file := site(t, []byte("store: {embedded: {file: tiergate.db}}\n"+tt.text))
		got, err := config.Load(file, words)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if tt.want.File != "" {
			tt.want.File = filepath.Join(dir, tt.want.File)
		}
		if diff := cmp.Diff(tt.want, got.Evidence); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
