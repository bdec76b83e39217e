package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// A law is a rule about the repository itself, with the reason for it. How each is checked stands in lawcheck_test.go,
// and lawproof_test.go shows for each that it can be broken, because a rule that cannot fail protects nothing.
type law struct {
	name   string
	reason string
	check  func(tree) []violation
}

var laws = []law{
	{"pure packages do no I/O", "a decision must replay: same values, same answer, years later", pureImports},
	{"pure packages read no clock", "a decision must replay: the instant is an argument", pureClocks},
	{"what pure packages link stays pure", "a library must not bring in what the imports keep out", pureDependencies},
	{"one door", "each library is spoken to in one place, so that one place is to be reviewed and replaced", doors},
	{"one builder of answers", "a zero CheckResponse is an ALLOW to Envoy, so only authz/respond.go makes one", answers},
	{"imports point down", "what decides must not know what carries, and config must not know what it configures", layers},
	{"the product links no test code", "the dev CA and fakes must not be within reach of a sidecar", product},
	{"every vendor is complete", "the twentieth vendor costs what the second did", vendors},
	{"one package comment", "go doc is the manual", packageComments},
	{"packages say what they are about", "a package named for what it is not attracts everything", packageNames},
	{"short files", "a file has one subject", fileLengths},
	{"nothing left over", "a path of one machine works on no other, and what is left undone is an issue, not a comment",
		leftovers},
	{"floors of dependencies", "older versions have known holes", floors},
	{"no end-to-end test is skipped", "what did not run proved nothing", skips},
	{"the top level is fixed", "a stranger finds the way by the tree", topLevel},
}

// pure are the packages whose results depend on their arguments alone.
var pure = []string{"signals", "signals/revocation", "authz/identity", "authz/policy", "authz/findings"}

// impure are the imports that pure packages may not have. A path stands for itself and what is below it.
var impure = []string{
	"net", "os", "io/ioutil", "path/filepath", "syscall", "unsafe", "log", "plugin", "database/sql", "embed", "testing",
	"math/rand", "crypto/rand", "runtime/debug",
	"google.golang.org/grpc", "github.com/envoyproxy", "github.com/redis", "go.etcd.io/bbolt", "go.uber.org/zap",
	"github.com/fsnotify", "github.com/google/uuid", "github.com/spiffe/go-spiffe/v2/workloadapi",
	"github.com/prometheus", "github.com/spf13",
}

// harmless are the exceptions to impure: values and nothing else.
var harmless = []string{"net/netip"}

// neverLinked may not even come in through a library. (net, os and rand do: crypto/x509 and cel-go link them.)
var neverLinked = []string{
	"net/http", "os/exec", "log", "plugin", "database/sql",
	"google.golang.org/grpc", "github.com/envoyproxy", "github.com/redis", "go.etcd.io/bbolt", "go.uber.org/zap",
	"github.com/fsnotify", "github.com/google/uuid",
}

