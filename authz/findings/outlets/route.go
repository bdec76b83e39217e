package outlets

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tiergate/tiergate/authz/findings"
	"github.com/tiergate/tiergate/authz/policy"
)

// route is where a notice is told: the outlets that its monitor names (Monitor.tell), or else the default ones. A name that is
// not in these settings is told to the default ones instead, so that a renamed outlet loses nothing.
func (q *Queue) route(p *policy.Policy, n *findings.Notice) []string {
	if len(q.lines) == 0 {
		return nil
	}
	names := told(p, n.Monitor)
	var out []string
	for _, name := range names {
		if q.lines[name] != nil && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	if len(names) == 0 || len(out) < len(names) {
		for _, name := range q.names {
			if q.lines[name].Default && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	if len(out) == 0 {
		q.options.Events.Untold(n.ID, n.Monitor, names)
	}
	return out
}

// told is what a monitor's document says.
func told(p *policy.Policy, monitor string) []string {
	if p == nil || monitor == "" {
		return nil
	}
	for _, m := range p.Spec().Monitors {
		if m.Meta.Name == monitor {
			return m.Tell
		}
	}
	return nil
}

// unknown is the error of a name that is no outlet of the settings.
func (q *Queue) unknown(outlet string) error {
	if len(q.names) == 0 {
		return fmt.Errorf("%q: %w: the settings of this process have no outlets", outlet, ErrUnknown)
	}
	return fmt.Errorf("%q: %w; the settings have %s", outlet, ErrUnknown, strings.Join(q.names, ", "))
}
