package policytest

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/tiergate/tiergate/config/strictyaml"
	"github.com/tiergate/tiergate/signals"
)

// ofDevice are the fields that say what is known of a device. A gap says that nothing is, so that the two never meet:
// the inner one counts.
var ofDevice = []string{"aliases", "facts", "age", "attributes", "without", "heard", "asOf", "renewals", "graceEnded"}

// overlay puts the fields that are written at a path of the document over those of c. written are those fields, read.
func (c *Case) overlay(document *strictyaml.Document, path string, written *Case) {
	has := func(field string) bool { return document.Has(path + "." + field) }
	gap := has("gap")
	if gap {
		c.clear(ofDevice)
	}
	if !gap && slices.ContainsFunc(ofDevice, has) {
		c.Gap = ""
	}
	if has("facts") {
		c.clear([]string{"age", "attributes", "without"}) // they were of the facts that these replace
	}
	c.values = maps.Clone(c.values)
	into, from := reflect.ValueOf(c).Elem(), reflect.ValueOf(written).Elem()
	for i := range into.NumField() {
		switch name := fieldName(into.Type().Field(i)); {
		case name == "" || name == "each" || !has(name):
		case name == "attributes":
			if c.values == nil {
				c.values = map[string]signals.Value{}
			}
			maps.Copy(c.values, written.values)
		case name == "expect":
			c.Expect.overlay(document, path+".expect", &written.Expect)
		default:
			into.Field(i).Set(from.Field(i))
		}
	}
}

func (c *Case) clear(fields []string) {
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		if slices.Contains(fields, fieldName(v.Type().Field(i))) {
			v.Field(i).SetZero()
		}
	}
	if slices.Contains(fields, "attributes") {
		c.values = nil
	}
}

// overlay puts one expectation over another, field by field.
func (e *expect) overlay(document *strictyaml.Document, path string, written *expect) {
	if document.Text(path) != "" { // the short form
		e.Outcome, e.Reason = written.Outcome, cmp.Or(written.Reason, e.Reason)
		return
	}
	into, from := reflect.ValueOf(e).Elem(), reflect.ValueOf(written).Elem()
	for i := range into.NumField() {
		if document.Has(path + "." + fieldName(into.Type().Field(i))) {
			into.Field(i).Set(from.Field(i))
		}
	}
}

func fieldName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	return strings.TrimPrefix(name, "-")
}

// resolve puts people and devices in the place of their names. What is said of a device further out does not concern a
// case without one; what the case says itself (has) does, and is then a fault.
func (c *Case) resolve(f *file, has func(field string) bool) error {
	if u := c.Who.User; u != nil {
		resolved, err := u.resolve(f.People)
		if err != nil {
			return err
		}
		c.Who.User = &resolved
	}
	if name := c.Who.Device; name != "" && !strings.Contains(name, ":") {
		d, ok := f.Devices[name]
		if !ok {
			return fmt.Errorf("there is no device %q under devices%s; a device is one of them, or KIND:VALUE",
				name, nearest(name, slices.Sorted(maps.Keys(f.Devices))))
		}
		c.Who.Device = d.Name
		if c.Gap == "" && c.Facts == nil {
			c.Facts = d.Facts
			if c.Aliases == nil && len(d.Facts) > 0 {
				c.Aliases = d.Aliases
			}
		}
	}
	if len(c.Facts) == 0 {
		c.clear(slices.DeleteFunc(slices.Clone(ofDevice), has))
	}
	return c.change()
}

func (u *user) resolve(people map[string]user) (user, error) {
	is := *u
	if u.Person != "" {
		known, ok := people[u.Person]
		if !ok {
			return is, fmt.Errorf("there is no person %q under people%s", u.Person,
				nearest(u.Person, slices.Sorted(maps.Keys(people))))
		}
		is = known
		into, from := reflect.ValueOf(&is).Elem(), reflect.ValueOf(u).Elem()
		for i := range into.NumField() {
			if !from.Field(i).IsZero() {
				into.Field(i).Set(from.Field(i))
			}
		}
	}
	switch {
	case is.Issuer == "":
		return is, fmt.Errorf(`field "issuer" is missing: the settings' name of who signs the user's tokens`)
	case is.Name == "":
		return is, fmt.Errorf(`field "name" is missing: the user's name as the issuer writes it`)
	}
	return is, nil
}

func nearest(word string, names []string) string {
	if near, ok := strictyaml.Nearest(word, names); ok {
		return fmt.Sprintf(" (did you mean %q?)", near)
	}
	return ""
}

// change makes the facts say what age, attributes and without want of them.
func (c *Case) change() error {
	if c.Age == nil && len(c.values) == 0 && len(c.Without) == 0 {
		return nil
	}
	if len(c.Facts) == 0 {
		return fmt.Errorf("age, attributes and without change the facts of a device, and here are none")
	}
	changed := make([]facts, 0, len(c.Facts))
	said := map[string]bool{}
	for _, f := range c.Facts {
		if c.Age != nil {
			f.Age = *c.Age
		}
		f.values = maps.Clone(f.values)
		for name := range f.values {
			said[name] = true
			if value, ok := c.values[name]; ok {
				f.values[name] = value
			}
		}
		maps.DeleteFunc(f.values, func(name string, _ signals.Value) bool { return slices.Contains(c.Without, name) })
		changed = append(changed, f)
	}
	for _, name := range slices.Sorted(maps.Keys(c.values)) {
		if !said[name] {
			changed[0].values[name] = c.values[name]
		}
	}
	for _, name := range c.Without {
		if !said[name] {
			return fmt.Errorf("without: no fact says %s", name)
		}
	}
	c.Facts = changed
	return nil
}
