package policyfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// asEditorsRead gives the documents of a file as the values that an editor checks against a schema: YAML 1.2 (core
// schema), in which a date is text, and a number is a number however it is written. Documents without content are left
// out.
func asEditorsRead(t testing.TB, text []byte) []any {
	t.Helper()
	loader, err := yaml.NewLoader(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var values []any
	for {
		var root yaml.Node
		if err := loader.Load(&root); errors.Is(err, io.EOF) {
			return values
		} else if err != nil {
			t.Fatal(err)
		}
		if len(root.Content) == 0 || root.Content[0].Tag == "!!null" && root.Content[0].Value == "" {
			continue
		}
		values = append(values, asJSON(root.Content[0]))
	}
}

func asJSON(n *yaml.Node) any {
	switch n.Kind {
	case yaml.AliasNode:
		return asJSON(n.Alias)
	case yaml.SequenceNode:
		list := []any{}
		for _, item := range n.Content {
			list = append(list, asJSON(item))
		}
		return list
	case yaml.MappingNode:
		mapping := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			mapping[n.Content[i].Value] = asJSON(n.Content[i+1])
		}
		return mapping
	}
	switch n.Tag {
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!int", "!!float":
		if whole, ok := new(big.Int).SetString(n.Value, 10); ok {
			return json.Number(whole.String())
		}
		if whole, ok := new(big.Int).SetString(n.Value, 0); ok {
			return json.Number(whole.String())
		}
		number, _ := strconv.ParseFloat(n.Value, 64)
		return number
	}
	return n.Value
}
