package strictyaml

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v4"
)

const (
	maxDocuments = 1000
	maxDepth     = 64
)

// Parse reads the documents of a file; empty ones are skipped. A syntax fault costs the document it stands in, not the
// others: reading goes on after the next line that begins with ---. The documents may be decoded even if there are
// problems, in order to find all the others.
func Parse(name string, data []byte) ([]*Document, Problems) {
	src, problems := newSource(name, data)
	if problems != nil {
		return nil, problems
	}
	var documents []*Document
	for _, c := range chunks(src.lines) {
		read, bad := src.parseChunk(c)
		documents, problems = append(documents, read...), append(problems, bad...)
		if len(documents) > maxDocuments || len(problems) > maxDocuments {
			return nil, append(problems, Problem{
				Position: Position{File: name},
				Message:  fmt.Sprintf("the file has more than %d documents or faults", maxDocuments),
				Help:     "split it into several files",
			})
		}
	}
	return documents, problems
}

// chunk is a part of a file, from line first (from 0) up to but without line end.
type chunk struct{ first, end int }

// chunks cuts a file at the lines that begin a document. YAML allows no --- at the start of a line inside a document, so
// that the cut never falls inside one, and a fault in one chunk leaves the others readable.
func chunks(lines []string) []chunk {
	var cut []chunk
	first := 0
	for i, line := range lines {
		rest, marks := strings.CutPrefix(line, "---")
		if marks && i > 0 && (rest == "" || rest[0] == ' ' || rest[0] == '\t') {
			cut, first = append(cut, chunk{first, i}), i
		}
	}
	return append(cut, chunk{first, len(lines)})
}

// depthLimit stops the parser long before a stack or the patience of a reader ends.
type depthLimit struct{}

var errTooDeep = fmt.Errorf("more than %d levels", maxDepth)

func (depthLimit) CheckDepth(depth int, _ *yaml.DepthContext) error {
	if depth > maxDepth {
		return errTooDeep
	}
	return nil
}

// CheckAlias is not called for nodes: checkTree bounds what aliases add.
func (depthLimit) CheckAlias(int, int) error { return nil }

func (s *source) parseChunk(c chunk) ([]*Document, Problems) {
	text := strings.Join(s.lines[c.first:c.end], "\n")
	loader, err := yaml.NewLoader(strings.NewReader(text), yaml.WithPlugin(depthLimit{}))
	if err != nil {
		return nil, Problems{s.problem(c.first+1, 1, "", "cannot be read: "+err.Error(), "")}
	}
	var documents []*Document
	var problems Problems
	for {
		var node yaml.Node
		if err := loader.Load(&node); errors.Is(err, io.EOF) {
			return documents, problems
		} else if err != nil {
			return documents, append(problems, s.syntaxProblem(c, err))
		}
		if len(node.Content) == 0 || isEmptyDocument(node.Content[0]) {
			continue
		}
		shiftLines(&node, c.first)
		document := &Document{source: s, root: node.Content[0]}
		if bad := document.checkTree(); len(bad) > 0 {
			problems = append(problems, bad...)
		}
		if !document.refused {
			documents = append(documents, document)
		}
	}
}

// isEmptyDocument reports a document with nothing or only comments in it; "null" or "~" is something.
func isEmptyDocument(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Value == "" && n.Tag == "!!null" && n.Style == 0 && n.Anchor == ""
}

func shiftLines(n *yaml.Node, by int) {
	n.Line += by
	for _, c := range n.Content {
		shiftLines(c, by)
	}
}

// syntaxProblem turns the parser's error into ours. Where the parser noticed only at the end of the text that something
// was never closed, the place to look at is where it was opened.
func (s *source) syntaxProblem(c chunk, err error) Problem {
	load, ok := errors.AsType[*yaml.LoadError](err)
	if !ok {
		return s.problem(c.first+1, 1, "", "not valid YAML: "+err.Error(), "")
	}
	line, col := c.first+max(load.Mark.Line, 1), max(load.Mark.Column, 1)
	message := "not valid YAML: " + load.Message
	if load.ContextMsg != "" {
		message += " " + load.ContextMsg
	}
	opened := c.first + load.ContextMark.Line
	if load.ContextMark.Line > 0 && line >= c.end && line > opened {
		line, col = opened, load.ContextMark.Column
	}
	line = min(line, len(s.lines))
	if errors.Is(err, errTooDeep) || strings.Contains(load.Message, errTooDeep.Error()) {
		return s.problem(line, col, "", fmt.Sprintf("nested deeper than %d levels", maxDepth), "flatten it")
	}
	help := syntaxHelp(load.Message, s.lines[line-1], col)
	if strings.Contains(load.Message, "',' or") && opened < line {
		help = fmt.Sprintf("write the comma that is missing, or close what is opened in line %d", opened)
	}
	return s.problem(line, col, "", message, help)
}

func syntaxHelp(message, line string, col int) string {
	runes := []rune(line)
	at := ' '
	if col <= len(runes) {
		at = runes[col-1]
	}
	indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
	switch {
	case at == '\t' || strings.Contains(indent, "\t"):
		return "indent with spaces, not with a tab"
	case strings.HasPrefix(line, "%"):
		return "remove the directive; files are read without any"
	case strings.Contains(message, "cannot start any token"):
		return fmt.Sprintf("put the text that begins with %q in quotes", at)
	case strings.Contains(message, "mapping values are not allowed"):
		return "put text that holds a colon and a blank in quotes, and check the indentation"
	case strings.Contains(message, "end of stream") || strings.Contains(message, "',' or"):
		return "close the quote or bracket that is opened here"
	case strings.Contains(message, "unknown anchor"):
		return "put text that begins with * in quotes"
	case strings.Contains(message, "expected"):
		return "check the indentation of this line and the one before"
	}
	return "check quotes, brackets and indentation here"
}
