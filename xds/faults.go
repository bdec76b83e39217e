package xds

import (
	"cmp"
	"slices"
	"strings"

	"github.com/tiergate/tiergate/authz/policy"
)

// KindSettings is the Kind of a fault in Settings rather than in a document.
const KindSettings = "Settings"

// Faults is everything that cannot be programmed, in a fixed order. Build returns it as its error; errors.As finds it.
type Faults []policy.Fault

// Error writes one fault a line: where, what, and what to do.
func (f Faults) Error() string {
	lines := make([]string, 0, len(f))
	for _, fault := range f {
		where := strings.TrimSpace(fault.Kind + " " + fault.Name)
		line := where + ": " + fault.Field + ": " + fault.Message
		if fault.Help != "" {
			line += "; " + fault.Help
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func (f Faults) sorted() Faults {
	slices.SortStableFunc(f, func(a, b policy.Fault) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Field, b.Field),
			cmp.Compare(a.Message, b.Message))
	})
	return slices.CompactFunc(f, func(a, b policy.Fault) bool {
		return a.Kind == b.Kind && a.Name == b.Name && a.Field == b.Field && a.Message == b.Message
	})
}
