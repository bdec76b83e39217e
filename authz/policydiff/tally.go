package policydiff

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"unicode/utf8"
)

// tellApart is how many names a list tells apart. Beyond it new ones are only known to exist, so that a record of any size
// costs no more than some 30 MB a list.
const tellApart = 50_000

// nameBytes is the longest name that is kept whole.
const nameBytes = 128

// short cuts a name from the network; names that differ stay different.
func short(name string) string {
	if len(name) <= nameBytes {
		return strings.Clone(name) // not the record around it
	}
	cut := nameBytes / 2
	for cut > 0 && !utf8.RuneStart(name[cut]) {
		cut--
	}
	sum := sha256.Sum256([]byte(name))
	return name[:cut] + "…" + hex.EncodeToString(sum[:8])
}

// tally counts changes by name.
type tally struct {
	rows map[string]*Row
	list int  // how many are listed
	full bool // there were more names than are told apart
}

func newTally(list int) *tally { return &tally{rows: map[string]*Row{}, list: list} }

func (t *tally) add(name, owner, id string, s Step) {
	row := t.rows[name]
	if row == nil {
		if len(t.rows) >= tellApart {
			t.full = true
			return
		}
		row = &Row{Name: name, Owner: owner, Step: s, Example: id}
		t.rows[name] = row
	}
	switch {
	case s.Loosened():
		row.Loosened++
	case s.Tightened():
		row.Tightened++
	default:
		row.Other++
	}
	if s < row.Step {
		row.Step, row.Example = s, id
	}
}

// top lists those with the most loosened answers first, then those with the most tightened.
func (t *tally) top() Top {
	all := Top{Rows: []Row{}, Distinct: len(t.rows), AtLeast: t.full}
	for _, row := range t.rows {
		all.Rows = append(all.Rows, *row)
	}
	slices.SortFunc(all.Rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(b.Loosened, a.Loosened), cmp.Compare(b.Tightened, a.Tightened), cmp.Compare(b.Other, a.Other),
			cmp.Compare(a.Name, b.Name))
	})
	if len(all.Rows) > t.list {
		all.More = len(all.Rows) - t.list
		all.Rows = slices.Clone(all.Rows[:t.list])
	}
	return all
}
