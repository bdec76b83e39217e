package config

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// MinEnvoyVersion is the lowest version of Envoy that is programmed without envoy.minVersion; package xds says why.
const MinEnvoyVersion = "1.38.3"

var envoyVersion = regexp.MustCompile(`^(0|[1-9][0-9]{0,4})(\.(0|[1-9][0-9]{0,4})){2}$`)

// minVersion lets the built-in minimum only be raised: what is below it has known holes, and the settings are no place to
// reopen them.
func (c *check) minVersion(path, written string) {
	switch {
	case !c.document.Has(path):
	case !envoyVersion.MatchString(written):
		c.fault(path, fmt.Sprintf("%q is no version of Envoy", written), "write three numbers, such as "+MinEnvoyVersion)
	case compareEnvoyVersions(written, MinEnvoyVersion) < 0:
		c.fault(path, "minVersion is below "+MinEnvoyVersion+", the lowest that is ever programmed",
			"write a higher version, or leave minVersion out")
	}
}

func compareEnvoyVersions(a, b string) int {
	return slices.CompareFunc(strings.Split(a, "."), strings.Split(b, "."), func(a, b string) int {
		x, _ := strconv.Atoi(a) // the pattern lets only numbers through
		y, _ := strconv.Atoi(b)
		return cmp.Compare(x, y)
	})
}
