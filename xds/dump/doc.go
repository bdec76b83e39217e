// Package dump reads what an Envoy is configured with into one form: from a bootstrap (YAML or JSON, anybody's), from the
// config_dump of an Envoy's admin interface, or from a snapshot of ours. It works on plain trees of maps, lists and scalars,
// so that no extension it does not know stops it, and every value knows its field path, for messages.
//
// The shapes are those of envoy.config.bootstrap.v3.Bootstrap and envoy.admin.v3.ConfigDump
// (https://www.envoyproxy.io/docs/envoy/latest/api-v3/admin/v3/config_dump.proto). Fields are found by their name in the
// API (snake_case) and by the JSON form of it (camelCase).
package dump
