package policydiff

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/tiergate/tiergate/authz/policy"
)

// Direction is what a change does to the answers that requests get.
type Direction string

// The directions; package comment.
const (
	Loosens    Direction = "loosens"
	CannotTell Direction = "cannot tell"
	Tightens   Direction = "tightens"
	Neither    Direction = "neither"
)

// directions in the order in which they outweigh each other, and in which changes are listed.
var directions = []Direction{Loosens, CannotTell, Tightens, Neither}

// Change is one difference, in one sentence.
type Change struct {
	Kind      string    `json:"kind"`
	Name      string    `json:"name"`
	Field     string    `json:"field,omitempty"` // as policy.Fault names places; empty: the document as a whole
	Text      string    `json:"text"`
	Direction Direction `json:"direction"`
	Why       string    `json:"why,omitempty"`   // why it cannot be told, or where it loosens
	Owner     string    `json:"owner,omitempty"` // of the document, before the change; the team that answers for it
}

// Fold is what changes come to together.
func Fold(changes []Change) Direction {
	for _, d := range directions {
		if slices.ContainsFunc(changes, func(c Change) bool { return c.Direction == d }) {
			return d
		}
	}
	return Neither
}

// Compare names every difference between two compiled policies, the loosening first. sources are those of the settings that
// both were judged with: where only one source can speak of a signal, more can be told. Nil: not known.
func Compare(older, newer *policy.Policy, sources map[string]policy.Source) []Change {
	return compare(older.Spec(), newer.Spec(), sources)
}

func compare(older, newer policy.Spec, sources map[string]policy.Source) []Change {
	was, is := normal(older), normal(newer)
	c := &comparison{was: &was, is: &is, sources: sources}
	c.governance()
	c.baselines()
	c.tiers()
	c.audiences()
	c.upstreams()
	c.routes()
	c.identities()
	c.exceptions()
	c.monitors()
	slices.SortStableFunc(c.changes, func(a, b Change) int {
		return cmp.Compare(slices.Index(directions, a.Direction), slices.Index(directions, b.Direction))
	})
	return c.changes
}

// comparison is one run of Compare.
type comparison struct {
	was, is *policy.Spec // defaults written out
	sources map[string]policy.Source
	changes []Change
}

// judgement is a direction with its reason.
type judgement struct {
	Direction
	why string
}

var (
	loosens  = judgement{Direction: Loosens}
	tightens = judgement{Direction: Tightens}
	neither  = judgement{Direction: Neither}
)

func unsure(why string) judgement { return judgement{CannotTell, why} }

// either chooses by a condition.
func either(condition bool, yes, no judgement) judgement {
	if condition {
		return yes
	}
	return no
}

// document says what changed in one of them.
type document struct {
	kind, word, name, owner string
	changes                 []Change
}

// say adds a sentence, which begins with the document: "tier privileged " + text.
func (d *document) say(field string, j judgement, format string, args ...any) {
	d.changes = append(d.changes, Change{Kind: d.kind, Name: d.name, Field: field, Owner: d.owner, Direction: j.Direction, Why: j.why,
		Text: d.word + " " + d.name + " " + fmt.Sprintf(format, args...)})
}

// each pairs the documents of a kind by name. Of one that is in both, differ tells the differences; a difference that it has
// no word for is told all the same.
func each[D any](c *comparison, kind, word string, was, is []D, meta func(*D) *policy.Meta,
	added, removed func(*document, *D), differ func(d *document, was, is *D),
) {
	olds := byName(was, meta)
	news := byName(is, meta)
	for _, name := range union(olds, news) {
		old, inOld := olds[name]
		fresh, inNew := news[name]
		d := &document{kind: kind, word: word, name: name}
		switch {
		case !inOld:
			d.owner = meta(fresh).Owner
			added(d, fresh)
		case !inNew:
			d.owner = meta(old).Owner
			removed(d, old)
		default:
			d.owner = meta(old).Owner
			if now := meta(fresh).Owner; now != d.owner {
				d.say("metadata.owner", neither, "is now owned by %s instead of %s", now, d.owner)
			}
			differ(d, old, fresh)
			if len(d.changes) == 0 && canonical(old) != canonical(fresh) {
				d.say("spec", unsure("this version has no word for what changed"), "changed")
			}
		}
		c.changes = append(c.changes, d.changes...)
	}
}

func byName[D any](docs []D, meta func(*D) *policy.Meta) map[string]*D {
	all := make(map[string]*D, len(docs))
	for i := range docs {
		all[meta(&docs[i]).Name] = &docs[i]
	}
	return all
}
