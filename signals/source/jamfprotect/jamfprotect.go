// Package jamfprotect is a mapping of the alerts of Jamf Protect (JSON or NDJSON by an HTTP action). It is experimental: the
// README beside this file says what was never seen.
package jamfprotect

import "github.com/tiergate/tiergate/signals/source/mapping"

// Doubt is what is not known of this vendor.
const Doubt = "made from one recorded alert: whether the console or each Mac sends, and how it retries, is not documented"

// Spec is the mapping. Of an alert only its alarm counts: the header's secret is probably on each Mac, so what would make a
// device healthier, or join two names to one device, is not read. An alert ends no earlier one.
func Spec() mapping.Spec {
	return mapping.Spec{
		Doubt: Doubt,
		Delivery: &mapping.Delivery{NDJSON: true, Record: &mapping.Record{
			Serial:   "input.host.serial",
			Observed: mapping.Observed{Paths: []string{"input.match.event.timestamp"}, Time: mapping.Time{Format: "seconds"}},
			Facts: map[string]mapping.Fact{"threat_level": {Path: "input.match.severity", Else: "worst",
				Values: map[string]string{"0": "silent", "1": "silent", "2": "silent", "3": "high"}}},
		}},
	}
}
