package source_test

import (
	"bytes"
	"encoding/xml"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/signals/source"
)

func TestCheckXML(t *testing.T) {
	good := map[string]string{
		"plain":       `<JSSEvent><event><udid>A</udid></event><webhook><id>1</id></webhook></JSSEvent>`,
		"declared":    "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n<a b=\"1\"/>\n",
		"escapes":     `<a>&lt;&amp;&#65;</a>`,
		"CDATA":       `<a><![CDATA[<b>]]></a>`,
		"a list":      `<a><item>1</item><item>2</item></a>`,
		".NET's":      `<a xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><b/></a>`,
		"two parents": `<a><b><id>1</id></b><c><id>2</id></c></a>`,
	}
	for name, body := range good {
		if err := source.CheckXML([]byte(body), "item"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string]struct{ body, want string }{
		"nothing":          {"", "no XML element"},
		"text":             {"hello", "outside of the document"},
		"truncated":        {"<a><b>", "not one XML document"},
		"crossed":          {"<a><b></a></b>", "not one XML document"},
		"two documents":    {"<a/><a/>", "two documents"},
		"text behind":      {"<a/>x", "outside of the document"},
		"a DTD":            {`<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>`, "DTD"},
		"billion laughs":   {`<!DOCTYPE l [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><l>&b;</l>`, "DTD"},
		"external entity":  {`<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>`, "DTD"},
		"unknown entity":   {"<a>&x;</a>", "not one XML document"},
		"an instruction":   {`<a><?php x ?></a>`, "processing instruction"},
		"late declaration": {`<a><?xml version="1.0"?></a>`, "processing instruction"},
		"a stylesheet":     {`<?xml-stylesheet href="x"?><a/>`, "processing instruction"},
		"a comment":        {"<a>comp<!-- x -->romised</a>", "comment"},
		"twice":            {"<a><udid>1</udid><udid>2</udid></a>", "stands twice"},
		"twice by case":    {"<a><udid>1</udid><UDID>2</UDID></a>", "stands twice"},
		"two attributes":   {`<a b="1" B="2"/>`, "stands twice"},
		"namespace":        {`<x:a xmlns:x="y"/>`, "namespace"},
		"namespace inside": {`<a><b xmlns="y"/></a>`, "namespace"},
		"a used prefix":    {`<a xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><b xsi:nil="true"/></a>`, "namespace"},
		"a used prefix 2":  {`<a xmlns:xsd="http://www.w3.org/2001/XMLSchema"><xsd:b/></a>`, "namespace"},
		"another's prefix": {`<a xmlns:xsi="y"/>`, "namespace"},
		"prefix twice":     {`<a xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:b="1"/>`, "namespace"},
		"not UTF-8":        {"<a>\xff</a>", "not UTF-8"},
		"another coding":   {`<?xml version="1.0" encoding="UTF-16"?><a/>`, "not one XML document"},
		"deep":             {strings.Repeat("<a>", 33) + strings.Repeat("</a>", 33), "deeper than 32"},
		"many":             {"<a>" + strings.Repeat("<item/>", 100_000) + "</a>", "more than 100000"},
		"large":            {"<a>" + strings.Repeat(" ", 16<<20) + "</a>", "the limit is"},
	} {
		err := source.CheckXML([]byte(c.body), "item")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// FuzzCheckXMLHasOneReading: what passes, encoding/xml reads into a struct the same from first to last, and it is no
// document with anything that other readers expand.
func FuzzCheckXMLHasOneReading(f *testing.F) {
	f.Add([]byte(`<?xml version="1.0"?><a><serial>1</serial></a>`))
	f.Add([]byte(`<a><serial>1</serial><Serial>2</Serial></a>`))
	f.Add([]byte(`<!DOCTYPE a><a/>`))
	f.Add([]byte(`<a b="1"><![CDATA[x]]></a>`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if source.CheckXML(raw) != nil {
			return
		}
		var all struct {
			Serial []string `xml:"serial"`
		}
		if err := xml.Unmarshal(raw, &all); err != nil {
			t.Fatalf("it passes, and cannot be read: %v", err)
		}
		if len(all.Serial) > 1 || bytes.Contains(raw, []byte("<!DOCTYPE")) && !bytes.Contains(raw, []byte("<![CDATA[")) &&
			!bytes.Contains(raw, []byte(`"`)) && !bytes.Contains(raw, []byte(`'`)) {
			t.Fatalf("%d serials in %q", len(all.Serial), raw)
		}
	})
}
