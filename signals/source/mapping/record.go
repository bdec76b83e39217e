package mapping

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// record is a Record that was checked.
type record struct {
	devices  Path
	kind     *kind
	names    []name
	id       Path
	observed *observed
	facts    []fact // platform first: the others are read with it
}

type name struct {
	kind signals.AliasKind
	path Path
}

type kind struct {
	path         Path
	read, ignore map[string]bool
}

func newRecord(r Record) (*record, error) {
	made := &record{}
	var err error
	if made.devices, err = optional("devices", r.Devices); err != nil {
		return nil, err
	}
	if r.Kind != nil {
		if made.kind, err = newKind(*r.Kind); err != nil {
			return nil, fmt.Errorf("kind: %w", err)
		}
	}
	for _, n := range []struct {
		field, path string
		kind        signals.AliasKind
	}{{"device.serial", r.Serial, signals.AliasSerial}, {"device.uuid", r.UUID, signals.AliasUUID},
		{"device.directory", r.Directory, signals.AliasDirectory}, {"device.id", r.ID, signals.AliasVendor}} {
		p, err := optional(n.field, n.path)
		switch {
		case err != nil:
			return nil, err
		case p.many():
			return nil, fmt.Errorf("%s: %s can find several names; name one", n.field, p)
		case p.none():
		case n.kind == signals.AliasVendor:
			made.id = p
		default:
			made.names = append(made.names, name{n.kind, p})
		}
	}
	if len(made.names) == 0 && made.id.none() {
		return nil, errors.New("device: it names nothing; write at least one of serial, uuid, directory and id")
	}
	if made.observed, err = newObserved(r.Observed); err != nil {
		return nil, fmt.Errorf("observed: %w", err)
	}
	return made, made.addFacts(r.Facts)
}

func (r *record) addFacts(facts map[string]Fact) error {
	if len(facts) == 0 {
		return errors.New("facts: there are none; nothing would be said of a device")
	}
	for _, attribute := range slices.Sorted(maps.Keys(facts)) {
		known, found := signals.LookupAttribute(attribute)
		if !found {
			return fmt.Errorf("facts: %.60q is no attribute of a device", attribute)
		}
		f, err := newFact(known, facts[attribute], false)
		if err != nil {
			return fmt.Errorf("facts.%s: %w", attribute, err)
		}
		if attribute == "platform" {
			r.facts = slices.Insert(r.facts, 0, f)
		} else {
			r.facts = append(r.facts, f)
		}
	}
	return nil
}

func optional(field, text string) (Path, error) {
	if text == "" {
		return Path{}, nil
	}
	p, err := ParsePath(text)
	if err != nil {
		return Path{}, fmt.Errorf("%s: %w", field, err)
	}
	return p, nil
}

func newKind(k Kind) (*kind, error) {
	p, err := ParsePath(k.Path)
	if err != nil {
		return nil, fmt.Errorf("path: %w", err)
	}
	made := &kind{path: p, read: map[string]bool{}, ignore: map[string]bool{}}
	for _, word := range k.Read {
		made.read[word] = true
	}
	for _, word := range k.Ignore {
		if made.read[word] {
			return nil, fmt.Errorf("%.40q is read and ignored; write it in one of the two", word)
		}
		made.ignore[word] = true
	}
	if len(made.read) == 0 {
		return nil, errors.New("read names no word; nothing would be read")
	}
	return made, nil
}

// wants reports whether a value is to be read.
func (k *kind) wants(value any) (bool, error) {
	if k == nil {
		return true, nil
	}
	found, err := k.path.find(value)
	if err != nil {
		return false, err
	}
	word := ""
	if len(found) == 1 {
		word, _ = wordOf(found[0])
	}
	switch {
	case k.read[word]:
		return true, nil
	case k.ignore[word]:
		return false, nil
	}
	return false, fmt.Errorf("%s is %.60q, which the mapping neither reads nor ignores; add it to kind.read or kind.ignore",
		k.path, word)
}

