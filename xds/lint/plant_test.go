package lint

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/tiergate/tiergate/xds/dump"
)

// plant is a file of testdata: what makes of clean.yaml a configuration with exactly one finding.
type plant struct {
	name, code string
	Where      string `yaml:"where"` // of the finding; default: the place of the first edit
	Plant      []edit `yaml:"plant"`
}

type edit struct {
	At     string `yaml:"at"`
	To     any    `yaml:"to"`
	Remove bool   `yaml:"remove"`
}

// short names for places in clean.yaml.
var shortNames = strings.NewReplacer(
	"$listeners", "static_resources.listeners", "$clusters", "static_resources.clusters",
	"$hcm", "static_resources.listeners[0].filter_chains[0].filters[0].typed_config",
	"$authz", "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.http_filters[0].typed_config",
	"$tls", "static_resources.listeners[0].filter_chains[0].transport_socket.typed_config")

func (p plant) where() string {
	if p.Where != "" {
		return shortNames.Replace(p.Where)
	}
	return shortNames.Replace(p.Plant[0].At)
}

func plants(t *testing.T) []plant {
	t.Helper()
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	var out []plant
	for _, file := range files {
		p := plant{name: strings.TrimSuffix(filepath.Base(file), ".yaml")}
		if p.name == "clean" {
			continue
		}
		p.code, _, _ = strings.Cut(p.name, ".")
		if err := yaml.Unmarshal(readFile(t, file), &p); err != nil || len(p.Plant) == 0 {
			t.Fatalf("%s: %v", file, err)
		}
		out = append(out, p)
	}
	return out
}

func readFile(t *testing.T, file string) []byte {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// written is clean.yaml with the edits, as JSON; "$bare:yes" becomes a bare yes, which makes YAML of it.
func (p plant) written(t *testing.T) []byte {
	t.Helper()
	var tree any
	if err := yaml.Unmarshal(readFile(t, "testdata/clean.yaml"), &tree); err != nil {
		t.Fatal(err)
	}
	for _, e := range p.Plant {
		to := e.To
		if text, ok := to.(string); ok {
			to = copied(t, tree, text)
		}
		if fields, ok := to.(map[string]any); ok {
			for k, v := range fields {
				if text, ok := v.(string); ok {
					fields[k] = copied(t, tree, text)
				}
			}
		}
		tree = applied(t, tree, steps(shortNames.Replace(e.At)), to, e.Remove)
	}
	raw, err := json.MarshalIndent(tree, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return []byte(strings.ReplaceAll(string(raw), `"$bare:yes"`, "yes"))
}

// copied is what stands at a place, for "$copy:PLACE", and any other text itself.
func copied(t *testing.T, tree any, text string) any {
	t.Helper()
	from, ok := strings.CutPrefix(text, "$copy:")
	if !ok {
		return text
	}
	for _, s := range steps(shortNames.Replace(from)) {
		if i, err := strconv.Atoi(s); err == nil {
			tree = tree.([]any)[i]
		} else {
			tree = tree.(map[string]any)[s]
		}
	}
	raw, err := json.Marshal(tree)
	if err != nil || tree == nil {
		t.Fatal(text, err)
	}
	var again any
	if err := json.Unmarshal(raw, &again); err != nil {
		t.Fatal(err)
	}
	return again
}

// steps splits a path: fields, and entries as their number, "+" for a new last one, "<N" for a new one before N.
func steps(path string) []string {
	var out []string
	for part := range strings.SplitSeq(strings.ReplaceAll(path, "[", ".["), ".") {
		out = append(out, strings.Trim(part, "[]"))
	}
	return out
}

func applied(t *testing.T, tree any, path []string, to any, remove bool) any {
	t.Helper()
	first, last := path[0], len(path) == 1
	if list, ok := tree.([]any); ok {
		if first == "+" {
			return append(list, to)
		}
		before, insert := strings.CutPrefix(first, "<")
		i, err := strconv.Atoi(before)
		switch {
		case err != nil || i >= len(list):
			t.Fatalf("no entry %s", first)
		case insert:
			return slices.Insert(list, i, to)
		case last && remove:
			return slices.Delete(list, i, i+1)
		case last:
			list[i] = to
		default:
			list[i] = applied(t, list[i], path[1:], to, remove)
		}
		return list
	}
	object, _ := tree.(map[string]any)
	if object == nil {
		object = map[string]any{}
	}
	switch {
	case last && remove:
		if _, there := object[first]; !there {
			t.Fatalf("%s is not there to be removed", first)
		}
		delete(object, first)
	case last:
		object[first] = to
	default:
		object[first] = applied(t, object[first], path[1:], to, remove)
	}
	return object
}

func checked(t *testing.T, raw []byte, origin string) []Finding {
	t.Helper()
	config, err := dump.Read(raw, origin)
	if err != nil {
		t.Fatal(err)
	}
	return Check(config)
}

func list(found []Finding) string {
	var out strings.Builder
	for _, f := range found {
		fmt.Fprintf(&out, "  %s %s\n    at %s\n    %s\n    %s\n", f.Severity, f.Code, f.Where, f.What, f.Fix)
	}
	return out.String()
}

// TestPlanted: each planted fault is found, at its field, and nothing else; without it there is nothing.
func TestPlanted(t *testing.T) {
	t.Parallel()
	if found := checked(t, readFile(t, "testdata/clean.yaml"), "clean.yaml"); len(found) > 0 {
		t.Fatalf("clean.yaml:\n%s", list(found))
	}
	for _, p := range plants(t) {
		found := checked(t, p.written(t), p.name)
		if len(found) != 1 || found[0].Code != p.code || found[0].Where != p.where() {
			t.Errorf("%s: wanted one at %s, found\n%s", p.name, p.where(), list(found))
		}
	}
}

// TestEveryCodeIsPlanted: every rule has its own plant and its line in README.md; every finding says all that it should.
func TestEveryCodeIsPlanted(t *testing.T) {
	t.Parallel()
	planted := map[string]bool{}
	for _, p := range plants(t) {
		planted[p.code] = true
		for _, f := range checked(t, p.written(t), p.name) {
			if f.What == "" || f.Fix == "" || f.Source == "" || !f.Severity.Known() || f.Where == "" {
				t.Errorf("%s: %+v", p.name, f)
			}
		}
	}
	readme := string(readFile(t, "README.md"))
	seen := map[string]bool{}
	for _, c := range Codes() {
		if !planted[c.Code] {
			t.Errorf("%s has no testdata/%s.yaml", c.Code, c.Code)
		}
		if seen[c.Code] {
			t.Errorf("%s stands twice", c.Code)
		}
		seen[c.Code] = true
		if !strings.Contains(readme, fmt.Sprintf("| `%s` | %s |", c.Code, c.Severity)) {
			t.Errorf("README.md has no line for %s, %s", c.Code, c.Severity)
		}
	}
	for code := range planted {
		if !seen[code] {
			t.Errorf("testdata/%s.yaml is about no rule", code)
		}
	}
	if n := strings.Count(readme, "\n| `"); n != len(seen) {
		t.Errorf("README.md lists %d rules of %d", n, len(seen))
	}
}
