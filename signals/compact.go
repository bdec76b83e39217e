package signals

import (
	"slices"
	"unique"
)

// Compact returns the posture in the least memory that its form allows: names that thousands of postures repeat are
// shared, slices have no room to grow. The receiver is not modified.
func (p Posture) Compact() Posture {
	p.Aliases = slices.Clip(slices.Clone(p.Aliases))
	facts := make([]Fact, len(p.Facts))
	for i, f := range p.Facts {
		f.Attribute, f.Source, f.Path = shared(f.Attribute), shared(f.Source), shared(f.Path)
		f.Value.text = shared(f.Value.text)
		facts[i] = f
	}
	p.Facts = facts
	return p
}

func shared(s string) string { return unique.Make(s).Value() }
