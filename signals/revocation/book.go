package revocation

import "time"

// Book collects revocations as they are read, and makes tables of them. What it holds only becomes stricter until it
// expires: a record that is gone from the store, or is there again in an older version, takes nothing back. The zero value is
// ready. It is not safe for concurrent use; its tables are.
type Book struct {
	held map[string]Revocation
}

// Put takes a revocation in and tells whether that changed anything. One that does not pass Check is not taken.
func (b *Book) Put(r Revocation) bool {
	if r.Check() != nil {
		return false
	}
	key := r.Key()
	before, found := b.held[key]
	if found {
		r = Join(before, r)
		if r == before {
			return false
		}
	}
	if b.held == nil {
		b.held = map[string]Revocation{}
	}
	b.held[key] = r
	return true
}

// Expire drops what has ended at an instant, and tells how many those were.
func (b *Book) Expire(at time.Time) int {
	dropped := 0
	for key, r := range b.held {
		if !r.Until.After(at) {
			delete(b.held, key)
			dropped++
		}
	}
	return dropped
}

// Len is how many revocations are held.
func (b *Book) Len() int { return len(b.held) }

// Table is what the book holds now.
func (b *Book) Table() *Table {
	t := &Table{}
	if len(b.held) > 0 {
		t.ended, t.risks = make(map[place]Revocation, len(b.held)), map[place]Revocation{}
	}
	for _, r := range b.held {
		t.put(r)
	}
	return t
}
