package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tiergate/tiergate/config/strictyaml"
)

func (c *check) sources(sources []Source, issuers []Issuer) {
	names := unique{}
	for i := range sources {
		source, at := &sources[i], fmt.Sprintf("sources[%d]", i)
		c.name(at+".name", source.Name)
		c.unique(names, at+".name", source.Name)
		c.oneOf(at+".type", source.Type, slices.Sorted(maps.Keys(sourceTypes))...)
		c.list(at+".attests", source.Attests)
		for j, attribute := range source.Attests {
			c.attribute(fmt.Sprintf("%s.attests[%d]", at, j), attribute)
		}
		for j := range source.SecretFiles {
			c.file(fmt.Sprintf("%s.secretFiles[%d]", at, j), &source.SecretFiles[j])
		}
		c.list(at+".secretFiles", source.SecretFiles)
		c.vendor(at, source)
		c.enrolled(at+".enrolledUser", source, issuers)
	}
}

func (c *check) attribute(path, name string) {
	if name == "" || len(c.words.Attributes) == 0 || slices.Contains(c.words.Attributes, name) {
		return
	}
	help := "known are " + strings.Join(c.words.Attributes, ", ")
	if near, ok := strictyaml.Nearest(name, c.words.Attributes); ok {
		help = fmt.Sprintf("did you mean %q?", near)
	}
	c.fault(path, fmt.Sprintf("%q is no attribute of a device", name), help)
}
