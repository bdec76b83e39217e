package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/inventory"
	"github.com/tiergate/tiergate/signals"
)

// TestImportsReplace what their system had said: new, changed and gone, signed or not, and the verbs tell it.
func TestImportsReplace(t *testing.T) {
	t.Parallel()
	h := newShelf(t)
	h.observe(3)
	h.put(inventory.EntryKind, "directory forged", []byte("x")) // by somebody else
	one := h.write("a.csv", "id,type,owner\nsvc-a,key,iam\nsvc-b,key,\nforged,key,\n")
	if said := h.say(0, "import", "--system", "directory", one); said != "directory (tiergate): 3 identities, 3 new, 0 changed, 0 gone\n" {
		t.Error(said)
	}
	if said := h.say(0, "import", "--system", "directory", one); said != "directory (tiergate): 3 identities, 0 new, 0 changed, 0 gone\n" {
		t.Error(said)
	}
	two := h.write("b.csv", "id,type,owner\nsvc-a,key,ops\nsvc-c,key,\nforged,key,\n")
	if said := h.say(0, "import", "--system", "directory", two); said != "directory (tiergate): 3 identities, 1 new, 1 changed, 1 gone\n" {
		t.Error(said)
	}
	if said := h.say(0, "list", "--state", "gone"); !strings.Contains(said, "directory/svc-b") || strings.Contains(said, "svc-a") {
		t.Error(said)
	}
	if said := h.say(0, "import", "--system", "directory", one); !strings.Contains(said, "1 new, 1 changed, 1 gone") { // svc-b is back
		t.Error(said)
	}
	mapping := h.write("m.yaml", "id: {columns: [Name]}\ntype: {value: pipeline}\n")
	if said := h.say(0, "import", "--system", "ci-cd", h.write("c.csv", "Name\nbuild-farm\n"),
		"--mapping", mapping, "-o", "json"); !strings.Contains(said, `"added": 1`) {
		t.Error(said)
	}
	if said := h.say(0, "list", "--system", "directory", "--type", "key", "--owner", "none"); strings.Count(said, "\n") != 4 {
		t.Error(said)
	}
	for name, want := range map[string]string{"build-farm": "artifacts  builders    42", "spiffe://acme.example/ci/build": "ci-cd/build-farm",
		" build-farm":     "credentials at most  12h0m0s old",
		"directory/svc-a": "nobody by the policy; iam by where it is recorded"} {
		if said := h.say(0, "show", strings.TrimSpace(name)); !strings.Contains(said, want) {
			t.Errorf("%s: %s", name, said)
		}
	}
	if said := h.say(1, "show", "nobody"); !strings.Contains(said, `there is no identity "nobody"`) {
		t.Error(said)
	}
	if said := h.say(1, "unused"); !strings.Contains(said, "build-farm") || !strings.Contains(said, "release") {
		t.Error(said)
	}
	if said := h.say(0, "unused", "--owner", "nobody"); said != "every identity uses what it may reach\n" {
		t.Error(said)
	}
	for file, want := range map[string]string{h.write("bad.csv", "id,type\nx,robot\n"): "nothing is imported:\nrow 2, type:",
		filepath.Join(h.dir, "none"): "no such file"} {
		if said := h.say(1, "import", "--system", "directory", file); !strings.Contains(said, want) {
			t.Errorf("%s: %s", file, said)
		}
	}
	secret := h.write("m2.yaml", "id: {columns: [token]}\ntype: {value: key}\n")
	if said := h.say(1, "import", "--system", "ci-cd", one, "--mapping", secret); !strings.Contains(said, "holds key material") {
		t.Error(said)
	}
	// What does not come from the verb is checked too.
	for body, want := range map[string]string{`{"system": "directory", "entries": [{"system": "spire", "id": "a", "type": "key"}]}`: "of another system",
		`{"system": "spire", "entries": [{"system": "spire", "id": "a", "type": "x"}]}`: `identity "a": type:`, `{"x": 1}`: "unknown field"} {
		err := askAdmin(t.Context(), filepath.Join(h.dir, "run", "admin.sock"), http.MethodPost, "/v1/identities/import", json.RawMessage(body), &struct{}{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// TestPartsStayApart: what one cloud or cluster lists says nothing of another, and nothing is taken for gone by mistake.
func TestPartsStayApart(t *testing.T) {
	t.Parallel()
	h := newShelf(t)
	const exports = "../../authz/inventory/testdata/imports/"
	if said := h.say(0, "import", "--system", "cloud-iam", exports+"cloud-iam-aws.csv"); !strings.Contains(said, "1 new") {
		t.Error(said)
	}
	gcp := []string{"import", "--system", "cloud-iam", exports + "cloud-iam-gcp.json"}
	if said := h.say(1, gcp...); !strings.Contains(said, "what was imported of cloud-iam before was AWS credential report, and this is GCP service accounts; "+
		"1 identities would count as gone") {
		t.Error(said)
	}
	if said := h.say(0, "list", "-o", "json"); !strings.Contains(said, "user/backup") || strings.Contains(said, "export@acme") {
		t.Error(said)
	}
	if said := h.say(0, append(gcp, "--part", "gcp-prod")...); !strings.Contains(said, "cloud-iam@gcp-prod (GCP service accounts): 1 identities, 1 new, 0 changed, 0 gone") {
		t.Error(said)
	}
	for _, cluster := range []string{"eu", "us"} {
		if said := h.say(0, "import", "--system", "kubernetes", "--part", cluster, exports+"kubernetes.json"); !strings.Contains(said, "2 new, 0 changed, 0 gone") {
			t.Error(said)
		}
	}
	fewer := h.write("us.json", `{"kind": "List", "items": []}`)
	if said := h.say(0, "import", "--system", "kubernetes", "--part", "us", fewer); !strings.Contains(said, "0 new, 0 changed, 2 gone") {
		t.Error(said)
	}
	for system, lines := range map[string]int{"cloud-iam": 3, "cloud-iam@gcp-prod": 2, "kubernetes@eu": 3, "kubernetes@us": 1} {
		if said := h.say(0, "list", "--system", system); strings.Count(said, "\n") != lines {
			t.Errorf("%s: %s", system, said)
		}
	}
	if said := h.say(0, "show", "kubernetes@eu/ci/old-builder"); !strings.Contains(said, "never expires") {
		t.Error(said)
	}
	if said := h.say(0, "show", "kubernetes@us/ci/old-builder"); !strings.Contains(said, "gone") {
		t.Error(said)
	}
	if said := h.say(0, append(gcp, "--replace")...); !strings.Contains(said, "1 new, 0 changed, 1 gone") {
		t.Error(said)
	}
	err := askAdmin(t.Context(), filepath.Join(h.dir, "run", "admin.sock"), http.MethodPost, "/v1/identities/import",
		json.RawMessage(`{"system": "spire", "part": "a b", "entries": []}`), &struct{}{})
	if err == nil || !strings.Contains(err.Error(), `part: "a b": write`) {
		t.Error(err)
	}
}

// TestAHundredThousandAreImported within the time that an admin socket gives.
func TestAHundredThousandAreImported(t *testing.T) {
	if testing.Short() {
		return
	}
	t.Parallel()
	h := newShelf(t)
	var text strings.Builder
	text.WriteString("id,type\n")
	for i := range 20_000 {
		fmt.Fprintf(&text, "svc-%d,key\n", i)
	}
	start := time.Now()
	h.say(0, "import", "--system", "directory", h.write("many.csv", text.String()))
	t.Logf("20,000 in %v", time.Since(start))
	if said := h.say(0, "list", "-o", "json"); strings.Count(said, `"name": "directory/svc-`) != 20_000 {
		t.Errorf("%d bytes of a list", len(said))
	}
}

// TestForgedImportsSayNothing: in a shared store an imported identity that no receiver signed is not believed, and is told.
func TestForgedImportsSayNothing(t *testing.T) {
	t.Parallel()
	h := newShelf(t)
	sealer := someSealer(t)
	book := &identityBook{raw: h.store, signed: signals.Sealed(h.store, sealer, sealer.Checker()), now: time.Now}
	forged := inventory.Entry{System: "spire", ID: "x", Type: "workload", Owner: "evil"}
	h.put(inventory.EntryKind, forged.Key(), forged.JSON())
	seen, err := book.read(t.Context())
	if err != nil || len(seen.Entries) != 0 || len(seen.Unread) != 1 {
		t.Fatalf("%+v, %v", seen, err)
	}
	forged.Owner = "iam"
	if _, err := book.take(t.Context(), &identityOrder{System: "spire", Entries: []inventory.Entry{forged}}, "ana"); err != nil {
		t.Fatal(err)
	}
	if seen, err = book.read(t.Context()); err != nil || len(seen.Entries) != 1 || seen.Entries[0].Owner != "iam" {
		t.Errorf("%+v, %v", seen, err)
	}
	away := &identityBook{raw: awayRecords{h.store}, signed: awayRecords{h.store}, now: time.Now}
	if _, err := away.read(t.Context()); err == nil {
		t.Error("a store that is away lists nothing without an error")
	}
	if _, err := away.take(t.Context(), &identityOrder{System: "spire"}, "ana"); err == nil {
		t.Error("a store that is away takes an import")
	}
}

type awayRecords struct{ signals.Records }

func (awayRecords) EachRecord(context.Context, string, func(signals.Record) error) (signals.Cursor, error) {
	return "", errors.New("it is away")
}

func someSealer(t *testing.T) *signals.Sealer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := signals.NewSealer(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))
	if err != nil {
		t.Fatal(err)
	}
	return sealer
}