// all finds the records of a body. complete: the place of the list must be there, so that an answer of another shape is not
// taken for one without devices.
func (r *record) all(body any) ([]any, error) {
	if r.devices.none() {
		return []any{body}, nil
	}
	found, err := r.devices.find(body)
	if err != nil {
		return nil, err
	}
	if found == nil {
		return nil, fmt.Errorf("the body has no %s: it does not have the shape that the mapping reads", r.devices)
	}
	return found, nil
}

// identify reads the vendor's own id; empty: it is not said, or no name.
func (r *record) identify(value any) (string, error) {
	if r.id.none() {
		return "", nil
	}
	return word(r.id, value)
}

// word is what a path finds once, as a word; empty where nothing stands.
func word(p Path, value any) (string, error) {
	found, err := p.find(value)
	if err != nil || len(found) == 0 {
		return "", err
	}
	text, said := wordOf(found[0])
	if _, truth := found[0].(bool); !said || truth || len(found) > 1 {
		return "", fmt.Errorf("at %s stands no text and no number", p)
	}
	return text, nil
}

// aliases are the names of a device. Placeholders and what is malformed name nothing, as long as another name is left.
func (r *record) aliases(sourceName string, value any) ([]signals.Alias, error) {
	var aliases []signals.Alias
	id, err := r.identify(value)
	if err != nil {
		return nil, err
	}
	if id != "" {
		if alias, err := signals.NewAlias(signals.AliasVendor, sourceName+"/"+id); err == nil {
			aliases = append(aliases, alias)
		}
	}
	for _, n := range r.names {
		text, err := word(n.path, value)
		if err != nil {
			return nil, err
		}
		if alias, err := signals.NewAlias(n.kind, text); err == nil {
			aliases = append(aliases, alias)
		}
	}
	if len(aliases) == 0 {
		return nil, errors.New("the record has no usable name of a device: none of the paths of device finds one")
	}
	return aliases, nil
}

// facts says what the record says. An error means that nothing of it counts.
func (r *record) statements(value any, received time.Time) ([]signals.Fact, error) {
	at, err := r.observed.read(value, received)
	if err != nil {
		return nil, fmt.Errorf("observed: %w", err)
	}
	if at.IsZero() {
		return nil, errors.New("the record does not say when the vendor saw the device, so nothing of it can be dated")
	}
	var facts []signals.Fact
	platform := signals.Unknown
	for i := range r.facts {
		f := &r.facts[i]
		v, said, err := f.read(value, platform)
		if err != nil {
			return nil, err
		}
		if f.attribute.Name == "platform" {
			platform = v
		}
		when := at
		if f.observed != nil {
			if when, err = f.observed.read(value, received); err != nil {
				return nil, fmt.Errorf("%s: observed: %w", f.attribute.Name, err)
			}
		}
		if said && !when.IsZero() {
			facts = append(facts, signals.Fact{Attribute: f.attribute.Name, Value: v, Path: f.where(), Observed: when})
		}
	}
	slices.SortFunc(facts, func(x, y signals.Fact) int {
		if x.Attribute < y.Attribute {
			return -1
		}
		return 1
	})
	return facts, nil
}

// where is the path of a fact, as the explanation shows it.
func (f *fact) where() string {
	switch {
	case !f.path.none():
		return f.path.String()
	case len(f.all) > 0:
		text := f.all[0].path.String()
		for i := range f.all[1:] {
			text += " & " + f.all[i+1].path.String()
		}
		return cut(text)
	}
	return "$"
}

func cut(text string) string {
	if len(text) > maxPathBytes {
		return text[:maxPathBytes-3] + "..."
	}
	return text
}

// observation is one record in our words.
func (r *record) observation(sourceName string, value any, received time.Time) (signals.Observation, error) {
	if _, ok := value.(map[string]any); !ok {
		return signals.Observation{}, errors.New("a record of a device is no JSON object")
	}
	aliases, err := r.aliases(sourceName, value)
	if err != nil {
		return signals.Observation{}, err
	}
	facts, err := r.statements(value, received)
	if err != nil {
		return signals.Observation{}, err
	}
	return signals.Observation{Aliases: aliases, Facts: facts}, nil
}
