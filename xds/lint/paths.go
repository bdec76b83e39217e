package lint

// pathRules leave one reading of a request to everybody behind: Envoy's routes, tiergate and the upstream.
var pathRules = []rule{
	{code: "path-not-normalized", severity: Hole, source: managerAPI + "HttpConnectionManager.normalize_path; CVE-2021-31920",
		manager: func(m *manager, s say) {
			if v := m.http.Value.Get("normalize_path"); !v.Bool() {
				s(v, "/public/../admin is matched as public, and is admin to the upstream", "write normalize_path: true")
			}
		}},
	{code: "slashes-not-merged", severity: Weak, source: managerAPI + "HttpConnectionManager.merge_slashes",
		manager: func(m *manager, s say) {
			if v := m.http.Value.Get("merge_slashes"); !v.Bool() {
				s(v, "//admin is not matched as /admin, and may be that to the upstream", "write merge_slashes: true")
			}
		}},
	{code: "escaped-slashes", severity: Weak,
		source: managerAPI + "HttpConnectionManager.path_with_escaped_slashes_action; CVE-2021-29492",
		manager: func(m *manager, s say) {
			v := m.http.Value.Get("path_with_escaped_slashes_action")
			action := v.Enum("IMPLEMENTATION_SPECIFIC_DEFAULT", "KEEP_UNCHANGED", "REJECT_REQUEST", "UNESCAPE_AND_REDIRECT",
				"UNESCAPE_AND_FORWARD")
			if action != "REJECT_REQUEST" && action != "UNESCAPE_AND_REDIRECT" {
				s(v, "/public/..%2fadmin is one path to Envoy, and perhaps another to the upstream",
					"write path_with_escaped_slashes_action: REJECT_REQUEST")
			}
		}},
	{code: "underscores", severity: Weak, source: "envoy.config.core.v3.HttpProtocolOptions.headers_with_underscores_action",
		manager: func(m *manager, s say) {
			v := m.http.Value.Get("common_http_protocol_options", "headers_with_underscores_action")
			if action := v.Enum("ALLOW", "REJECT_REQUEST", "DROP_HEADER"); action == "" || action == "ALLOW" {
				s(v, "x_tiergate_subject is another header to Envoy, and the same to many upstreams (CGI, WSGI)",
					"write headers_with_underscores_action: REJECT_REQUEST")
			}
		}},
}