// clocks are the names in package time that read, or wait for, the machine's clock.
var clocks = []string{"Now", "Since", "Until", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer", "Sleep"}

// door says which packages may import a library; a package ending in /... stands for itself and what is below it.
type door struct {
	library string
	open    []string
}

var oneDoorEach = []door{
	{"github.com/redis/go-redis", []string{"signals/redisstore"}},
	{"go.etcd.io/bbolt", []string{"signals/boltstore"}},
	{"go.uber.org/zap", []string{"cmd/..."}},
	{"log", []string{"cmd/..."}},
	{"github.com/prometheus", []string{"cmd/..."}},
	{"github.com/spf13/cobra", []string{"cmd/..."}},
	{"cel.dev/cel-go", []string{"authz/policy", "config/policyfile"}},
	{"go.yaml.in/yaml", []string{"config/...", "xds/dump"}}, // xds/dump reads what others wrote for Envoy
	{"github.com/spiffe/go-spiffe/v2/workloadapi", []string{"authz/svid", "cmd/tiergate-demo/...", "e2e/..."}},
	{"github.com/spiffe/go-spiffe/v2/proto", []string{"authz/svid", "cmd/tiergate-demo/...", "e2e/..."}},
}

// layer says what of ours a package may import. The first entry that fits counts, exact or ending in /* (one segment
// more) or in /... (the package and all below). A package without an entry has no place yet: give it one here.
type layer struct {
	pkg   string
	below []string
}

var (
	core        = []string{"signals", "authz/identity"}
	decision    = []string{"signals", "authz/identity", "authz/policy"}
	inwardOrder = []layer{
		{"signals", nil},
		{"signals/storetest", []string{"signals"}},
		{"signals/boltstore", []string{"signals"}},
		{"signals/redisstore", []string{"signals"}},
		{"signals/checkpoint", []string{"signals"}},
		{"signals/replica", []string{"signals", "signals/checkpoint"}},
		{"signals/source", []string{"signals"}},
		{"signals/sourcetest", []string{"signals", "signals/source"}},
		{"signals/source/mapping", []string{"signals", "signals/source"}},
		{"signals/source/*", []string{"signals", "signals/source", "signals/source/mapping"}},
		{"signals/revocation", []string{"signals"}},
		{"signals/follow", []string{"signals"}},
		{"signals/ssf", []string{"signals", "signals/revocation", "signals/source", "authz/jwks"}},
		{"signals/ingest", []string{"signals", "signals/source/...", "signals/revocation", "signals/ssf"}},
		{"authz/jwks", nil},
		{"authz/unary", nil},
		{"authz/svid", []string{"authz/jwks"}},
		{"authz/identity", []string{"signals"}},
		{"authz/token", append([]string{"authz/jwks"}, core...)},
		{"authz/policy", core},
		{"authz/policytest", append([]string{"config/strictyaml", "config/policyfile"}, decision...)},
		{"authz/policydiff", decision},
		{"authz/evidence", decision},
		{"authz/assertion", append([]string{"authz/assertion/verify"}, decision...)},
		{"authz/assertion/verify", []string{"authz/jwks"}}, // upstreams link it
		{"authz/leash", decision},
		{"authz/returnto", nil}, // login applications link it
		{"authz/approvals", decision},
		{"authz/inventory", decision},
		{"authz/findings", append([]string{"authz/approvals", "authz/inventory"}, decision...)},
		{"authz/findings/engine", append([]string{"authz/findings", "authz/approvals", "authz/inventory", "signals/follow", "signals/replica",
			"signals/checkpoint"}, decision...)},
		{"authz/findings/outlets", append([]string{"authz/findings", "authz/approvals", "authz/inventory"}, decision...)},
		{"authz/answers", append([]string{"config/strictyaml"}, decision...)},
		{"authz", append([]string{"authz/unary", "authz/answers", "authz/returnto", "authz/token", "authz/evidence", "authz/assertion",
			"authz/leash", "authz/approvals",
			"authz/inventory", "signals/replica", "signals/revocation"}, decision...)},
		{"xds", decision},
		{"xds/dump", []string{"xds"}},
		{"xds/lint", []string{"xds", "xds/dump"}},
		{"xds/reach", []string{"xds", "xds/dump"}},
		{"xds/prove", append([]string{"xds", "xds/dump", "xds/reach", "authz/policytest"}, decision...)}, // it shows cases
		{"xds/drift", []string{"xds", "xds/dump", "xds/lint"}},
		{"config", []string{"config/strictyaml"}},
		{"config/strictyaml", nil},
		{"config/linkfile", []string{"config/strictyaml", "signals"}},
		{"config/policyfile", append([]string{"config/strictyaml"}, decision...)},
		{"cmd/...", []string{"signals/...", "authz/...", "xds/...", "config/...", "cmd/..."}},
		{"e2e/...", []string{"signals/...", "authz/...", "xds/...", "config/...", "cmd/...", "e2e/..."}},
	}
)

// notInProduct may not be linked into cmd/tiergate, by whatever way. (Package testing itself comes with
// go-control-plane's logger.)
var notInProduct = []string{"cmd/tiergate-demo", "e2e", "signals/storetest", "signals/sourcetest", "testing/synctest", "net/http/httptest",
	"pgregory.net/rapid", "github.com/rogpeppe/go-internal", "github.com/google/go-cmp", "go.uber.org/goleak", "github.com/santhosh-tekuri/jsonschema"}

// answerTypes are what Envoy is told. Pointers to them may be passed on anywhere; values are made in one file.
var (
	authPackage = "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	answerTypes = []string{"CheckResponse", "DeniedHttpResponse", "OkHttpResponse",
		"CheckResponse_DeniedResponse", "CheckResponse_OkResponse", "CheckResponse_ErrorResponse"}
	answerFile = "authz/respond.go"
)

var emptyNames = []string{"internal", "util", "utils", "common", "helper", "helpers", "type", "types", "model",
	"models", "misc", "base", "shared", "lib", "pkg"}

const maxLines = 400

// topLevelNames is all there is at the top, but for dot files.
var topLevelNames = []string{"authz", "cmd", "config", "e2e", "examples", "signals", "xds",
	"CHANGELOG.md", "LICENSE", "Makefile", "README.md", "go.mod", "go.sum"}

// floor is the lowest version of a module that may be depended on, and why. A pre-release is below every floor.
type floor struct {
	module, version, reason string
}

var versionFloors = []floor{
	{"google.golang.org/grpc", "v1.79.3", "CVE-2026-33186: a :path without the leading slash passed path rules"},
	{"cel.dev/cel-go", "v0.30.0", "GHSA-gcjh-h69q-9w9g"},
	{"github.com/redis/go-redis/v9", "v9.0.0", "9.23.0-beta.1 lost most invalidations under load, by its own notes"},
	{"go.yaml.in/yaml/v4", "v4.0.0", "stable releases only; the strict reader stands on it"},
}

// outgrown are modules that must not be required, not even indirectly, with what took their place.
var outgrown = map[string]string{
	"github.com/google/cel-go":     "cel.dev/cel-go",
	"gopkg.in/square/go-jose.v2":   "github.com/go-jose/go-jose/v4",
	"github.com/golang/protobuf":   "google.golang.org/protobuf",
	"github.com/golang-jwt/jwt/v5": "github.com/go-jose/go-jose/v4",
	"github.com/pkg/errors":        "errors",
	"github.com/stretchr/testify":  "testing and github.com/google/go-cmp",
}

// TestLaws holds the repository to its laws.
func TestLaws(t *testing.T) {
	here := checkout(t)
	for _, l := range laws {
		t.Run(strings.ReplaceAll(l.name, " ", "-"), func(t *testing.T) {
			if found := l.check(here); len(found) > 0 {
				t.Errorf("%s: %s\n%s", l.name, l.reason, list(found))
			}
		})
	}
}

// violation is one place where a law is broken.
type violation struct {
	where string // a path, with a line where there is one
	what  string
}

func list(found []violation) string {
	lines := make([]string, 0, len(found))
	for _, v := range found {
		lines = append(lines, fmt.Sprintf("  %s: %s", v.where, v.what))
	}
	slices.Sort(lines)
	return strings.Join(slices.Compact(lines), "\n")
}
