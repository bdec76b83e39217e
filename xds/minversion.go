package xds

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
)

// MinVersion is the lowest version of Envoy that is programmed, whatever the settings say.
//
// 1.38.3 is the release of 1.38 that closed CVE-2026-47778 (a NUL byte in a TLS SAN cuts an identity short),
// CVE-2026-47205 (ext_authz with per-route configuration uses freed memory when a client leaves during its check) and
// CVE-2026-47221 (https://github.com/envoyproxy/envoy/pull/45797); 1.39.0 and later have them. Releases of 1.37 and before
// are refused even if patched: Envoy ignores fields that it does not know in what comes over xDS unless it is started with
// --reject-unknown-dynamic-fields, so an older one would take the configuration over without some of its hardening.
const MinVersion = "1.38.3"

// version is a release of Envoy.
type version struct{ major, minor, patch uint32 }

func (v version) String() string { return fmt.Sprintf("%d.%d.%d", v.major, v.minor, v.patch) }

func (v version) below(o version) bool {
	return cmp.Or(cmp.Compare(v.major, o.major), cmp.Compare(v.minor, o.minor), cmp.Compare(v.patch, o.patch)) < 0
}

func parseVersion(text string) (version, error) {
	var numbers [3]uint32
	fields := strings.Split(text, ".")
	if len(fields) != len(numbers) {
		return version{}, fmt.Errorf("%q is not a version of Envoy: write three numbers, such as %s", text, MinVersion)
	}
	for i, field := range fields {
		n, err := strconv.ParseUint(field, 10, 32)
		if err != nil {
			return version{}, fmt.Errorf("%q is not a version of Envoy: write three numbers, such as %s", text, MinVersion)
		}
		numbers[i] = uint32(n)
	}
	return version{numbers[0], numbers[1], numbers[2]}, nil
}

// lowest is the version asked for, or MinVersion if that is higher or none is asked for.
func lowest(asked string) version {
	built, err := parseVersion(MinVersion)
	if err == nil && asked != "" {
		var v version
		if v, err = parseVersion(asked); err == nil && !v.below(built) {
			return v
		}
	}
	if err != nil {
		return version{math.MaxUint32, 0, 0}
	}
	return built
}

func envoyVersion(node *corev3.Node) string {
	v := node.GetUserAgentBuildVersion().GetVersion()
	if v == nil {
		return ""
	}
	return version{v.GetMajorNumber(), v.GetMinorNumber(), v.GetPatch()}.String()
}

// tooOld says why a node is not programmed, and what to do.
func tooOld(node *corev3.Node, lowest version) error {
	if node == nil {
		return errors.New("its first request names no node: give it a node id in its bootstrap, " +
			"or start it with one of tiergate envoy bootstrap")
	}
	v := node.GetUserAgentBuildVersion().GetVersion()
	switch {
	case node.GetUserAgentName() != "envoy" || v == nil:
		return fmt.Errorf("it says to be %q and not which version of Envoy; run Envoy %s or later, which says so by itself",
			oneLine(node.GetUserAgentName()), lowest)
	case version{v.GetMajorNumber(), v.GetMinorNumber(), v.GetPatch()}.below(lowest):
		return fmt.Errorf("it is Envoy %s, and %s is the lowest that is programmed (security fixes, and fields that an older one "+
			"ignores); upgrade Envoy", envoyVersion(node), lowest)
	}
	return nil
}
