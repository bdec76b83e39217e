package lint

import (
	"fmt"

	"github.com/tiergate/tiergate/xds/dump"
)

const bootstrapAPI = "envoy.config.bootstrap.v3."

// processRules are about what changes a running Envoy.
var processRules = []rule{
	{code: "admin-open", severity: Hole, source: bootstrapAPI + "Admin.address",
		whole: func(c *dump.Config, s say) {
			v := c.Bootstrap.Get("admin", "address")
			if a := dump.Address(v); a != "" && !local(a) {
				s(v, "whoever reaches "+a+" reads the whole configuration, and stops or changes Envoy", adminFix)
			}
		}},
	{code: "admin-tcp", severity: Weak, source: bootstrapAPI + "Admin.address",
		whole: func(c *dump.Config, s say) {
			v := c.Bootstrap.Get("admin", "address")
			if a := dump.Address(v); v.Get("socket_address").Has() && local(a) {
				s(v, "every process of this machine, and every page that a browser on it shows, reaches "+a, adminFix)
			}
		}},
	{code: "runtime-switch", severity: Weak, source: bootstrapAPI + "LayeredRuntime.layers", whole: runtimeLayers},
}

const adminFix = "write address: {pipe: {path: /run/tiergate/envoy-admin.sock, mode: 384}}"

// runtimeLayers finds layers that change while Envoy runs. A layered_runtime without any layer gets one that the admin
// interface may write.
func runtimeLayers(c *dump.Config, s say) {
	runtime := c.Bootstrap.Get("layered_runtime")
	const fix = "write one layer, with static_layer"
	layers := runtime.Get("layers")
	if runtime.Has() && len(layers.List()) == 0 {
		s(layers, "without any layer there is one that the admin interface writes (/runtime_modify)", fix)
	}
	for _, layer := range layers.List() {
		for _, kind := range []string{"admin_layer", "rtds_layer", "disk_layer"} {
			if v := layer.Get(kind); v.Has() {
				s(v, fmt.Sprintf("%s: limits and switches of a running Envoy change without its configuration", kind), fix)
			}
		}
	}
}
