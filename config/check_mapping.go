package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// mapping checks what can be said of a mapping field by field; how its parts go together, mapping.New says.
func (c *check) mapping(at string, s *Source) {
	m := s.Mapping
	if m == nil {
		if s.Type == SourceMapping && !c.document.Has(at+".mapping") {
			c.fault(at, fmt.Sprintf("source %q has no mapping", s.Name), "say in mapping how its bodies are read")
		}
		return
	}
	at += ".mapping"
	if s.Type == SourceMapping {
		c.together(at+".delivery", m.Delivery != nil, s.Webhook != nil, "webhook")
		c.together(at+".list", m.List != nil, s.API != nil, "api")
		c.together(at+".record", m.Record != nil, m.List != nil, "list")
	}
	c.onlyFor(at+".get", m.Get != nil, m.List != nil, "a mapping with list")
	if d := m.Delivery; d != nil {
		c.path(at+".delivery.id", d.ID)
		c.path(at+".delivery.points", d.Points)
		c.kind(at+".delivery.kind", d.Kind)
		if (d.Points != "") == (d.Record != nil) {
			c.fault(at+".delivery", "a delivery points at devices or holds a record", "write one of points and record")
		}
		if d.Points != "" && m.Get == nil {
			c.fault(at+".delivery.points", "a device that is pointed at cannot be asked for", "write get, or a record instead")
		}
		c.record(at+".delivery.record", d.Record)
	}
	c.record(at+".record", m.Record)
	c.mappingList(at+".list", m.List)
	if g := m.Get; g != nil {
		c.below(at+".get.path", g.Path)
		c.path(at+".get.device", g.Device)
		named := strings.Contains(g.Path, "{id}")
		for _, value := range g.Query {
			named = named || strings.Contains(value, "{id}")
		}
		if !named && g.Path != "" {
			c.fault(at+".get.path", "no {id} stands in path or query", "write {id} where the id of the device goes")
		}
	}
}

// together wants two blocks both or neither.
func (c *check) together(path string, is, other bool, name string) {
	switch {
	case is && !other:
		c.fault(path, last(path)+" without "+name, "write "+name+" too, or remove it")
	case other && !is:
		c.fault(path[:strings.LastIndexByte(path, '.')], name+" without "+last(path), "write "+last(path)+" too, or remove "+name)
	}
}

// path asks the path language, which another package knows.
func (c *check) path(at, text string) {
	if text == "" || c.words.Path == nil {
		return
	}
	if err := c.words.Path(text); err != nil {
		c.fault(at, err.Error(), "correct the path; its language is in the README of the mapping source")
	}
}

func (c *check) below(at, path string) {
	if path != "" && !strings.HasPrefix(path, "/") {
		c.fault(at, fmt.Sprintf("%q does not begin with a slash", path), "write a path below api.url")
	}
}

func (c *check) kind(at string, k *MappingKind) {
	if k == nil {
		return
	}
	c.path(at+".path", k.Path)
	c.list(at+".read", k.Read)
	c.list(at+".ignore", k.Ignore)
	for i, word := range k.Ignore {
		if slices.Contains(k.Read, word) {
			c.fault(fmt.Sprintf("%s.ignore[%d]", at, i), fmt.Sprintf("%q is read and ignored", word), "write it in one of the two")
		}
	}
}

func (c *check) record(at string, r *MappingRecord) {
	if r == nil {
		return
	}
	c.path(at+".devices", r.Devices)
	c.kind(at+".kind", r.Kind)
	c.path(at+".device.serial", r.Device.Serial)
	c.path(at+".device.uuid", r.Device.UUID)
	c.path(at+".device.directory", r.Device.Directory)
	c.path(at+".device.id", r.Device.ID)
	if r.Device == (MappingDevice{}) && c.document.Has(at+".device") {
		c.fault(at+".device", "it names nothing", "write at least one of serial, uuid, directory and id")
	}
	if r.Observed == nil && !c.document.Has(at+".observed") {
		c.fault(at, "the record is not dated", "write in observed where the vendor says when it saw the device")
	}
	c.observed(at+".observed", r.Observed)
	for _, name := range slices.Sorted(maps.Keys(r.Facts)) {
		f := r.Facts[name]
		c.attribute(at+".facts", name)
		place := at + ".facts." + name
		if !c.document.Has(place) {
			place = at + ".facts"
		}
		c.fact(place, name, MappingPart{f.Path, f.As, f.Values, f.Else})
		for _, part := range f.All {
			c.fact(place, name, part)
		}
		c.observed(place+".observed", f.Observed)
	}
}

func (c *check) fact(at, name string, f MappingPart) {
	if f.Path != "" && c.words.Path != nil {
		if err := c.words.Path(f.Path); err != nil {
			c.fault(at, name+": "+err.Error(), "correct the path; its language is in the README of the mapping source")
		}
	}
	if f.As != "" && !slices.Contains([]string{"text", "version", "build", "patch", "count"}, f.As) {
		c.fault(at, fmt.Sprintf("%s: as is %q", name, f.As), "write one of text, version, build, patch, count")
	}
	if f.Else != "" && !slices.Contains([]string{"unknown", "worst", "error"}, f.Else) {
		c.fault(at, fmt.Sprintf("%s: else is %q", name, f.Else), "write one of unknown, worst, error")
	}
}

func (c *check) observed(at string, t *MappingTime) {
	if t == nil {
		return
	}
	c.list(at+".paths", t.Paths)
	for i, text := range t.Paths {
		c.path(fmt.Sprintf("%s.paths[%d]", at, i), text)
	}
	c.oneOf(at+".format", t.Format, "auto", "rfc3339", "seconds", "milliseconds", "layout")
	c.list(at+".never", t.Never)
	if t.Received == (len(t.Paths) > 0) {
		c.fault(at, "the time is that of the vendor or that of receipt", "write one of paths and received: true")
	}
	if (t.Format == "layout") != (t.Layout != "") {
		c.fault(at, "format layout and layout go together", "write both or neither")
	}
	if t.Zone != "" && t.Zone != "UTC" {
		if _, err := time.Parse("-07:00", t.Zone); err != nil {
			c.fault(at+".zone", fmt.Sprintf("zone is %q", t.Zone), "write UTC or an offset such as +02:00")
		}
	}
}

func (c *check) mappingList(at string, l *MappingList) {
	if l == nil {
		return
	}
	c.below(at+".path", l.Path)
	c.oneOf(at+".page", l.Page, "none", "cursor", "link", "number", "offset")
	c.path(at+".next", l.Next)
	c.path(at+".total", l.Total)
	c.within(at+".first", l.First, 0, 1)
	c.within(at+".size", l.Size, 1, 10_000)
	parts := map[string][]string{"cursor": {"parameter", "next"}, "link": {"next"}, "number": {"parameter"},
		"offset": {"parameter", "size"}}[l.Page]
	for _, part := range []string{"parameter", "next", "size"} {
		needs, is := slices.Contains(parts, part), c.document.Has(at+"."+part)
		switch {
		case needs && !is:
			c.fault(at, fmt.Sprintf("page %s without %s", l.Page, part), "write "+part+" too")
		case is && !needs:
			c.fault(at+"."+part, fmt.Sprintf("%s does not go with page %s", part, l.Page), "remove it, or correct page")
		}
	}
	c.onlyFor(at+".first", l.First != 0, l.Page == "number", "page number")
	c.onlyFor(at+".post", l.Post, l.Page != "link", "a list that is not paged by link")
}
