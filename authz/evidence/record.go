package evidence

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
)

// Version is the version of the lines that this package writes, and the only one that it reads.
const Version = 1

// maxLineBytes bounds a line. The longest that a Check can make, from a message of 1 MiB all of which is a path of
// control bytes, has about 6 MiB.
const maxLineBytes = 16 << 20

// Record is one decision. The zero ID belongs to a gap, where Lost says how many decisions are in no record, or to a
// change of the policy.
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
	// Change is set by Read where the line is a change of the policy in force, and nothing else then is.
	Change *Change `json:"-"`
}

// line is what one line of the file may say.
type line struct {
	V      int     `json:"v"`
	Annul  string  `json:"annul,omitempty"`
	Lost   uint64  `json:"lost,omitempty"`
	Change *Change `json:"change,omitempty"`
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

// ours begins every line that this version writes.
var ours = []byte(`{"v":1,`)

// decode reads one line.
func decode(text []byte) (l line, err error) {
	if !bytes.HasPrefix(text, ours) {
		if err := checkVersion(text); err != nil {
			return l, err
		}
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields() // a fact that we do not know of may be what decided
	err = d.Decode(&l)
	switch fault := (*json.SyntaxError)(nil); {
	case errors.As(err, &fault) || errors.Is(err, io.ErrUnexpectedEOF):
		return line{}, fmt.Errorf("it is no line of evidence: %w", err)
	case err == nil && len(bytes.TrimSpace(text[d.InputOffset():])) > 0:
		return line{}, errors.New("it is no line of evidence: something stands behind its end")
	case err != nil || l.V != Version: // "v" may be written twice
		if other := checkVersion(text); other != nil {
			return line{}, other
		}
		return line{}, fmt.Errorf("it cannot be read: %w; if a later tiergate wrote it, use that one", err)
	}
	if hasMark(text) {
		if l, err = mapTexts(l, unescape); err != nil {
			return line{}, err
		}
	}
	said := 0
	for _, says := range []bool{l.Annul != "", l.Lost != 0, l.Change != nil, l.Record != nil && l.ID != ""} {
		if says {
			said++
		}
	}
	if said != 1 || l.Record != nil && l.ID == "" {
		return line{}, errors.New("it says not exactly one of a decision, a change, annul and lost")
	}
	if l.Change != nil {
		if err := l.Change.check(); err != nil {
			return line{}, err
		}
	}
	return l, nil
}

// checkVersion says what is wrong with a line that is not of this version.
func checkVersion(text []byte) error {
	var version struct {
		V *int `json:"v"`
	}
	if err := json.Unmarshal(text, &version); err != nil {
		return fmt.Errorf("it is no line of evidence: %w", err)
	}
	switch {
	case version.V == nil:
		return errors.New("it is no line of evidence: it has no version")
	case *version.V != Version:
		return fmt.Errorf("it has version %d, this tiergate reads %d; "+
			"read it with the tiergate that wrote it", *version.V, Version)
	}
	return nil
}
