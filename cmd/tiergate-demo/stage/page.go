package stage

import (
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// PageText is what a page says to whoever cannot see it: a line for each heading, paragraph, item and pair of a list. Nothing
// of it is hidden by a style or written by a script, for our pages have neither.
func PageText(page string) []string {
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		return nil // a strings.Reader does not fail, and any text is a page
	}
	raw := []string{""}
	for node := range root.Descendants() {
		switch {
		case node.Type == html.ElementNode:
			switch node.Data {
			case "h1", "h2", "h3", "p", "li", "dt", "dl", "ul":
				raw = append(raw, "")
			case "dd":
				raw[len(raw)-1] += ": "
			}
		case node.Type == html.TextNode && node.Parent.DataAtom != atom.Style && node.Parent.DataAtom != atom.Title:
			raw[len(raw)-1] += node.Data
		}
	}
	var lines []string
	for _, line := range raw {
		line = strings.Join(strings.Fields(line), " ")
		if line != "" {
			lines = append(lines, strings.ReplaceAll(line, " : ", ": "))
		}
	}
	return lines
}

// firstLink is where the first link of a page leads; empty: there is none.
func firstLink(page string) string {
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		return ""
	}
	for node := range root.Descendants() {
		if node.DataAtom != atom.A {
			continue
		}
		for _, attribute := range node.Attr {
			if attribute.Key == "href" {
				return attribute.Val
			}
		}
	}
	return ""
}
