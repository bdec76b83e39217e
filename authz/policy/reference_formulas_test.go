package policy_test

import (
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// formula is an expression as the reference understands it: Kleene's logic by hand, where CEL is not asked.
type formula struct {
	reads []string
	judge func(known map[string]signals.Value) policy.Status
}

// formulas are the expressions that worlds are made of, by their text.
var formulas = map[string]formula{
	"device.disk_encryption": {[]string{"disk_encryption"}, func(v map[string]signals.Value) policy.Status {
		return holds(v["disk_encryption"])
	}},
	"device.screen_lock": {[]string{"screen_lock"}, func(v map[string]signals.Value) policy.Status {
		return holds(v["screen_lock"])
	}},
	"!device.compromised": {[]string{"compromised"}, func(v map[string]signals.Value) policy.Status {
		return not(holds(v["compromised"]))
	}},
	"device.edr_healthy && device.edr_present": {[]string{"edr_healthy", "edr_present"},
		func(v map[string]signals.Value) policy.Status {
			return not(either(not(holds(v["edr_healthy"])), not(holds(v["edr_present"]))))
		}},
	"device.firewall || device.screen_lock": {[]string{"firewall", "screen_lock"},
		func(v map[string]signals.Value) policy.Status {
			return either(holds(v["firewall"]), holds(v["screen_lock"]))
		}},
	`device.platform == "macos"`: {[]string{"platform"}, func(v map[string]signals.Value) policy.Status {
		return mac(v["platform"])
	}},
	`device.platform == "macos" ? device.disk_encryption : device.secure_boot`: {
		[]string{"platform", "disk_encryption", "secure_boot"}, func(v map[string]signals.Value) policy.Status {
			switch mac(v["platform"]) {
			case policy.StatusPassing:
				return holds(v["disk_encryption"])
			case policy.StatusFailing:
				return holds(v["secure_boot"])
			}
			return policy.StatusUnknown
		}},
	"device.edr_risk_score < 50.0": {[]string{"edr_risk_score"}, func(v map[string]signals.Value) policy.Status {
		score, known := v["edr_risk_score"].AsNumber()
		return told(known, score < 50)
	}},
}

func told(known, healthy bool) policy.Status {
	switch {
	case !known:
		return policy.StatusUnknown
	case healthy:
		return policy.StatusPassing
	}
	return policy.StatusFailing
}

func holds(v signals.Value) policy.Status {
	truth, known := v.AsBool()
	return told(known, truth)
}

func mac(v signals.Value) policy.Status {
	name, known := v.AsText()
	return told(known, name == "macos")
}

func not(s policy.Status) policy.Status {
	return map[policy.Status]policy.Status{
		policy.StatusPassing: policy.StatusFailing, policy.StatusFailing: policy.StatusPassing,
	}[s]
}

func either(a, b policy.Status) policy.Status {
	switch {
	case a == policy.StatusPassing || b == policy.StatusPassing:
		return policy.StatusPassing
	case a == policy.StatusFailing && b == policy.StatusFailing:
		return policy.StatusFailing
	}
	return policy.StatusUnknown
}
