package lint

import (
	"fmt"
	"strings"

	"github.com/tiergate/tiergate/xds"
	"github.com/tiergate/tiergate/xds/dump"
)

// wordRules are about headers that only tiergate may say.
var wordRules = []rule{
	{code: "reserved-headers", severity: Hole, source: managerAPI + "HttpConnectionManager.early_header_mutation_extensions",
		manager: func(m *manager, s say) {
			if !removedEarly(m.http.Value) {
				s(m.http.Value.Get("early_header_mutation_extensions"),
					"a client's own x-tiergate-* headers pass wherever tiergate does not overwrite them",
					"add envoy.http.early_header_mutation.header_mutation with mutations: "+
						"[{remove_on_match: {key_matcher: {prefix: x-tiergate-}}}]")
			}
		}},
	{code: "reserved-header-written", severity: Hole, source: "envoy.config.route.v3.RouteConfiguration.request_headers_to_add",
		route: func(_ *manager, r *reached, s say) {
			for _, add := range additions(r) {
				if key := strings.ToLower(add.Get("header", "key").Text()); strings.HasPrefix(key, xds.HeaderPrefix) {
					s(add, fmt.Sprintf("Envoy itself says %s = %s behind ext_authz, whatever was decided", key, add.Get("header", "value").Text()),
						"remove it from request_headers_to_add")
				}
			}
		}},
	{code: "reserved-header-removed", severity: Weak, source: "envoy.config.route.v3.RouteConfiguration.request_headers_to_remove",
		route: func(_ *manager, r *reached, s say) {
			for _, level := range r.levels() {
				for _, name := range level.Get("request_headers_to_remove").List() {
					if strings.HasPrefix(strings.ToLower(name.Text()), xds.HeaderPrefix) {
						s(name, "it is removed behind ext_authz: upstreams do not get what tiergate says, and a client's is not meant",
							"remove it here, and remove the prefix by early_header_mutation_extensions")
					}
				}
			}
		}},
	{code: "header-appended", severity: Weak, source: "envoy.config.core.v3.HeaderValueOption.append_action",
		route: func(_ *manager, r *reached, s say) {
			for _, add := range additions(r) {
				value := add.Get("header", "value").Text()
				reserved := strings.HasPrefix(strings.ToLower(add.Get("header", "key").Text()), xds.HeaderPrefix)
				if !reserved && appends(add) && attests(value) {
					s(add, fmt.Sprintf("%s is put behind what a client sent under that name: the first one counts with many upstreams",
						add.Get("header", "key").Text()), "write append_action: OVERWRITE_IF_EXISTS_OR_ADD")
				}
			}
		}},
}

// removedEarly reports whether no header under the reserved prefix of a client gets as far as a filter.
func removedEarly(hcm dump.Value) bool {
	var removed []dump.Value
	for _, extension := range hcm.Get("early_header_mutation_extensions").List() {
		for _, mutation := range extension.Config().Get("mutations").List() {
			if m := mutation.Get("remove_on_match", "key_matcher"); m.Has() {
				removed = append(removed, m)
			}
		}
	}
	for _, name := range reserved {
		if !anyMatches(removed, name) {
			return false
		}
	}
	return true
}

// additions are the request_headers_to_add of all levels of a route.
func additions(r *reached) []dump.Value {
	var out []dump.Value
	for _, level := range r.levels() {
		out = append(out, level.Get("request_headers_to_add").List()...)
	}
	return out
}

func appends(add dump.Value) bool {
	if old := add.Get("append"); old.Has() {
		return old.Bool()
	}
	action := add.Get("append_action").Enum("APPEND_IF_EXISTS_OR_ADD")
	return action == "" || action == "APPEND_IF_EXISTS_OR_ADD"
}

// attests reports a header value by which Envoy tells who asks.
func attests(value string) bool {
	for _, word := range []string{"%DOWNSTREAM_PEER", "%DYNAMIC_METADATA", "%FILTER_STATE", "%DOWNSTREAM_REMOTE", "%DOWNSTREAM_DIRECT"} {
		if strings.Contains(strings.ToUpper(value), word) {
			return true
		}
	}
	return false
}
