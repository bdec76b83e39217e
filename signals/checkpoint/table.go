// Package checkpoint remembers, in the store and signed, which revision every device has reached, so that a sidecar that
// starts after somebody has put an old record back, or removed one, notices.
//
// A record's own signature says who wrote it, not that nothing newer was written. Receivers (Keeper) therefore keep a list
// of devices and revisions that only grows, as records of kind "checkpoint" of a sealed store:
//
//	head       when it was sealed (its revision is the ordinal), by whom, and the revisions of all parts
//	base/NN    the devices of one 64th: 8 bytes of the SHA-256 of the device's id and 8 of its revision, sorted
//	delta/NN   the same of those that have changed since base/NN was written
//
// The keeper that wrote the head last goes on writing while it does so in time; others take over after three periods. Each
// turn reads what is stored, so that what somebody put back or removed is noticed and written anew. Only what has changed is
// written: a delta, until it has an eighth of the part's devices.
//
// What remains possible to who can write to the store and has no key: to put back the whole checkpoint together with the
// records of that time. A keeper that runs notices within a turn and repairs it; a sidecar that starts before that notices
// only when the head is older than its bound (Options.MaxAge of the replica), or at its next full read. Without any
// receiver running, and within that bound, nobody notices. And a device whose record was removed is known by its hash
// alone: if the claims of its names were removed too, the next report makes a new device, without the old one's alarms.
package checkpoint

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/tiergate/tiergate/signals"
)

// Kind is that of all records of a checkpoint.
const Kind = "checkpoint"

// parts never changes: it is part of what is stored.
const parts = 64

// Mark stands for a device: the first 8 bytes of the SHA-256 of its id. That two of a million have one happens to one fleet
// in 40 million; the device with the lower revision is then not believed.
type Mark uint64

// MarkOf returns the mark of a device.
func MarkOf(device signals.DeviceID) Mark {
	sum := sha256.Sum256([]byte(device))
	return Mark(binary.BigEndian.Uint64(sum[:]))
}

// String is 16 hex digits.
func (m Mark) String() string { return fmt.Sprintf("%016x", uint64(m)) }

func (m Mark) part() int { return int(m >> 58) }

// entry is one device of a part.
type entry struct {
	mark     Mark
	revision signals.Revision
}

// table is what a checkpoint holds: each part sorted by mark.
type table [parts][]entry

func (t *table) find(m Mark) (at int, found bool) {
	return slices.BinarySearchFunc(t[m.part()], m, func(e entry, m Mark) int { return cmp.Compare(e.mark, m) })
}

// revision is 0 for a device that is not in it.
func (t *table) revision(m Mark) signals.Revision {
	if at, found := t.find(m); found {
		return t[m.part()][at].revision
	}
	return 0
}

func (t *table) devices() int {
	n := 0
	for _, part := range t {
		n += len(part)
	}
	return n
}

// without returns the marks of devices that are not among those that are there.
func (t *table) without(there iter.Seq[signals.DeviceID]) []Mark {
	var seen [parts][]bool
	for part := range t {
		seen[part] = make([]bool, len(t[part]))
	}
	for device := range there {
		m := MarkOf(device)
		if at, found := t.find(m); found {
			seen[m.part()][at] = true
		}
	}
	var missing []Mark
	for part := range t {
		for at, e := range t[part] {
			if !seen[part][at] {
				missing = append(missing, e.mark)
			}
		}
	}
	return missing
}

// join merges two sorted lists; of one device the newer revision counts.
func join(a, b []entry) []entry {
	joined := make([]entry, 0, max(len(a), len(b)))
	for len(a) > 0 && len(b) > 0 {
		switch c := cmp.Compare(a[0].mark, b[0].mark); {
		case c < 0:
			joined, a = append(joined, a[0]), a[1:]
		case c > 0:
			joined, b = append(joined, b[0]), b[1:]
		default:
			joined = append(joined, entry{a[0].mark, max(a[0].revision, b[0].revision)})
			a, b = a[1:], b[1:]
		}
	}
	return append(append(joined, a...), b...)
}

const entryBytes = 16

func encode(entries []entry) []byte {
	b := make([]byte, 0, len(entries)*entryBytes)
	for _, e := range entries {
		b = binary.BigEndian.AppendUint64(b, uint64(e.mark))
		b = binary.BigEndian.AppendUint64(b, uint64(e.revision))
	}
	return b
}

// decode is strict: what this version would not have written is refused.
func decode(part int, b []byte) ([]entry, error) {
	if len(b)%entryBytes != 0 {
		return nil, fmt.Errorf("it has %d bytes, no multiple of %d", len(b), entryBytes)
	}
	entries := make([]entry, 0, len(b)/entryBytes)
	for ; len(b) > 0; b = b[entryBytes:] {
		e := entry{Mark(binary.BigEndian.Uint64(b)), signals.Revision(binary.BigEndian.Uint64(b[8:]))}
		switch {
		case e.mark.part() != part:
			return nil, fmt.Errorf("device %s is in another part", e.mark)
		case len(entries) > 0 && e.mark <= entries[len(entries)-1].mark:
			return nil, errors.New("its devices are not sorted")
		case e.revision < 1:
			return nil, fmt.Errorf("device %s has revision %d", e.mark, e.revision)
		}
		entries = append(entries, e)
	}
	return entries, nil
}
