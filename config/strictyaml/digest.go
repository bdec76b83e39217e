package strictyaml

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"hash"
	"slices"

	"go.yaml.in/yaml/v4"
)

// Digest is the SHA-256 of what the document says: of its fields, whatever their order, and their values. Two
// documents that differ only in comments, quotes, line ends, the layout of lists or in aliases in place of values have
// one digest. Values are compared as they are written: 1h and 60m differ.
func (d *Document) Digest() [sha256.Size]byte {
	sum := sha256.New()
	digest(sum, d.root)
	return [sha256.Size]byte(sum.Sum(nil))
}

// digest writes every part with its length before it, so that no two trees write the same bytes.
func digest(sum hash.Hash, n *yaml.Node) {
	n = followed(n)
	switch n.Kind {
	case yaml.MappingNode:
		type field struct{ key, value *yaml.Node }
		var fields []field
		for key, value := range members(n) {
			fields = append(fields, field{key, value})
		}
		slices.SortStableFunc(fields, func(a, b field) int { return cmp.Compare(a.key.Value, b.key.Value) })
		fmt.Fprintf(sum, "map %d\n", len(fields))
		for _, f := range fields {
			digest(sum, f.key)
			digest(sum, f.value)
		}
	case yaml.SequenceNode:
		fmt.Fprintf(sum, "list %d\n", len(n.Content))
		for _, item := range n.Content {
			digest(sum, item)
		}
	default:
		fmt.Fprintf(sum, "value %d %s %d %s\n", len(n.ShortTag()), n.ShortTag(), len(n.Value), n.Value)
	}
}
