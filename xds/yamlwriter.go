package xds

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// plainScalar is what reads as the string that it is in every version of YAML; anything else is quoted, in
// ASCII: Go's escapes are YAML's, too, and some readers take U+0085 for the end of a line.
var plainScalar = regexp.MustCompile(`^[A-Za-z_/][A-Za-z0-9_./-]*$`)

// notStrings are plain words that some reader takes for something else.
var notStrings = []string{"y", "n", "yes", "no", "on", "off", "true", "false", "null"}

// writeYAML writes maps with string keys, lists and scalars in block style, keys in order. It only writes: whatever
// reads YAML in this product reads it strictly, elsewhere.
func writeYAML(value any) []byte {
	var b bytes.Buffer
	writeNode(&b, value, 0)
	b.WriteByte('\n')
	return bytes.TrimLeft(b.Bytes(), "\n")
}

// writeNode writes a value that stands after its key or dash; a map or list begins on a line of its own.
func writeNode(b *bytes.Buffer, value any, depth int) {
	indent := "\n" + strings.Repeat("  ", depth)
	switch v := value.(type) {
	case map[string]any:
		if len(v) == 0 {
			b.WriteString(" {}")
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			b.WriteString(indent + scalar(key) + ":")
			writeNode(b, v[key], depth+1)
		}
	case []any:
		if len(v) == 0 {
			b.WriteString(" []")
		}
		for _, item := range v {
			var inner bytes.Buffer
			writeNode(&inner, item, depth+1)
			b.WriteString(indent + "- ") // as wide as one step of indentation, so the item may begin here
			b.Write(bytes.TrimLeft(inner.Bytes(), "\n "))
		}
	default:
		b.WriteString(" " + scalar(v))
	}
}

func scalar(value any) string {
	text, ok := value.(string)
	if !ok {
		return fmt.Sprint(value)
	}
	if plainScalar.MatchString(text) && !slices.Contains(notStrings, strings.ToLower(text)) {
		return text
	}
	return strconv.QuoteToASCII(text)
}
