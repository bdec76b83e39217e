package dump

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v4" //nolint:depguard // the law in e2e/laws_test.go opens this door: what others wrote for Envoy is read here
)

// parseYAML is more lenient than config/strictyaml, because it reads what others wrote for Envoy: only what has two
// readings is refused.
func parseYAML(text []byte) (any, error) {
	loader, err := yaml.NewLoader(bytes.NewReader(text), yaml.WithPlugin(depthLimit{}))
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	var document, more yaml.Node
	if err := loader.Load(&document); err != nil {
		return nil, yamlFault(err)
	}
	switch err := loader.Load(&more); {
	case err == nil:
		return nil, fmt.Errorf("line %d: a second document; give one", more.Line)
	case !errors.Is(err, io.EOF):
		return nil, yamlFault(err)
	}
	return (&yamlReader{}).value(&document, 0)
}

type depthLimit struct{}

func (depthLimit) CheckDepth(depth int, _ *yaml.DepthContext) error {
	if depth > maxDepth {
		return fmt.Errorf("nested deeper than %d", maxDepth)
	}
	return nil
}

// CheckAlias is for decoding into Go values; yamlReader counts what aliases add.
func (depthLimit) CheckAlias(int, int) error { return nil }

func yamlFault(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("there is nothing in it; give a bootstrap or what /config_dump answers")
	}
	if load, ok := errors.AsType[*yaml.LoadError](err); ok {
		return fmt.Errorf("line %d, column %d: no valid YAML: %s", load.Mark.Line, load.Mark.Column, load.Message)
	}
	return fmt.Errorf("no valid YAML: %w", err)
}

type yamlReader struct{ nodes int }

func (r *yamlReader) value(n *yaml.Node, depth int) (any, error) {
	if r.nodes++; r.nodes > maxYAML || depth > maxDepth {
		return nil, fmt.Errorf("line %d: nested deeper than %d or more than %d values", n.Line, maxDepth, maxYAML)
	}
	switch n.Kind {
	case yaml.DocumentNode:
		if len(n.Content) == 1 {
			return r.value(n.Content[0], depth)
		}
	case yaml.AliasNode:
		return r.value(n.Alias, depth+1)
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for _, c := range n.Content {
			item, err := r.value(c, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, item)
		}
		return list, nil
	case yaml.MappingNode:
		return r.mapping(n, depth)
	case yaml.ScalarNode:
		return scalar(n), nil
	}
	return nil, fmt.Errorf("line %d: nothing that can be read", n.Line)
}

func (r *yamlReader) mapping(n *yaml.Node, depth int) (any, error) {
	o := newObject()
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode || key.Value == "<<" {
			return nil, fmt.Errorf("line %d, column %d: a key that is no name; Envoy reads neither merge keys nor others",
				key.Line, key.Column)
		}
		value, err := r.value(n.Content[i+1], depth+1)
		if err != nil {
			return nil, err
		}
		if err := o.put(key.Value, value); err != nil {
			return nil, fmt.Errorf("line %d, column %d: %w", key.Line, key.Column, err)
		}
	}
	return o.fields, nil
}

func scalar(n *yaml.Node) any {
	switch n.Tag {
	case "!!null":
		return nil
	case "!!bool":
		if strings.EqualFold(n.Value, "true") || strings.EqualFold(n.Value, "false") {
			return strings.EqualFold(n.Value, "true")
		}
	case "!!int", "!!float":
		return json.Number(n.Value)
	}
	return n.Value
}
