package reach

import (
	"slices"

	"github.com/tiergate/tiergate/xds/dump"
)

// guard finds the ext_authz filters of a connection manager and says why they do not decide, "" if one does.
func guard(h dump.HTTP) (names []string, why string) {
	why = "there is no ext_authz filter"
	for _, f := range h.Filters {
		if f.Config.Is("router.v3.Router") {
			break // what comes later is never asked
		}
		if !f.Config.Is("ext_authz.v3.ExtAuthz", "ext_authz.v2.ExtAuthz") {
			continue
		}
		fault := looseFilter(f)
		if fault == "" {
			names = append(names, f.Name)
			why = ""
			continue
		}
		if why != "" {
			why = fault
		}
	}
	return names, why
}

// looseFilter says how a filter lets requests pass that nobody has decided on.
func looseFilter(f dump.Filter) string {
	at := f.Config.Path()
	switch {
	case f.Value.Get("disabled").Bool():
		return f.Value.Path() + ".disabled is true: it is asked only where a route enables it"
	case f.Remote:
		return f.Value.Path() + ".config_discovery: its configuration comes over ECDS and may change at any time"
	case f.Config.Get("failure_mode_allow").Bool():
		return at + ".failure_mode_allow is true: requests pass when nobody answers"
	case f.Config.Get("shadow_mode").Bool():
		return at + ".shadow_mode is true: denied requests pass"
	case f.Config.Get("filter_enabled").Has():
		return at + ".filter_enabled: only a part of the requests is asked for, which runtime can change"
	case f.Config.Get("filter_enabled_metadata").Has():
		return at + ".filter_enabled_metadata: metadata decides whether it is asked"
	}
	return ""
}

// excused says where a table, host, route or weighted cluster takes requests away from the guards; "": nowhere. Any level
// counts, whether or not another takes it back.
func excused(guards []string, levels ...dump.Value) string {
	for _, level := range levels {
		for name, v := range level.Get("typed_per_filter_config").Fields() {
			config := v.Unwrapped()
			inner := config.Get("config").Unwrapped() // envoy.config.route.v3.FilterConfig
			for _, c := range []dump.Value{config, inner} {
				ours := slices.Contains(guards, name) || c.Is("ExtAuthzPerRoute")
				switch {
				case !ours:
				case c.Get("disabled").Bool():
					return c.Path() + ".disabled is true"
				case c.Get("check_settings", "grpc_service").Has() || c.Get("check_settings", "http_service").Has():
					return c.Path() + ".check_settings: another service is asked"
				}
			}
		}
	}
	return ""
}
