package stage

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestPageText: what a page says is told in order and once, a line each, and nothing that is not said.
func TestPageText(t *testing.T) {
	page := "<!doctype html><head><title>not this</title><style>p { not: this }</style></head><body><h1>A  head\n line</h1>" +
		"<ul><li><h3>disk</h3><p>See <a href='https://a.example/x?y&amp;z'>the\nlist</a>, or ask.</p></li></ul>" +
		"<dl><dt>Decision</dt><dd>d-1</dd>\n<dt>Empty</dt><dd></dd></dl>"
	want := []string{"A head line", "disk", "See the list, or ask.", "Decision: d-1", "Empty:"}
	if got := PageText(page); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := firstLink(page); got != "https://a.example/x?y&z" {
		t.Errorf("the first link leads to %q", got)
	}
	if lines := append(PageText(""), firstLink("<a name=x>"), firstLink("")); !slices.Equal(lines, []string{"", ""}) {
		t.Errorf("of nothing came %q", lines)
	}
}

// TestPageTextOfARefusal: no line of the product's own page runs into another.
func TestPageTextOfARefusal(t *testing.T) {
	s := newStage(t, StoreEmbedded)
	raw := read(t, filepath.Join(s.binaries.Example, "..", "..", "authz", "answers", "testdata", "page-en.html"))
	for _, line := range PageText(raw) {
		if len(line) > 200 || line == "" {
			t.Errorf("%q", line)
		}
	}
	if len(PageText(raw)) < 8 {
		t.Errorf("only %q", PageText(raw))
	}
	if _, err := os.Stat(s.Settings()); err != nil {
		t.Error(err)
	}
}
