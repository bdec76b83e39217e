package dump

import (
	"bytes"
	"errors"
	"fmt"
)

// What one configuration may cost. An Envoy with 10,000 routes dumps about 10 MB.
const (
	MaxBytes = 64 << 20
	maxDepth = 200
	maxNodes = 8 << 20
	// maxYAML bounds the values of YAML, aliases followed: people write it, and it takes ten times as long to read.
	maxYAML = 1 << 20
)

// Read reads a bootstrap, a config_dump, a discovery response, or the YAML of a snapshot of ours. Origin names it in
// messages. What is written twice, in one spelling or in both, is an error: readers differ in which one counts.
func Read(raw []byte, origin string) (*Config, error) {
	if len(raw) > MaxBytes {
		return nil, fmt.Errorf("%s: more than %d MiB; ask for a part of it, such as /config_dump?resource=dynamic_listeners",
			origin, MaxBytes>>20)
	}
	tree, err := parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", origin, err)
	}
	config := &Config{Origin: origin}
	if err := config.collect(Value{raw: tree}); err != nil {
		return nil, fmt.Errorf("%s: %w", origin, err)
	}
	return config, nil
}

func parse(raw []byte) (any, error) {
	text := bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf"))
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, errors.New("it is empty; give a bootstrap or what /config_dump answers")
	}
	if bytes.TrimSpace(text)[0] != '{' {
		return parseYAML(text)
	}
	tree, err := parseJSON(text)
	if err == nil {
		return tree, nil
	}
	if _, syntax := errors.AsType[*syntaxError](err); syntax && len(text) <= maxFlow {
		if tree, flow := parseYAML(text); flow == nil { // YAML in braces
			return tree, nil
		}
	}
	return nil, err
}

// maxFlow bounds what is read a second time, as YAML, because it was no JSON.
const maxFlow = 1 << 20

// object takes the fields of one mapping and refuses a second word on the same.
type object struct {
	fields map[string]any
	snake  map[string]string // the key as written, by its name in the API
}

func newObject() *object {
	return &object{fields: map[string]any{}, snake: map[string]string{}}
}

func (o *object) put(key string, value any) error {
	if other, twice := o.snake[camelCase(key)]; twice {
		if other == key {
			return fmt.Errorf("%q is written twice", key)
		}
		return fmt.Errorf("%q and %q are the same field", other, key)
	}
	o.snake[camelCase(key)] = key
	o.fields[key] = value
	return nil
}

// place is where an offset is, from 1.
func place(text []byte, offset int64) (line, column int) {
	before := text[:min(max(offset, 0), int64(len(text)))]
	return bytes.Count(before, []byte("\n")) + 1, len(before) - bytes.LastIndexByte(before, '\n')
}
