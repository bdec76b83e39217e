package config_test

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tiergate/tiergate/config"
)

// TestRedisShapes: what testdata/full.yaml cannot show, since the three exclude each other.
func TestRedisShapes(t *testing.T) {
	for text, want := range map[string]config.RedisStore{
		"{sentinels: [\"10.0.0.7:26379\", \"sentinel-1:26379\"], master: posture, sentinelUsername: watcher, " +
			"sentinelPasswordFile: secret, caFile: ca.pem, waitReplicas: 5, unsealed: true}": {
			Sentinels: []string{"10.0.0.7:26379", "sentinel-1:26379"}, Master: "posture", SentinelUsername: "watcher",
			SentinelPasswordFile: "secret", CAFile: "ca.pem", WaitReplicas: 5, Unsealed: true,
		},
		"{cluster: [\"valkey-0:6379\", \"[::1]:6379\"], waitAOF: 1, waitReplicas: 1, unsealed: true}": {
			Cluster: []string{"valkey-0:6379", "[::1]:6379"}, WaitAOF: 1, WaitReplicas: 1, Unsealed: true,
		},
		"{sentinels: [\"127.0.0.1:26379\"], master: m, sentinelPasswordFile: secret, unsealed: true}": {
			Sentinels: []string{"127.0.0.1:26379"}, Master: "m", SentinelPasswordFile: "secret", Unsealed: true,
		},
	} {
		dir, file := site(t, []byte("policy: {dir: policy}\nstore: {redis: "+text+"}\n"))
		got, err := config.Load(file, words)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		for _, path := range []*string{&want.SentinelPasswordFile, &want.CAFile} {
			if *path != "" {
				*path = filepath.Join(dir, *path)
			}
		}
		if diff := cmp.Diff(&want, got.Store.Redis); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
}
