// Package drift compares what a running Envoy says to hold with what it was given.
//
// What Envoy is told over ADS and what it does are one thing only while nobody else tells it something: a listener in its
// bootstrap, a runtime override, another control plane, a drain time of ten minutes. A Watcher asks the admin interface of
// one Envoy, which is a Unix socket of that Envoy alone, so others that the same process programs are not looked at.
//
// Formats follow Envoy 1.40: https://www.envoyproxy.io/docs/envoy/v1.40.0/operations/admin and envoy.admin.v3.ConfigDump.
package drift
