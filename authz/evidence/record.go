package evidence

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
)

// Version is the version of the lines that this package writes, and the only one that it reads.
const Version = 1

// maxLineBytes bounds a line. The longest that a Check can make, from a message of 1 MiB all of which is a path of
// control bytes, has about 6 MiB.
const maxLineBytes = 16 << 20

// Record is one decision. The zero ID belongs to a gap: Lost says how many decisions are in no record.
type Record struct {
	ID      string         `json:"id"`     // UUIDv7
	Took    time.Duration  `json:"took"`   // ns
	Policy  string         `json:"policy"` // digest of the policy in force; empty: there was none
	Input   policy.Input   `json:"input"`
	Verdict policy.Verdict `json:"verdict"`

	// Annulled: this decision was not given, its record came too late. Set by Read.
	Annulled bool `json:"-"`
	// Lost is the number of decisions of a gap. Set by Read.
	Lost uint64 `json:"-"`
}

// line is what one line of the file may say.
type line struct {
	V     int    `json:"v"`
	Annul string `json:"annul,omitempty"`
	Lost  uint64 `json:"lost,omitempty"`
	*Record
}

// encoder writes lines. It is not safe for concurrent use.
type encoder struct{ buffer bytes.Buffer }

// reset forgets all lines, and memory that an unusual batch took.
func (e *encoder) reset() {
	if e.buffer.Cap() > 2*batchBytes {
		e.buffer = bytes.Buffer{}
	}
	e.buffer.Reset()
}

// add appends one line. If that is not possible, nothing is added.
func (e *encoder) add(l line) (err error) {
	start := e.buffer.Len()
	defer func() {
		if fault := recover(); fault != nil { // a value that its own MarshalText has no word for
			err = fmt.Errorf("the record has no JSON form: %v", fault)
		}
		if err != nil {
			e.buffer.Truncate(start)
		}
	}()
	if l.Record != nil {
		l.Record = written(l.Record)
	}
	if err := e.encode(l); err != nil {
		return err
	}
	if hasMark(e.buffer.Bytes()[start:]) {
		e.buffer.Truncate(start)
		if l, err = mapTexts(l, escape); err != nil {
			return err
		}
		if err := e.encode(l); err != nil {
			return err
		}
	}
	if n := e.buffer.Len() - start; n > maxLineBytes {
		return fmt.Errorf("the record has %d bytes; the limit is %d", n, maxLineBytes)
	}
	return nil
}

func (e *encoder) encode(l line) error {
	j := json.NewEncoder(&e.buffer) // ends the line
	j.SetEscapeHTML(false)
	return j.Encode(l)
}

// written is the record with its posture in the form that is written.
func written(r *Record) *Record {
	out := *r
	device := &out.Input.Device
	if device.Posture == nil && device.Packed != nil {
		device.Posture = device.Packed.Posture()
	}
	device.Packed, device.Assessment = nil, nil
	return &out
}

// decode reads one line.
func decode(text []byte) (l line, err error) {
	var version struct {
		V *int `json:"v"`
	}
	if err := json.Unmarshal(text, &version); err != nil {
		return l, fmt.Errorf("it is no line of evidence: %w", err)
	}
	switch {
	case version.V == nil:
		return l, errors.New("it is no line of evidence: it has no version")
	case *version.V != Version:
		return l, fmt.Errorf("it has version %d, this tiergate reads %d; "+
			"read it with the tiergate that wrote it", *version.V, Version)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields() // a fact that we do not know of may be what decided
	if err := d.Decode(&l); err != nil {
		return line{}, fmt.Errorf("it cannot be read: %w; if a later tiergate wrote it, use that one", err)
	}
	if hasMark(text) {
		if l, err = mapTexts(l, unescape); err != nil {
			return line{}, err
		}
	}
	said := 0
	for _, says := range []bool{l.Annul != "", l.Lost != 0, l.Record != nil && l.ID != ""} {
		if says {
			said++
		}
	}
	if said != 1 || l.Record != nil && l.ID == "" {
		return line{}, errors.New("it says not exactly one of a decision, annul and lost")
	}
	return l, nil
}
