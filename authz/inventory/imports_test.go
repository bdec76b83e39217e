package inventory_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/authz/inventory"
)

var update = flag.Bool("update", false, "write the goldens")

// systemOf is the system that a file of testdata/imports is of.
func systemOf(file string) string {
	for _, s := range inventory.Systems {
		if strings.HasPrefix(filepath.Base(file), s) {
			return s
		}
	}
	return ""
}

// TestImports reads a file of each format, in the shape that the system's own tool documents. What is read stands beside it.
func TestImports(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/imports/*")
	if err != nil || len(files) < 11 {
		t.Fatal(len(files), err)
	}
	formats := map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, ".golden") {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		listing, err := inventory.Read(systemOf(file), data, "acme.example")
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		formats[listing.Format] = true
		got, err := json.MarshalIndent(listing, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.WriteFile(file+".golden", append(got, '\n'), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file + ".golden")
		if err != nil || string(want) != string(got)+"\n" {
			t.Errorf("%s: %v\n%s", file, err, got)
		}
	}
	if len(formats) != 11 {
		t.Errorf("formats: %v", formats)
	}
}

// TestImportsAreStrict: each fault is told with its row and column, and nothing is imported.
func TestImportsAreStrict(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ system, data, want string }{
		{"mdm", `[]`, `system "mdm" is none of`},
		{"spire", ``, "the file is empty"},
		{"spire", `{"x": 1}`, "this is no listing of spire that is known"},
		{"spire", `{"entries": [{"id": "1", "spiffe_id": {"trust_domain": "ACME", "path": "/x"}}]}`, "row 1, spiffe_id: the trust domain has 'A'"},
		{"spire", `{"entries": [{"id": "1", "spiffe_id": {"trust_domain": "a", "path": "/x"}, "created_at": "yesterday"}]}`,
			`row 1, created_at: "yesterday" is no number of seconds`},
		{"spire", `{"entries": [{"id": "1", "ID": "2"}]}`, `entries[1]: the field "ID" is there twice`},
		{"spire", `{"entries": [`, "it is no JSON"},
		{"spire", `{"entries": []} {}`, "something stands behind the JSON value"},
		{"spire", `{"entries": {}}`, "the rows are no list"},
		{"spire", `[` + strings.Repeat("[", 40) + strings.Repeat("]", 41), "it nests deeper than 32"},
		{"kubernetes", `{"items": [{"kind": "Pod", "metadata": {"name": "a", "namespace": "b"}}]}`, `row 1, kind: it is a "Pod" and no ServiceAccount`},
		{"kubernetes", `{"items": [{"metadata": {"name": "a"}}]}`, "row 1, metadata: it has no name or no namespace"},
		{"kubernetes", `{"items": [{"metadata": {"name": "a", "namespace": "b"}}, {"metadata": {"name": "a", "namespace": "b"}}]}`,
			`row 2, metadata.name: "b/a" is already in row 1`},
		{"kubernetes", `{"items": [{"metadata": {"name": "a b", "namespace": "b"}}]}`, "row 1, metadata.name: the path of the SPIFFE ID has ' '"},
		{"cloud-iam", "user,arn,access_key_1_active\n", "row 1, user_creation_time: the column is missing"},
		{"cloud-iam", `[{"appId": "1", "servicePrincipalType": "Application", "passwordCredentials": [{"secretText": "hunter2"}]}]`,
			"[1].passwordCredentials[1].secretText holds key material; export the list without it, and rotate what was in this file"},
		{"cloud-iam", `[{"uniqueId": "1", "email": "x", "note": "-----BEGIN PRIVATE KEY-----"}]`, "[1].note holds key material"},
		{"cloud-iam", `[{"keyType": "USER_MANAGED", "name": "projects/p/serviceAccounts/a@b", "validAfterTime": "2026-01-01T00:00:00Z"}]`, "row 1, name:"},
		{"cloud-iam", `[{"keyType": "USER_MANAGED", "name": "x/serviceAccounts/a@b/keys/1", "privateKeyData": "aGk="}]`, "privateKeyData holds key material"},
		{"secret-manager", `{"data": {"key_info": {"b": {}, "a\u0000": {}}}}`, "row 1, key_info:"},
		{"ci-cd", `[{"id": 1, "read_only": true, "url": "https://api.github.com/keys/1"}]`, "row 1, url:"},
		{"ci-cd", `[{"id": "x", "type": "robot"}]`, `row 1, type: "robot" is none of agent, key`},
		{"ci-cd", `[{"id": "x", "type": "key", "colour": "red"}]`, `row 1: json: unknown field "colour"`},
		{"ci-cd", `[{"id": "x", "type": "key", "created": "today"}]`, `row 1, created: "today": it is no instant`},
		{"ci-cd", `[{"id": "a\u0000b", "type": "key"}]`, "has a control character"},
		{"ci-cd", `[{"id": "` + strings.Repeat("x", 2000) + `", "type": "key"}]`, "row 1, id: it has 2000 bytes"},
		{"directory", "id,type,password\nx,key,hunter2\n", "row 2, password: it holds key material"},
		{"directory", "id,type,colour\nx,key,red\n", "row 1, colour: there is no such column; they are id, type"},
		{"directory", "id\nx\n", "row 1, type: the column is missing"},
		{"directory", "id,type,id\nx,key,x\n", "row 1, id: the column is there twice"},
		{"directory", "id,type\nx,key,1\n", "it is no CSV: record on line 2"},
		{"directory", "id,type,neverExpires\nx,key,perhaps\n", `row 2, neverExpires: "perhaps" is neither true nor false`},
		{"secret-manager", `["a", "a"]`, `row 2, name: "a" is already in row 1`},
		{"secret-manager", `["a", 1]`, "row 2: json: cannot unmarshal"},
	} {
		listing, err := inventory.Read(tt.system, []byte(tt.data), "acme.example")
		if err == nil || !strings.Contains(err.Error(), tt.want) || listing != nil {
			t.Errorf("%s %.80s: %v, want %q", tt.system, tt.data, err, tt.want)
		}
	}
	many := strings.Repeat(`{"id": ""},`, 100)
	if _, err := inventory.Read("ci-cd", []byte("["+many[:len(many)-1]+"]"), ""); err == nil || strings.Count(err.Error(), "\n") != 20 {
		t.Errorf("a hundred faults: %v", err)
	}
	var rows strings.Builder
	rows.WriteString("id,type\n")
	for i := range inventory.MaxEntries + 1 {
		fmt.Fprintf(&rows, "%d,key\n", i)
	}
	if _, err := inventory.Read("directory", []byte(rows.String()), ""); err == nil || !strings.Contains(err.Error(), "more than 100000") {
		t.Errorf("too many: %v", err)
	}
}

func TestMappedImports(t *testing.T) {
	t.Parallel()
	m := &inventory.Mapping{Rows: "data.accounts", ID: inventory.MappedField{Columns: []string{"ns", "meta.name"}, Join: ":"},
		Type:     inventory.MappedField{Columns: []string{"sort"}, Words: map[string]string{"bot": "pipeline"}},
		SPIFFEID: &inventory.MappedField{Columns: []string{"path"}, Prefix: "spiffe://acme.example/"},
		Created:  &inventory.MappedField{Columns: []string{"since"}, Layout: "02.01.2006"}, LastUsed: &inventory.MappedField{Columns: []string{"used"}, Layout: "unix"},
		NeverExpires: &inventory.MappedField{Columns: []string{"ends"}, Words: map[string]string{"no": "true", "yes": "false"}},
		Grants:       []inventory.MappedField{{Columns: []string{"roles"}, Split: ",", Prefix: "role "}, {Columns: []string{"scope"}, Prefix: "scope "}}}
	data := `{"data": {"accounts": [{"ns": "ci", "meta": {"name": "x"}, "sort": "bot", "path": "ci/x", "since": "22.11.2026", "used": 1700000000,
		"ends": "no", "roles": ["a", "b"], "scope": "all"}, {"ns": "ci", "meta": {"name": "y"}, "sort": "key"}]}}`
	listing, err := inventory.ReadMapped("directory", []byte(data), m)
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(listing.Entries)
	const want = `[{"system":"directory","id":"ci:x","type":"pipeline","spiffeID":"spiffe://acme.example/ci/x","created":"2026-11-22T00:00:00Z",` +
		`"lastUsed":"2023-11-14T22:13:20Z","neverExpires":true,"grants":["role a","role b","scope all"],"importedAt":"0001-01-01T00:00:00Z"},` +
		`{"system":"directory","id":"ci:y","type":"key","importedAt":"0001-01-01T00:00:00Z"}]`
	if err != nil || string(got) != want {
		t.Errorf("%v\n%s\n%s", err, got, want)
	}
	csv := &inventory.Mapping{ID: inventory.MappedField{Columns: []string{"Name"}}, Type: inventory.MappedField{Value: "key"}}
	if listing, err = inventory.ReadMapped("directory", []byte("Name\na\n"), csv); err != nil || len(listing.Entries) != 1 {
		t.Errorf("%+v, %v", listing, err)
	}
	for _, tt := range []struct {
		data, want string
		m          *inventory.Mapping
	}{
		{"Nome\na\n", "row 1, Name: there is no such column, which the mapping names for id", csv},
		{`[]`, "say where it is with rows", m},
		{`{"data": {"accounts": [{"since": "x"}]}}`, `row 1, since: "x" is not written as "02.01.2006"`, m},
		{`{"data": {"accounts": [{"used": "x"}]}}`, `row 1, used: "x" is no number`, m},
		{`{"data": {"accounts": [{"ends": "x"}]}}`, `row 1, ends: "x" is neither true nor false; say with words`, m},
		{`x`, "id: say either columns or value", &inventory.Mapping{}},
		{`x`, `id: column "a.secret_id" holds key material`, &inventory.Mapping{ID: inventory.MappedField{Columns: []string{"a.secret_id"}},
			Type: inventory.MappedField{Value: "key"}}},
	} {
		if _, err := inventory.ReadMapped("directory", []byte(tt.data), tt.m); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.60s: %v, want %q", tt.data, err, tt.want)
		}
	}
}

// FuzzImportsAreSound: whatever the file, what is read of it could stand in a record, and reads the same again.
func FuzzImportsAreSound(f *testing.F) {
	files, _ := filepath.Glob("testdata/imports/*[nv]")
	for _, file := range files {
		if data, err := os.ReadFile(file); err == nil {
			for i := range inventory.Systems {
				f.Add(i, data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, system int, data []byte) {
		if system < 0 || system >= len(inventory.Systems) {
			return
		}
		listing, err := inventory.Read(inventory.Systems[system], data, "acme.example")
		if err != nil {
			return
		}
		for i := range listing.Entries {
			e := &listing.Entries[i]
			again, err := inventory.ParseEntry(e.Key(), e.JSON())
			if err != nil || !again.Says(e) {
				t.Fatalf("%+v: %v", e, err)
			}
			if strings.Contains(string(e.JSON()), "PRIVATE KEY-----") {
				t.Fatalf("key material: %s", e.JSON())
			}
		}
	})
}
