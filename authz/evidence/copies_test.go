package evidence

import (
	"os"
	"strings"
	"testing"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/policy"
)

// TestRecordOutlivesTheMessage: the texts of an Input are parts of a buffer in which the next message comes.
func TestRecordOutlivesTheMessage(t *testing.T) {
	t.Parallel()
	g := newRig(t, Options{})
	var buffers [][]byte
	part := func(s string) string {
		b := []byte(s)
		buffers = append(buffers, b)
		return unsafe.String(&b[0], len(b))
	}
	r := sample("1")
	chosen := &policy.Chosen{Route: part("chosen"), Older: &policy.Match{Route: "older"}}
	r.Input.Request = policy.Request{Method: part("PUT"), Host: part("host.example"), Path: part("/path?q"), Malformed: part("bad"), Chosen: chosen}
	r.Input.Subject.Workload = identity.SPIFFEID(part("spiffe://acme.example/x"))
	r.Input.Subject.Doubts = []identity.Doubt{{Code: identity.DoubtToken, Detail: part("doubt")}}
	r.Verdict.Detail = part("detail")
	g.Record(r)
	for _, b := range buffers {
		for i := range b {
			b[i] = '!'
		}
	}
	chosen.Route, r.Input.Subject.Doubts[0].Detail = "changed", "changed"
	if err := g.run(t)(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(g.file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"PUT"`, `"host.example"`, `"/path"`, `"bad"`, `"chosen"`, `"spiffe://acme.example/x"`, `"doubt"`, `"detail"`, `"older"`} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("%s is not in the file", want)
		}
	}
	if strings.ContainsAny(string(raw), "!") || strings.Contains(string(raw), "changed") {
		t.Errorf("the file has what came later: %s", raw)
	}
}

// TestNoSecretIsWritten: queries and user information carry secrets, and no decision uses them.
func TestNoSecretIsWritten(t *testing.T) {
	t.Parallel()
	g := newRig(t, Options{})
	for path, host := range map[string]string{
		"/a?access_token=hunter2": "app.example", "?hunter2": "hunter2@app.example", "/b": "ana:hunter2@app.example",
		"/c??#hunter2": "hunter2@hunter2@app.example:443", "/d?a=b?c=hunter2": "[hunter2@::1]:80", "/e?\xff\x00hunter2": "hunter2@",
	} {
		r := sample("1")
		r.Input.Request.Path, r.Input.Request.Host = path, host
		g.Settle(r)
	}
	if err := g.run(t)(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(g.file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(raw), "hunter2") || strings.Count(string(raw), "\n") != 6 {
		t.Errorf("the file says\n%s", raw)
	}
}

// TestBlottedHostIsRefusedAlike: the record of a host with user information leads to the same verdict.
func TestBlottedHostIsRefusedAlike(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		host := rapid.StringMatching(`[a-z\[\]:@.0-9]{0,12}@[a-z\[\]:@.0-9]{0,12}`).Draw(t, "host")
		normal, err := policy.NormalHost(host)
		again, blotted := policy.NormalHost(withoutUserinfo(host))
		if (err == nil) != (blotted == nil) || err != nil && err.Error() != blotted.Error() {
			t.Fatalf("%q: %v; %q: %v", host, err, withoutUserinfo(host), blotted)
		}
		if err == nil && (len(normal) != len(again) || !strings.Contains(again, "@")) {
			t.Fatalf("%q is host %q, %q is host %q", host, normal, withoutUserinfo(host), again)
		}
	})
}
