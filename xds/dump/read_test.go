package dump

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

func read(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Read([]byte(text), "test")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func file(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// outline says all that a Config relates, a line each.
func outline(c *Config) string {
	var out strings.Builder
	for _, l := range c.Listeners {
		fmt.Fprintln(&out, "listener", l.Name, l.Addresses, "warming", l.Warming, l.Value.Path())
		for _, f := range l.Filters {
			fmt.Fprintln(&out, " filter", f.Name, f.Clusters)
		}
		for _, chain := range l.Chains {
			fmt.Fprintln(&out, " chain", chain.Name, chain.TLS.Type(), chain.Match.Get("server_names").Has())
			for _, f := range chain.Others {
				fmt.Fprintln(&out, "  network", f.Name, f.Clusters)
			}
			for _, h := range chain.HTTP {
				fmt.Fprintln(&out, "  http", h.Table, len(h.Inline), "scoped", h.Scoped)
				for _, f := range h.Filters {
					fmt.Fprintln(&out, "   filter", f.Name, f.Config.Type(), "remote", f.Remote, f.Config.Path())
				}
				for _, table := range c.TablesOf(h) {
					outlineTable(&out, table)
				}
			}
		}
	}
	for _, cluster := range c.Clusters {
		fmt.Fprintln(&out, "cluster", cluster.Name, cluster.Type, cluster.Endpoints, cluster.TLS.Type(), cluster.Value.Path())
	}
	for _, s := range c.Secrets {
		fmt.Fprintln(&out, "secret", s.Name)
	}
	return out.String()
}

func outlineTable(out *strings.Builder, table RouteTable) {
	fmt.Fprintln(out, "   table", table.Name, table.Value.Path())
	for _, host := range table.Hosts {
		for _, r := range host.Routes {
			fmt.Fprintln(out, "    ", host.Name, host.Domains, r.Name, r.Clusters, "open", r.Open, "direct", r.Direct, "redirect",
				r.Redirect, "leads", r.Leads())
		}
	}
}

// TestShapes: each way of saying it is read as testdata/NAME.txt says.
func TestShapes(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"bootstrap.yaml", "config_dump.json", "resources.json", "parts.json"} {
		want := file(t, strings.TrimSuffix(strings.TrimSuffix(name, ".yaml"), ".json")+".txt")
		if got := outline(read(t, file(t, name))); got != want {
			t.Errorf("%s reads as\n%s\nwanted\n%s", name, got, want)
		}
	}
}

// TestFaults: what cannot be read, or has two readings, says where.
func TestFaults(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                  "it is empty",
		"# nothing":                         "there is nothing in it",
		"- a":                               "it is no mapping",
		"text":                              "it is no mapping",
		"a: 1":                              "neither a bootstrap",
		`{"configs": []}`:                   "neither a bootstrap",
		"admin: {}\n---\nadmin: {}":         "a second document",
		"admin: [":                          "line 2, column 1: no valid YAML",
		"admin: {a: 1, a: 2}":               `line 1, column 15: "a" is written twice`,
		"admin:\n  a_b: 1\n  aB: 2":         `line 3, column 3: "a_b" and "aB" are the same field`,
		`{"admin": {"a_b": 1, "aB": 2}}`:    `"a_b" and "aB" are the same field`,
		"{\n\"admin\": {}\n\"node\": {}}":   "line 3, column 1",
		`{"admin": {}} {"admin": {}}`:       "something follows",
		`{"admin": {}`:                      "unexpected EOF",
		"admin: {<<: {a: 1}}":               "a key that is no name",
		"admin: {[a]: 1}":                   "a key that is no name",
		strings.Repeat("[", 300):            "200",
		`{"a":` + strings.Repeat("[", 1000): "nested deeper",
	} {
		_, err := Read([]byte(text), "origin")
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "origin: ") {
			t.Errorf("%.40q: %v, wanted %q", text, err, want)
		}
	}
	if _, err := Read(make([]byte, MaxBytes+1), "origin"); err == nil || !strings.Contains(err.Error(), "more than 64 MiB") {
		t.Error(err)
	}
}

// TestAliasesAreBounded: a few lines that stand for a billion values are refused, soon.
func TestAliasesAreBounded(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	text.WriteString("admin: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := range 9 {
		fmt.Fprintf(&text, "f%d: &a%d [%s]\n", i, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10), ", "))
	}
	began := time.Now()
	if _, err := Read([]byte(text.String()), "x"); err == nil || !strings.Contains(err.Error(), "more than 1048576 values") {
		t.Error(err)
	}
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("it took %v", took)
	}
}

// TestValues: how single values are read.
func TestValues(t *testing.T) {
	t.Parallel()
	v := read(t, `
node: {}
admin:
  plain: true
  yes: yes
  quoted: "true"
  wrapped: {value: true}
  no: off
  text: hello
  number: 12
  longText: "1024"
  enum: 2
  gone: null
  time: 0.25s
  "no time": 12
  huge: 99999999999999999999s
  "a.b": {c: 1}
  typed:
    typed_config: {"@type": type.googleapis.com/xds.type.v3.TypedStruct, type_url: a/b.v3.C, value: {x: 1}}
`).Bootstrap.Get("admin")
	for field, want := range map[string]bool{"plain": true, "yes": true, "quoted": true, "wrapped": true, "no": false,
		"text": false, "nowhere": false} {
		if v.Get(field).Bool() != want {
			t.Errorf("%s is not %v", field, want)
		}
	}
	if d, ok := v.Get("time").Duration(); !ok || d != 250*time.Millisecond {
		t.Error(d, ok)
	}
	for _, field := range []string{"no time", "huge", "nowhere", "text"} {
		if d, ok := v.Get(field).Duration(); ok {
			t.Errorf("%s is %v", field, d)
		}
	}
	if n, ok := v.Get("long_text").Number(); !ok || n != 1024 || v.Get("long_text").Path() != "admin.longText" {
		t.Error(n, ok, v.Get("long_text").Path())
	}
	if _, ok := v.Get("plain").Number(); ok {
		t.Error("true is no number")
	}
	if got := v.Get("enum").Enum("A", "B", "C"); got != "C" {
		t.Error(got)
	}
	if v.Get("enum").Enum("A") != "2" || v.Get("text").Enum("A") != "hello" || v.Get("gone").Has() {
		t.Error("what has no name stays as it is; null is nothing")
	}
	if path := v.Get("a.b", "c").Path(); path != `admin["a.b"].c` {
		t.Error(path)
	}
	if c := v.Get("typed").Config(); !c.Is("v3.C", "other") || c.Is("C2") || c.Get("x").Path() != "admin.typed.typed_config.value.x" {
		t.Error(c.Type(), c.Get("x").Path())
	}
}

// FuzzRead: whatever the text, reading ends, with a Config or an error, and nothing in it leads anywhere wrong.
func FuzzRead(f *testing.F) {
	for _, name := range []string{"bootstrap.yaml", "config_dump.json", "resources.json", "parts.json"} {
		raw, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte("admin: &a [*a]"))
	f.Add([]byte(`{"configs":[{"@type":"x/ListenersConfigDump","dynamic_listeners":{"a":1}}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := Read(raw, "fuzz")
		if (c == nil) == (err == nil) {
			t.Fatal(c, err)
		}
		if err == nil {
			_ = outline(c)
			for v := range c.Bootstrap.All() {
				_, _ = v.Duration()
				_, _ = v.Number()
				_ = v.Config()
			}
		}
	})
}
