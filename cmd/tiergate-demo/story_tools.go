package main

import (
	"context"
	_ "embed" // for careless
	"fmt"
	"slices"
	"strings"
)

// careless is a configuration with holes, as people write them.
//
//go:embed careless.yaml
var careless string

const (
	secops  = "secops"
	theLint = "tiergate envoy lint"
)

func lintScene() scene {
	return scene{"18. tiergate reads an Envoy that somebody wrote in a hurry", []step{
		{secops, theLint + " finds its holes", lint{careless, []string{
			"admin-open", "authz-disabled-route", "authz-fail-open", "path-not-normalized", "reserved-headers",
		}}, want{}},
		{secops, theLint + " finds none in ours", lint{}, want{}},
	}}
}

// lint looks at a configuration, or at the running Envoy if there is none, and wants exactly these holes.
type lint struct {
	configuration string
	holes         []string // in alphabetical order
}

func (l lint) perform(ctx context.Context, p *play, _ want) got {
	findings, err := p.world.Lint(ctx, l.configuration)
	var holes, lines []string
	rest := 0
	for _, f := range findings {
		if f.Severity != "hole" {
			rest++
			continue
		}
		holes = append(holes, f.Code)
		lines = append(lines, fmt.Sprintf("%s: %s; fix: %s", f.Code, f.What, f.Fix))
		if f.What == "" || f.Fix == "" || f.Where == "" {
			err = fmt.Errorf("%s is named without its place or a fix", f.Code)
		}
	}
	slices.Sort(holes)
	if err == nil && !slices.Equal(holes, l.holes) {
		err = fmt.Errorf("the holes are [%s], want [%s]", strings.Join(holes, " "), strings.Join(l.holes, " "))
	}
	return got{err: err, lines: lines, note: fmt.Sprintf("%d holes, %d lesser things", len(holes), rest)}
}
