// Package sentinelone is a mapping of SentinelOne's agents (management console API v2.1). It is experimental: the README
// beside this file says what was never seen.
package sentinelone

import (
	"net/url"

	"github.com/tiergate/tiergate/signals/source/mapping"
)

// Doubt is what is not known of this vendor.
const Doubt = "made from one recorded agent and third-party code: no vendor documentation of webhooks, and no tenant, was seen"

// Options are the settings.
type Options struct {
	// Points is the path of the agent's id in a notification's body, which no public document shows; empty: there are no
	// notifications.
	Points string
	// Firewall and DiskEncryption: take firewallEnabled and encryptedApplications for the attributes that they sound like. What
	// they mean is not documented publicly.
	Firewall, DiskEncryption bool
}

// Spec is the mapping. All facts are dated by the earlier of updatedAt and lastActiveDate: a record was seen that calls an
// agent active three weeks after its last sign of life.
func Spec(o Options) mapping.Spec {
	s := mapping.Spec{
		Doubt: Doubt,
		Record: &mapping.Record{Devices: "data[*]", Serial: "serialNumber", ID: "id", Facts: facts(o),
			Observed: mapping.Observed{Paths: []string{"updatedAt", "lastActiveDate"}, Time: mapping.Time{Format: "rfc3339"}}},
		List: &mapping.List{Path: "/web/api/v2.1/agents", Query: url.Values{"limit": {"200"}}, Page: "cursor",
			Parameter: "cursor", Next: "pagination.nextCursor", Total: "pagination.totalItems"},
		Get: &mapping.Get{Path: "/web/api/v2.1/agents", Query: url.Values{"ids": {"{id}"}}, Device: "data[*]"},
	}
	if o.Points != "" {
		s.Delivery = &mapping.Delivery{Points: o.Points}
	}
	return s
}

func facts(o Options) map[string]mapping.Fact {
	there := map[string]string{"false": "true", "true": "false"}
	all := map[string]mapping.Fact{
		"platform": {Path: "osType"},
		"os_build": {Path: "osRevision"},
		"edr_present": {All: []mapping.Fact{
			{Path: "isDecommissioned", Values: there}, {Path: "isUninstalled", Values: there},
		}},
		"edr_healthy": {All: []mapping.Fact{
			{Path: "isActive"}, {Path: "isUpToDate"},
			{Path: "missingPermissions", As: "count", Values: map[string]string{"0": "true"}, Else: "worst"},
			{Path: "networkStatus", Values: map[string]string{"connected": "true", "disconnected": "false"}},
		}},
		"threat_level": {All: []mapping.Fact{
			{Path: "infected", Values: map[string]string{"true": "high", "false": "none"}},
			{Path: "activeThreats", Values: map[string]string{"0": "none"}, Else: "worst"},
		}},
		"lifecycle": {All: []mapping.Fact{
			{Path: "isDecommissioned", Values: map[string]string{"true": "removed", "false": "enrolled"}},
			{Path: "isUninstalled", Values: map[string]string{"true": "removed", "false": "enrolled"}},
		}},
	}
	if o.Firewall {
		all["firewall"] = mapping.Fact{Path: "firewallEnabled"}
	}
	if o.DiskEncryption {
		all["disk_encryption"] = mapping.Fact{Path: "encryptedApplications"}
	}
	return all
}
