package osquery

import (
	"bytes"
	"encoding/json"
	"strings"
)

// kept is what is left of a log: whose it was, and of the lines of our queries what is read of them.
type kept struct {
	Kept    string `json:"kept"`
	LogType string `json:"log_type"`
	Data    []any  `json:"data"` // nil: data was no array
}

// Redact implements source.Redactor: in place of the node key stand the names that it was made of, signed for nothing but
// this. What other queries logged, and what osquery writes beside (decorations), is nobody's here.
func (a *Adapter) Redact(body []byte) ([]byte, error) {
	r, err := read(body)
	if err != nil {
		return nil, unreadable(err)
	}
	if _, err := a.names(nodeKey, r.NodeKey); err != nil {
		return nil, unreadable(err) // Authenticate would not have taken it
	}
	text, sum, _ := strings.Cut(r.NodeKey, ".")
	left := kept{Kept: a.sign(keptKey, text)}
	if r.LogType != nil {
		left.LogType = *r.LogType
	}
	var lines []json.RawMessage
	if json.Unmarshal(r.Data, &lines) == nil && lines != nil {
		left.Data = []any{}
	}
	for _, line := range lines {
		left.Data = append(left.Data, keptLine(line))
	}
	out, err := json.Marshal(left)
	if err != nil {
		return nil, unreadable(err)
	}
	return bytes.ReplaceAll(out, []byte(sum), []byte("(removed)")), nil // a device may have logged it
}

// keptLine leaves what is no line what it is: a delivery with one is a dead letter.
func keptLine(line json.RawMessage) any {
	var l result
	switch err := json.Unmarshal(line, &l); {
	case err != nil:
		return 0
	case !strings.HasPrefix(l.Name, prefix):
		return struct{}{} // so that the lines keep their numbers
	}
	return l
}
