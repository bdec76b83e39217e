package e2e_test

import (
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// plant is what is laid over the clean repository to break a law, or to come near it.
type plant struct {
	files  string // txtar
	linked map[string][]string
	where  string // the one place that must be reported; empty: no place may be
}

// module is what the planted repositories are called.
const module = "example.org/m"

// clean is a repository in which no law is broken although every law has something to look at.
const clean = `
-- go.mod --
module example.org/m
go 1.26.0
require (
	google.golang.org/grpc v1.85.0
	cel.dev/cel-go v0.33.2 // indirect
)
-- README.md --
See https://example.org/work/root/ and $HOME/work/x.
-- .github/x --
-- signals/a.go --
// Package signals is.
package signals
import ("net/netip"; "time")
var Age = time.Second
func f(at time.Time, time struct{ Now int }) netip.Addr { return netip.Addr{} }
-- signals/b.go --
package signals
-- signals/a_test.go --
package signals
import ("os"; "time")
var now = time.Now
-- signals/boltstore/a.go --
// Package boltstore is.
package boltstore
import ("go.etcd.io/bbolt"; "example.org/m/signals"; "time")
var now = time.Now
-- signals/source/acme/a.go --
// Package acme is.
package acme
import "example.org/m/signals"
-- signals/source/acme/a_test.go --
package acme
import "testing"
func FuzzAcme(f *testing.F) {}
-- signals/source/acme/testdata/one.json --
-- signals/source/acme/README.md --
Connect it.
-- authz/identity/a.go --
// Package identity is.
package identity
import "example.org/m/signals"
-- authz/respond.go --
// Package authz is.
package authz
import authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
func respond() *authv3.CheckResponse { return &authv3.CheckResponse{} }
-- authz/server.go --
package authz
import authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
func Check() (*authv3.CheckResponse, error) { return respond(), nil }
-- cmd/tiergate/main.go --
// Tiergate is.
package main
import ("go.uber.org/zap"; "example.org/m/authz")
-- e2e/a_test.go --
package e2e_test
import "github.com/redis/go-redis/v9"
func TestA(t *T) { list.Skip(1); t.Fatal("no envoy") }
-- e2e/tools/go.mod --
module example.org/m/e2e/tools
-- e2e/tools/x/main.go --
package internal
`

const (
	newVendor   = "signals/source/new"
	newFuzz     = "-- " + newVendor + "/a_test.go --\npackage new\nfunc FuzzX() {}\n"
	newReadme   = "-- " + newVendor + "/README.md --\nConnect it.\n"
	newDelivery = "-- " + newVendor + "/testdata/one.json --\n"
)

// plants are by law, several for each.
var plants = map[string][]plant{
	"pure packages do no I/O": {
		{where: "signals/a.go:3", files: first("signals/a.go", `import _ "net/url"`)},
		{where: "authz/policy/a.go:3", files: first("authz/policy/a.go", `import "os"`)},
		{where: "authz/identity/b.go:2", files: more("authz/identity/b.go", `import "math/rand/v2"`)},
		{where: "signals/b.go:2", files: more("signals/b.go", `import . "strings"`)},
		{where: "names/a.go:3", files: first("names/a.go", `import "google.golang.org/grpc/codes"`) +
			more("signals/b.go", `import "example.org/m/names"`)},
		{files: more("signals/b.go", `import ("netmask"; "osmosis")`)},
	},
	"pure packages read no clock": {
		{where: "signals/b.go:3", files: more("signals/b.go", `import "time"`, "var at = time.Now()")},
		{where: "signals/b.go:3", files: more("signals/b.go", `import clock "time"`, "var at = clock.Since")},
		{where: "authz/findings/a.go:4", files: first("authz/findings/a.go", `import "time"`, "var at = time.NewTimer(1)")},
		{files: more("signals/b.go", `import "time"`, "var a = time.Unix(0, 0)", "var b = x.Now()")},
	},
	"what pure packages link stays pure": {
		{where: "authz/policy", linked: map[string][]string{"authz/policy": {"strings", "google.golang.org/grpc/status"}}},
		{where: "signals", linked: map[string][]string{"signals": {"net/http"}}},
		{linked: map[string][]string{"signals": {"net", "os", "net/http2"}, "xds": {"net/http"}}},
	},
	"one door": {
		{where: "xds/a.go:3", files: first("xds/a.go", `import "github.com/redis/go-redis/v9"`)},
		{where: "authz/server.go:2", files: more("authz/server.go", `import "go.uber.org/zap/zapcore"`)},
		{where: "signals/b.go:2", files: more("signals/b.go", `import "cel.dev/cel-go/cel"`)},
		{where: "cmd/tiergate/b.go:2", files: more("cmd/tiergate/b.go", `import "go.yaml.in/yaml/v4"`)},
		{where: "authz/server.go:2", files: more("authz/server.go", `import "log/slog"`)},
		{where: "signals/boltstore/sub/a.go:3", files: first("signals/boltstore/sub/a.go", `import "go.etcd.io/bbolt"`)},
		{files: first("config/strictyaml/a.go", `import "go.yaml.in/yaml/v4"`)},
	},
	"one builder of answers": {
		{where: "authz/server.go:3", files: answering("var r = &authv3.CheckResponse{}")},
		{where: "authz/server.go:3", files: answering("var r = new(authv3.CheckResponse)")},
		{where: "authz/server.go:3", files: answering("var zero authv3.CheckResponse")},
		{where: "authz/server.go:3", files: answering("var many []authv3.DeniedHttpResponse")},
		{where: "authz/server.go:3", files: answering("var r = &authv3.CheckResponse_OkResponse{}")},
		{where: "authz/server.go:3", files: answering("type s struct { authv3.OkHttpResponse }")},
		{where: "cmd/tiergate/b.go:3",
			files: strings.ReplaceAll(answering("var r = authv3.CheckResponse{}"), "authz/server.go", "cmd/tiergate/b.go")},
		{where: "authz/server.go", files: more("authz/server.go", `import . "`+authPackage+`"`)},
		{files: answering("func pass(r *authv3.CheckResponse) []*authv3.OkHttpResponse { return nil }")},
		{files: strings.ReplaceAll(answering("var r = &authv3.CheckResponse{}"), "server.go", "server_test.go")},
	},
	"imports point down": {
		{where: "signals/b.go:2", files: more("signals/b.go", `import "example.org/m/authz/policy"`)},
		{where: "authz/identity/b.go:2", files: more("authz/identity/b.go", `import "example.org/m/authz"`)},
		{where: "config/a.go:3", files: first("config/a.go", `import "example.org/m/config/policyfile"`)},
		{where: "signals/source/acme/b.go:2",
			files: more("signals/source/acme/b.go", `import "example.org/m/signals/source/other"`)},
		{where: "signals/source/acme/b.go:2",
			files: more("signals/source/acme/b.go", `import "example.org/m/signals/ingest"`)},
		{where: "elsewhere", files: first("elsewhere/a.go")},
		{where: ".", files: "-- a.go --\n// Package m is.\npackage m\n"},
		{files: first("authz/policytest/a.go", `import "example.org/m/config/policyfile"`)},
	},
	"the product links no test code": {
		{where: "cmd/tiergate", linked: map[string][]string{"cmd/tiergate": {"example.org/m/cmd/tiergate-demo/devca"}}},
		{where: "cmd/tiergate", linked: map[string][]string{"cmd/tiergate": {"pgregory.net/rapid"}}},
		{linked: map[string][]string{"cmd/tiergate": {"example.org/m/authz", "testing"},
			"cmd/tiergate-demo": {"example.org/m/cmd/tiergate-demo/devca"}}},
	},
	"every vendor is complete": {
		{where: newVendor, files: first(newVendor+"/a.go") + newFuzz + newReadme},
		{where: newVendor, files: first(newVendor+"/a.go") + newDelivery + newReadme},
		{where: newVendor, files: first(newVendor+"/a.go") + newDelivery + newFuzz},
		{where: newVendor,
			files: first(newVendor+"/a.go") + newFuzz + newReadme + "-- " + newVendor + "/testdata/fuzz/x --\n"},
		{files: first("signals/source/mapping/a.go")},
	},
	"one package comment": {
		{where: "signals", files: "-- signals/b.go --\n// Package signals is twice.\npackage signals\n"},
		{where: "xds", files: more("xds/a.go")},
		{where: "xds", files: "-- xds/a.go --\n//go:build linux\npackage xds\n"},
	},
	"packages say what they are about": {
		{where: "authz/util", files: first("authz/util/a.go")},
		{where: "authz/internal/x", files: first("authz/internal/x/a.go")},
		{where: "xds", files: "-- xds/a.go --\n// Package types is.\npackage types\n"},
	},
	"short files": {
		{where: "signals/b.go", files: "-- signals/b.go --\npackage signals\n" + strings.Repeat("// x\n", maxLines)},
		{files: "-- signals/b.go --\npackage signals\n" + strings.Repeat("// x\n", maxLines-1)},
		{files: "-- signals/b.go --\n// Code generated by x. DO NOT EDIT.\npackage signals\n" +
			strings.Repeat("// x\n", maxLines)},
	},
	"nothing left over": {
		{where: "signals/b.go:2", files: more("signals/b.go", "// TO"+"DO: x")},
		{where: "docs/a.md:1", files: "-- docs/a.md --\nsee /ro" + "ot/x\n"},
		{where: "Makefile:2", files: "-- Makefile --\nall:\n\tcp /wo" + "rk/main/x .\n"},
		{files: more("signals/b.go", `var temp = "tgXXXXXX"`, `var url = "https://x.example/work/a"`)},
	},
	"floors of dependencies": {
		{where: "go.mod:3", files: modFile("google.golang.org/grpc v1.79.2")},
		{where: "go.mod:3", files: modFile("google.golang.org/grpc v1.80.0-dev")},
		{where: "go.mod:3", files: modFile("cel.dev/cel-go v0.9.9 // indirect")},
		{where: "go.mod:3", files: modFile("github.com/redis/go-redis/v9 v9.23.0-beta.1")},
		{where: "go.mod:3", files: modFile("go.yaml.in/yaml/v4 v4.0.0-rc.3")},
		{where: "go.mod:3", files: modFile("github.com/google/cel-go v0.31.0")},
		{where: "go.mod:3",
			files: "-- go.mod --\nmodule example.org/m\ngo 1.26.0\nreplace google.golang.org/grpc => ../grpc\n"},
		{files: modFile("google.golang.org/grpc v1.79.3")},
	},
	"no end-to-end test is skipped": {
		{where: "e2e/b_test.go:2", files: more("e2e/b_test.go", `func TestB(t *T) { t.Skip("no envoy") }`)},
		{where: "e2e/rig/b.go:4", files: first("e2e/rig/b.go", "", "func B(tb TB) { tb.SkipNow() }")},
		{where: "e2e/b_test.go:2", files: more("e2e/b_test.go", "var quick = testing.Short()")},
	},
	"the top level is fixed": {
		{where: "notes.md", files: "-- notes.md --\nx\n"},
		{where: "internal/a", files: "-- internal/a --\nx\n"},
	},
}

// first is the first file of a package, more is another one.
func first(path string, lines ...string) string {
	pkg := filepath.Base(filepath.Dir(path))
	return "-- " + path + " --\n// Package " + pkg + " is.\npackage " + pkg + "\n" + strings.Join(lines, "\n") + "\n"
}

func more(path string, lines ...string) string {
	return "-- " + path + " --\npackage " + filepath.Base(filepath.Dir(path)) + "\n" + strings.Join(lines, "\n") + "\n"
}

func answering(line string) string {
	return "-- authz/server.go --\npackage authz\nimport authv3 \"" + authPackage + "\"\n" + line + "\n"
}

func modFile(require string) string {
	return "-- go.mod --\nmodule example.org/m\ngo 1.26.0\nrequire " + require + "\n"
}

// TestLawsCanBeBroken plants each violation and wants exactly it to be found, by its law.
func TestLawsCanBeBroken(t *testing.T) {
	for _, l := range laws {
		broken := false
		for _, p := range plants[l.name] {
			broken = broken || p.where != ""
			found := l.check(planted(t, p))
			switch {
			case p.where == "" && len(found) > 0:
				t.Errorf("%s: found in what keeps it:\n%s\n%s", l.name, p.files, list(found))
			case p.where != "" && (len(found) != 1 || found[0].where != p.where):
				t.Errorf("%s: want one violation at %s of\n%s\n%v, found:\n%s", l.name, p.where, p.files, p.linked, list(found))
			}
		}
		if !broken {
			t.Errorf("no plant breaks the law %q, so it may be unable to fail", l.name)
		}
	}
	if len(plants) > len(laws) {
		t.Errorf("there are plants for %d laws, and %d laws", len(plants), len(laws))
	}
}

// TestLawsLetGood looks at a repository that keeps every law.
func TestLawsLetGood(t *testing.T) {
	for _, l := range laws {
		if found := l.check(planted(t, plant{})); len(found) > 0 {
			t.Errorf("%s: found in what keeps it:\n%s", l.name, list(found))
		}
	}
}

func planted(t *testing.T, p plant) tree {
	t.Helper()
	text := map[string]string{}
	for _, archive := range []string{clean, p.files} {
		for _, file := range txtar.Parse([]byte(archive)).Files {
			text[file.Name] = string(file.Data)
		}
	}
	laid, err := newTree(module, text)
	if err != nil {
		t.Fatalf("%v\n%s", err, p.files)
	}
	laid.linked = maps.Clone(p.linked)
	return laid
}
