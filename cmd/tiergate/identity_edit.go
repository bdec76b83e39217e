package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tiergate/tiergate/authz/inventory"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/config/policyfile"
	"github.com/tiergate/tiergate/config/strictyaml"
)

// policyTexts are the files of a policy directory that is being edited, by name.
type policyTexts map[string][]byte

func textsOf(files *policyfile.Files) policyTexts {
	texts := policyTexts{}
	for name, data := range files.Contents() {
		texts[name] = data
	}
	return texts
}

// cut makes one edit and leaves everything else as it stands, byte for byte: comments, order and layout.
func (t policyTexts) cut(c *inventory.Cut) (policyTexts, error) {
	kind, name, lists := policy.KindRoute, c.Route, []string{"spec.audiences"}
	if c.Member != "" {
		kind, name, lists = policy.KindAudience, c.Audience, []string{"spec.members", "spec.workloads"}
	}
	for file, data := range t {
		documents, problems := strictyaml.Parse(file, data)
		if len(problems) > 0 {
			return nil, problems
		}
		for _, d := range documents {
			if d.Text("kind") != kind || d.Text("metadata.name") != name {
				continue
			}
			change, err := removal(d, data, lists, c)
			if err != nil {
				return nil, fmt.Errorf("%s: %s %s: %w", file, kind, name, err)
			}
			edited := maps.Clone(t)
			edited[file] = strictyaml.Apply(data, []strictyaml.Change{change})
			return edited, nil
		}
	}
	return nil, fmt.Errorf("%s %s is in no file", kind, name)
}

// removal is the change that takes what a cut names out of the list that has it.
func removal(d *strictyaml.Document, data []byte, lists []string, c *inventory.Cut) (strictyaml.Change, error) {
	for _, list := range lists {
		for i := 0; d.Has(fmt.Sprintf("%s[%d]", list, i)); i++ {
			item := fmt.Sprintf("%s[%d]", list, i)
			switch {
			case len(c.Keep) > 0 && d.Text(item+".spiffe") == c.Member:
				return itemNarrowing(d, data, item, c.Keep)
			case c.Member == "" && d.Text(item) == c.Audience, c.Member != "" && d.Text(item+".spiffe") == c.Member:
				return itemRemoval(d, data, item)
			}
		}
	}
	return strictyaml.Change{}, fmt.Errorf("it does not list %s%s", c.Member, map[bool]string{true: c.Audience}[c.Member == ""])
}

// ownLine is what stands before an item that has a line of its own.
var ownLine = regexp.MustCompile(`^\s*- +(spiffe: *)?$`)

// These tell how an item is written that is a SPIFFE ID and nothing else, by what stands before the ID.
var (
	inBlock      = regexp.MustCompile(`^\s*- +spiffe: *$`)     // - spiffe: "ID"
	inFlowOfItem = regexp.MustCompile(`^\s*- +\{ *spiffe: *$`) // - {spiffe: "ID"}
	inFlowOfList = regexp.MustCompile(`[[,] *\{ *spiffe: *$`)  // [{spiffe: "ID"}, …
	onlyInFlow   = regexp.MustCompile(`^ *\}`)
)

// itemNarrowing writes several items in the place of one that is a pattern and nothing else; what stands behind it on its line
// stays behind the last.
func itemNarrowing(d *strictyaml.Document, data []byte, item string, keep []string) (strictyaml.Change, error) {
	change, err := d.Replace(item+".spiffe", "")
	if err != nil {
		return change, err
	}
	if change.Line != change.ToLine {
		return change, strictyaml.ErrNotEditable
	}
	lines := strings.Split(strings.TrimPrefix(string(data), "\uFEFF"), "\n")
	line := []rune(lines[change.Line-1])
	before, behind := string(line[:change.Col-1]), string(line[change.ToCol-1:])
	own := func(opens string) string { return "\n" + before[:strings.Index(before, "-")] + "- " + opens }
	var between string
	switch {
	case inBlock.MatchString(before):
		between = own("spiffe: ")
	case inFlowOfItem.MatchString(before) && onlyInFlow.MatchString(behind):
		between = "}" + own("{spiffe: ")
	case inFlowOfList.MatchString(before) && onlyInFlow.MatchString(behind):
		between = "}, {spiffe: "
	default:
		return change, fmt.Errorf("%s is written in a way that cannot be edited; do it by hand", item)
	}
	quoted := make([]string, 0, len(keep))
	for _, id := range keep {
		quoted = append(quoted, strconv.Quote(id)) // a SPIFFE ID has no character that either language escapes
	}
	change.Text = strings.Join(quoted, between)
	return change, nil
}

// itemRemoval takes an item out: its line, or between brackets the item and one comma.
func itemRemoval(d *strictyaml.Document, data []byte, item string) (strictyaml.Change, error) {
	change, err := d.Replace(item, "")
	if err != nil {
		if change, err = d.Replace(item+".spiffe", ""); err != nil {
			return change, err
		}
	}
	if change.Line != change.ToLine {
		return change, strictyaml.ErrNotEditable
	}
	lines := strings.Split(strings.TrimPrefix(string(data), "\uFEFF"), "\n")
	line := []rune(strings.TrimSuffix(lines[change.Line-1], "\r"))
	before, behind := string(line[:change.Col-1]), string(line[change.ToCol-1:])
	rest := strings.TrimSpace(behind)
	switch {
	case ownLine.MatchString(before) && (rest == "" || strings.HasPrefix(rest, "#")):
		if change.Line == len(lines) {
			return change, strictyaml.ErrNotEditable // a last line without an end
		}
		change.Col, change.ToLine, change.ToCol = 1, change.Line+1, 1
	case strings.HasPrefix(rest, ","):
		comma := strings.Index(behind, ",") + 1
		for comma < len(behind) && behind[comma] == ' ' {
			comma++
		}
		change.ToCol += len([]rune(behind[:comma]))
	case strings.HasSuffix(strings.TrimSpace(before), ","):
		change.Col = len([]rune(before[:strings.LastIndex(before, ",")])) + 1
	default:
		return change, fmt.Errorf("it is the only one in its list, or written in a way that cannot be edited; do it by hand")
	}
	return change, nil
}

// diff is the patch from one state of the files to another, in the order of their names.
func (t policyTexts) diff(now policyTexts) string {
	var out strings.Builder
	for _, name := range slices.Sorted(maps.Keys(t)) {
		out.WriteString(unifiedDiff(name, string(t[name]), string(now[name])))
	}
	return out.String()
}
