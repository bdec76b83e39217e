package source

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	// maxElements is how many elements an XML body may have.
	maxElements = 100_000
	// maxXML is the longest XML body that is read, in bytes.
	maxXML = 16 << 20
)

// CheckXML says why raw is not one XML document (XML 1.0) that every reader understands alike, or nil. Refused are DTDs and
// entities (but the five of the language itself), processing instructions, comments (they split a text, which readers join
// in their own way), namespaces, attributes that stand twice, nesting deeper than 32, more than 100,000 elements, bytes
// that are not UTF-8, and anything behind the document. Two declarations that .NET writes into each root, of the prefixes xsi
// and xsd, may stand where nothing uses them. An element may not stand twice in one other, nor beside one whose
// name differs only in case, because encoding/xml takes the last; lists names the elements that may, because they are
// items of a list. The error may quote a name, at most 40 bytes of it; it is for the operator.
func CheckXML(raw []byte, lists ...string) error {
	switch {
	case len(raw) > maxXML:
		return fmt.Errorf("the body has %d bytes; the limit is %d", len(raw), maxXML)
	case !utf8.Valid(raw):
		return errors.New("the body is not UTF-8")
	}
	decoder := xml.NewDecoder(bytes.NewReader(raw))
	decoder.Strict = true
	scan := xmlScan{lists: lists, children: []map[string]bool{{}}}
	if bytes.HasPrefix(raw, []byte("<?xml")) {
		scan.declared = int64(bytes.Index(raw, []byte("?>")) + len("?>"))
	}
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			if scan.elements == 0 {
				return errors.New("the body has no XML element")
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("the body is not one XML document: %w", err)
		}
		if err := scan.step(token, decoder.InputOffset()); err != nil {
			return fmt.Errorf("the body has more than one reading: %w (at byte %d)", err, decoder.InputOffset())
		}
	}
}

// xmlScan remembers which names stand in each open element.
type xmlScan struct {
	lists    []string
	children []map[string]bool // the first is the document itself
	elements int
	declared int64 // where an XML declaration ends
}

func (s *xmlScan) step(token xml.Token, offset int64) error {
	switch token := token.(type) {
	case xml.StartElement:
		return s.open(token)
	case xml.EndElement:
		s.children = s.children[:len(s.children)-1]
	case xml.CharData:
		if len(s.children) == 1 && len(bytes.TrimSpace(token)) > 0 {
			return errors.New("text stands outside of the document")
		}
	case xml.Comment:
		return errors.New("it has a comment")
	case xml.Directive:
		return errors.New("it has a DTD or another <! directive")
	case xml.ProcInst:
		// The XML declaration is no processing instruction (XML 1.0 section 2.8), and stands at the beginning or nowhere.
		if token.Target != "xml" || offset != s.declared {
			return errors.New("it has a processing instruction")
		}
	}
	return nil
}

func (s *xmlScan) open(element xml.StartElement) error {
	if s.elements++; s.elements > maxElements {
		return fmt.Errorf("it has more than %d elements", maxElements)
	}
	if len(s.children) > maxDepth {
		return fmt.Errorf("it nests deeper than %d", maxDepth)
	}
	if len(s.children) == 1 && s.elements > 1 {
		return errors.New("it has two documents")
	}
	name := element.Name.Local
	if element.Name.Space != "" {
		return fmt.Errorf("the element %.40q has a namespace", name)
	}
	names := s.children[len(s.children)-1]
	if folded := fold(name); !slices.Contains(s.lists, name) {
		if names[folded] {
			return fmt.Errorf("the element %.40q stands twice in one other, or differs from another only in case", name)
		}
		names[folded] = true
	}
	attributes := map[string]bool{}
	for _, attribute := range element.Attr {
		folded := fold(attribute.Name.Local)
		if attribute.Name.Space == "xmlns" && dotNet[attribute.Name.Local] == attribute.Value {
			continue // a use of it is refused as a namespace
		}
		if attribute.Name.Space != "" || strings.HasPrefix(folded, "XMLNS") {
			return fmt.Errorf("the attribute %.40q has a namespace", attribute.Name.Local)
		}
		if attributes[folded] {
			return fmt.Errorf("the attribute %.40q stands twice", attribute.Name.Local)
		}
		attributes[folded] = true
	}
	s.children = append(s.children, map[string]bool{})
	return nil
}

// dotNet are the declarations of .NET's XmlSerializer: Workspace ONE's events have them.
var dotNet = map[string]string{"xsd": "http://www.w3.org/2001/XMLSchema", "xsi": "http://www.w3.org/2001/XMLSchema-instance"}
