package inventory

import (
	"cmp"
	"maps"
	"slices"
)

// Posture is how the identities of one type stand. One identity may be in several states.
type Posture struct {
	Type       string        `json:"type"` // one of Types, or unknown
	Identities int           `json:"identities"`
	States     map[State]int `json:"states"`       // all States, with how many are in each
	NoEnd      int           `json:"neverExpires"` // have a credential without an end
}

// UnknownType is the Posture.Type of what decisions saw and nobody has written down.
const UnknownType = "unknown"

// Postures are those of all types that there are, sorted by type. What its systems no longer list, and no decision has seen, is
// left out: it is no more.
func Postures(all []Joined) []Posture {
	byType := map[string]*Posture{}
	for i := range all {
		x := &all[i]
		if x.Document == "" && x.Is(StateGone) && x.Is(StateNeverSeen) {
			continue
		}
		name := cmp.Or(x.Type, UnknownType)
		p := byType[name]
		if p == nil {
			p = &Posture{Type: name, States: make(map[State]int, len(States))}
			for _, s := range States {
				p.States[s] = 0
			}
			byType[name] = p
		}
		p.Identities++
		for _, s := range x.States {
			p.States[s]++
		}
		if x.NeverExpires {
			p.NoEnd++
		}
	}
	out := make([]Posture, 0, len(byType))
	for _, name := range slices.Sorted(maps.Keys(byType)) {
		out = append(out, *byType[name])
	}
	return out
}
