package main

import (
	"fmt"
	"io"
	"strings"

	"go.uber.org/zap"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/xds"
)

// unserved are the routes of a policy that exist on no listener of the settings; none where Envoy is somebody else's.
func unserved(s *config.Settings, p *policy.Policy) []string {
	if len(s.Envoy.Listeners) == 0 {
		return nil
	}
	spec := p.Spec()
	in := xds.Input{Routes: spec.Routes, Audiences: spec.Audiences, Tiers: spec.Tiers}
	for _, l := range s.Envoy.Listeners {
		in.Settings.Listeners = append(in.Settings.Listeners,
			xds.Listener{Name: l.Name, Audience: l.Audience, Serves: servesOf(l.Serves)})
	}
	return xds.Unserved(in)
}

// sayUnserved names them: whoever wrote the route meant it to be reached.
func sayUnserved(out io.Writer, file string, p *policy.Policy) error {
	if file == "" {
		return nil
	}
	settings, err := loadSettings(file)
	if err != nil {
		return err
	}
	if names := unserved(settings, p); len(names) > 0 {
		fmt.Fprintf(out, "on no listener of the settings, by its audience or what it serves: %s\n", strings.Join(names, ", "))
	}
	return nil
}

// tellUnserved logs them, for each policy that comes into force.
func (sc *sidecar) tellUnserved(p *policy.Policy) {
	if names := unserved(sc.settings, p); len(names) > 0 {
		sc.observer.log.Warn("routes are on no listener of the settings, by its audience or what it serves",
			zap.Strings("routes", names))
	}
}
