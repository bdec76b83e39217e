package inventory

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Mapping says where the fields of an identity stand in a file of any other form: a YAML file for `--mapping`. A column of JSON
// is a path of names with dots between them ("metadata.name").
type Mapping struct {
	// Rows is where the list stands in JSON, a path; empty: the file is the list. CSV has no such place.
	Rows           string        `yaml:"rows,omitempty"`
	ID             MappedField   `yaml:"id"`
	Type           MappedField   `yaml:"type"`
	SPIFFEID       *MappedField  `yaml:"spiffeID,omitempty"`
	Owner          *MappedField  `yaml:"owner,omitempty"`
	Created        *MappedField  `yaml:"created,omitempty"`
	LastUsed       *MappedField  `yaml:"lastUsed,omitempty"`
	CredentialFrom *MappedField  `yaml:"credentialFrom,omitempty"`
	NeverExpires   *MappedField  `yaml:"neverExpires,omitempty"`
	Grants         []MappedField `yaml:"grants,omitempty"`
}

// MappedField is where one field stands. Columns or Value: one of both.
type MappedField struct {
	Columns []string `yaml:"columns,omitempty"` // their texts, joined
	Join    string   `yaml:"join,omitempty"`    // between them; default "/"
	Value   string   `yaml:"value,omitempty"`   // always this
	Prefix  string   `yaml:"prefix,omitempty"`  // before what is not empty
	// Words says what a text stands for; "" for nothing. What is not among them stays as it is.
	Words map[string]string `yaml:"words,omitempty"`
	// Layout is how an instant is written: as package time of Go writes "2006-01-02 15:04", or unix. Default: RFC 3339, or a date.
	Layout string `yaml:"layout,omitempty"`
	Split  string `yaml:"split,omitempty"` // of grants: what stands between several
}

// Check says what is wrong with a mapping: the field and why. Nil: nothing.
func (m *Mapping) Check() error {
	for _, f := range m.fields() {
		name := f.name
		switch {
		case (len(f.Columns) == 0) == (f.Value == ""):
			return fmt.Errorf("%s: say either columns or value", name)
		case f.Split != "" && name != "grants":
			return fmt.Errorf("%s: split is for grants", name)
		}
		for _, column := range f.Columns {
			if isSecretName(column[strings.LastIndexByte(column, '.')+1:]) {
				return fmt.Errorf("%s: column %q holds key material, which is not read", name, column)
			}
		}
	}
	return nil
}

// placed is a field of a mapping with its name.
type placed struct {
	name string
	*MappedField
}

func (m *Mapping) fields() []placed {
	all := []placed{{"id", &m.ID}, {"type", &m.Type}, {"spiffeID", m.SPIFFEID}, {"owner", m.Owner}, {"created", m.Created},
		{"lastUsed", m.LastUsed}, {"credentialFrom", m.CredentialFrom}, {"neverExpires", m.NeverExpires}}
	for i := range m.Grants {
		all = append(all, placed{"grants", &m.Grants[i]})
	}
	return slices.DeleteFunc(all, func(p placed) bool { return p.MappedField == nil })
}

// ReadMapped reads a file of any form, as a mapping says. The error is Faults.
func ReadMapped(system string, data []byte, m *Mapping) (*Listing, error) {
	r := &reading{listing: Listing{System: system, Format: "mapped", Entries: []Entry{}}}
	if err := m.Check(); err != nil {
		return nil, Faults{{Why: "the mapping is wrong: " + err.Error()}}
	}
	data, err := r.text(data)
	if err != nil {
		return nil, err
	}
	if data[0] == '[' || data[0] == '{' {
		r.mappedJSON(data, m)
		return r.done()
	}
	header, rows := r.table(data)
	if header != nil {
		for _, f := range m.fields() {
			for _, column := range f.Columns {
				if !slices.Contains(header, column) {
					r.fault(1, column, "there is no such column, which the mapping names for %s", f.name)
				}
			}
		}
		for _, row := range rows {
			r.mapped(row.line, m, row.get)
		}
	}
	return r.done()
}

func (r *reading) mappedJSON(data []byte, m *Mapping) {
	if err := checkJSON(data); err != nil {
		r.fault(0, "", "%v", err)
		return
	}
	var whole any
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.UseNumber()
	_ = decoder.Decode(&whole) // checkJSON has read it
	if m.Rows != "" {
		whole = at(whole, m.Rows)
	}
	rows, ok := whole.([]any)
	if !ok {
		r.fault(0, m.Rows, "there is no list; say where it is with rows")
		return
	}
	for i, row := range rows {
		r.mapped(i+1, m, func(column string) string { return plain(at(row, column)) })
	}
}

// at follows a path of names.
func at(value any, path string) any {
	for name := range strings.SplitSeq(path, ".") {
		object, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = object[name]
	}
	return value
}

// plain is the text of a scalar, and of a list of scalars with commas between them.
func plain(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	case []any:
		texts := make([]string, 0, len(v))
		for _, x := range v {
			texts = append(texts, plain(x))
		}
		return strings.Join(texts, ",")
	}
	return ""
}

func (r *reading) mapped(row int, m *Mapping, get func(string) string) {
	columns := map[string]string{}
	text := func(name string, f *MappedField) string {
		if f == nil {
			return ""
		}
		columns[name] = strings.Join(f.Columns, " and ")
		said := f.text(get)
		if said != "" && name != "grants" {
			said = f.Prefix + said
		}
		return said
	}
	instant := func(name string, f *MappedField) time.Time {
		at, err := f.instant(text(name, f))
		if err != nil {
			r.fault(row, columns[name], "%v", err)
		}
		return at
	}
	e := Entry{ID: text("id", &m.ID), Type: text("type", &m.Type), SPIFFEID: text("spiffeID", m.SPIFFEID), Owner: text("owner", m.Owner),
		Created: instant("created", m.Created), LastUsed: instant("lastUsed", m.LastUsed),
		CredentialFrom: instant("credentialFrom", m.CredentialFrom)}
	if word := text("neverExpires", m.NeverExpires); word != "" {
		never, err := strconv.ParseBool(word)
		if err != nil {
			r.fault(row, columns["neverExpires"], "%.64q is neither true nor false; say with words what it means", word)
		}
		e.NeverExpires = never
	}
	for i := range m.Grants {
		f := &m.Grants[i]
		granted := []string{text("grants", f)}
		if f.Split != "" {
			granted = split(granted[0], f.Split)
		}
		for _, g := range granted {
			if g != "" {
				e.Grants = append(e.Grants, f.Prefix+g)
			}
		}
	}
	r.add(row, e, columns)
}

// text is what stands there; a prefix of grants is put before each.
func (f *MappedField) text(get func(string) string) string {
	text := f.Value
	if len(f.Columns) > 0 {
		join := f.Join
		if join == "" {
			join = "/"
		}
		texts := make([]string, 0, len(f.Columns))
		for _, column := range f.Columns {
			texts = append(texts, get(column))
		}
		text = strings.Join(texts, join)
	}
	if word, ok := f.Words[text]; ok {
		text = word
	}
	return text
}

func (f *MappedField) instant(text string) (time.Time, error) {
	switch {
	case text == "" || f.Layout == "":
		return parseInstant(text)
	case f.Layout == "unix":
		seconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil || seconds < 0 || seconds > 1<<38 {
			return time.Time{}, fmt.Errorf("%.64q is no number of seconds since 1970", text)
		}
		return time.Unix(seconds, 0).UTC(), nil
	}
	at, err := time.Parse(f.Layout, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%.64q is not written as %q", text, f.Layout)
	}
	return at.UTC(), nil
}
