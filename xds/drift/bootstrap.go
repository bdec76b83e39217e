package drift

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
)

// ownWords are the fields of a bootstrap that decide nothing about who gets where: how an Envoy is named and watched. A
// listener or cluster in static_resources is compared as the listener or cluster that it is.
var ownWords = []string{"node", "static_resources", "stats_sinks", "stats_config", "stats_flush_interval",
	"stats_flush_on_admin", "watchdog", "watchdogs", "tracing", "application_log_config", "flags_path",
	"stats_server_version_override", "perf_tracing_file_path"}

// bootstrap compares what Envoy was started with, each field that differs by itself.
func (c *comparison) bootstrap(raw json.RawMessage) {
	c.boot = true
	has, ok := readAs(raw, &bootstrapv3.Bootstrap{}, nil).(map[string]any)
	if !ok {
		c.differ(Bootstrap, "", Different, "", "it cannot be read: "+shown(string(raw)))
		return
	}
	want := c.meant.bootstrap
	if _, _, same := firstDifference("", c.meant.sotw["dynamic_resources"], has["dynamic_resources"]); same {
		want = c.meant.sotw
	}
	fields := map[string]bool{}
	for key := range has {
		fields[key] = true
	}
	for key := range want {
		fields[key] = true
	}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		if slices.Contains(ownWords, key) {
			continue
		}
		where, what, same := firstOfFields("", only(want, key), only(has, key))
		if !same {
			c.differ(Bootstrap, key, Different, strings.TrimPrefix(where, "."), what)
		}
	}
}

func only(tree map[string]any, key string) map[string]any {
	if value, there := tree[key]; there {
		return map[string]any{key: value}
	}
	return nil
}
