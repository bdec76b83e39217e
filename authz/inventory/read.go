package inventory

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// MaxImportBytes is the largest file that is read.
const MaxImportBytes = 64 << 20

// maxFaults is how many faults of one file are told.
const maxFaults = 20

// Listing is what one file says.
type Listing struct {
	System  string   `json:"system"`
	Format  string   `json:"format"` // what the file was taken for
	Entries []Entry  `json:"entries"`
	Notes   []string `json:"notes,omitempty"` // what was left out, and why
}

// Fault is one thing wrong with a file.
type Fault struct {
	Row    int    // from 1, in the order of the file; of CSV the line; 0: the file as a whole
	Column string // as the file names it; empty: the row as a whole
	Why    string
}

func (f Fault) String() string {
	switch {
	case f.Row == 0 && f.Column == "":
		return f.Why
	case f.Row == 0:
		return f.Column + ": " + f.Why
	case f.Column == "":
		return fmt.Sprintf("row %d: %s", f.Row, f.Why)
	}
	return fmt.Sprintf("row %d, %s: %s", f.Row, f.Column, f.Why)
}

// Faults are all that are told of a file; nothing of it is imported.
type Faults []Fault

func (f Faults) Error() string {
	lines := make([]string, 0, len(f))
	for _, x := range f {
		lines = append(lines, x.String())
	}
	return strings.Join(lines, "\n")
}

// Read reads what a system lists of its identities: what the system's own tool writes, or the form of tiergate, in JSON or
// CSV (README.md has each). trustDomain is that of Kubernetes service accounts, whose SPIFFE IDs are
// spiffe://DOMAIN/ns/NAMESPACE/sa/NAME; empty: they have none. Nothing is guessed: the error is Faults, of all rows. A file
// that holds key material is refused.
func Read(system string, data []byte, trustDomain string) (*Listing, error) {
	r := &reading{listing: Listing{System: system, Entries: []Entry{}}, trustDomain: trustDomain}
	if !slices.Contains(Systems, system) {
		return nil, Faults{{Why: fmt.Sprintf("system %q is none of %s", system, strings.Join(Systems, ", "))}}
	}
	data, err := r.text(data)
	if err != nil {
		return nil, err
	}
	if data[0] == '[' || data[0] == '{' {
		r.json(data)
	} else {
		r.csv(data)
	}
	return r.done()
}

// reading is one file being read.
type reading struct {
	listing     Listing
	trustDomain string
	faults      Faults
	ids         map[string]int // row by id
}

// text is the file without a byte order mark and blanks around it.
func (r *reading) text(data []byte) ([]byte, error) {
	if len(data) > MaxImportBytes {
		return nil, Faults{{Why: fmt.Sprintf("the file has %d bytes; the limit is %d", len(data), MaxImportBytes)}}
	}
	data = bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\uFEFF")))
	if len(data) == 0 {
		return nil, Faults{{Why: "the file is empty; a system that has no identities lists them as []"}}
	}
	return data, nil
}

func (r *reading) fault(row int, column, format string, args ...any) {
	if len(r.faults) < maxFaults {
		r.faults = append(r.faults, Fault{Row: row, Column: column, Why: fmt.Sprintf(format, args...)})
	}
}

func (r *reading) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !slices.Contains(r.listing.Notes, text) {
		r.listing.Notes = append(r.listing.Notes, text)
	}
}

// add takes an entry of a row. columns name the fields of the entry as the file does.
func (r *reading) add(row int, e Entry, columns map[string]string) {
	e.System = r.listing.System
	slices.Sort(e.Grants)
	e.Grants = slices.Compact(e.Grants)
	if len(e.Grants) > MaxGrants {
		r.note("more than %d grants of one identity were left out", MaxGrants)
		e.Grants = e.Grants[:MaxGrants]
	}
	if err := e.Check(); err != nil {
		field, why, _ := strings.Cut(err.Error(), ": ")
		if as := columns[field]; as != "" {
			field = as
		}
		r.fault(row, field, "%s", why)
		return
	}
	if r.ids == nil {
		r.ids = map[string]int{}
	}
	if before, twice := r.ids[e.ID]; twice {
		r.fault(row, columns["id"], "%q is already in row %d", e.ID, before)
		return
	}
	r.ids[e.ID] = row
	if len(r.listing.Entries) == MaxEntries {
		r.fault(row, "", "there are more than %d identities; import them by parts (--part), or leave some out", MaxEntries)
	}
	if len(r.listing.Entries) < MaxEntries {
		r.listing.Entries = append(r.listing.Entries, e)
	}
}

func (r *reading) done() (*Listing, error) {
	if len(r.faults) > 0 {
		if len(r.faults) == maxFaults {
			r.faults = append(r.faults, Fault{Why: "there may be more faults; correct these first"})
		}
		return nil, r.faults
	}
	slices.SortFunc(r.listing.Entries, func(a, b Entry) int { return strings.Compare(a.ID, b.ID) })
	return &r.listing, nil
}

// instant reads an instant: RFC 3339, a date, or empty for none.
func (r *reading) instant(row int, column, text string) time.Time {
	at, err := parseInstant(text)
	if err != nil {
		r.fault(row, column, "%v", err)
	}
	return at
}

var errInstant = errors.New("it is no instant; write 2026-11-22T10:00:00Z, or 2026-11-22")

func parseInstant(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%.64q: %w", text, errInstant)
}
