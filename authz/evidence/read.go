package evidence

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
)

// ErrTorn is of a last line without its end: the file is being written, or its writer crashed.
var ErrTorn = errors.New("the last line is torn")

// heldBytes bounds the lines that Read holds back, besides the newest.
const heldBytes = batchBytes + maxLineBytes

// Read reads the lines of an evidence file, in their order. A line that cannot be read is an error that says which and
// why, and reading goes on; after an error of the reader itself it ends. A record is held back until nothing can annul
// it any more, so that Annulled is always right; no more than 256 records are held. Who wants decisions alone leaves out
// every record without an ID: gaps and changes.
func Read(from io.Reader) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		h := &holder{yield: yield}
		lines := bufio.NewReaderSize(from, 64<<10)
		for number := 1; ; number++ {
			text, err := readLine(lines)
			if errors.Is(err, io.EOF) {
				break
			}
			at := func(err error) error { return fmt.Errorf("line %d: %w", number, err) }
			if err != nil {
				if !h.add(held{err: at(err)}, len(text)) || !errors.Is(err, errTooLong) {
					break
				}
				continue
			}
			l, err := decode(text)
			switch {
			case err != nil:
				err = at(err)
			case l.Annul != "":
				if h.annul(l.Annul) {
					continue
				}
				err = at(fmt.Errorf("it annuls %q, which is none of the %d records before it", l.Annul, batchEntries))
			case l.Lost > 0:
				l.Record = &Record{Lost: l.Lost}
			case l.Change != nil:
				l.Record = &Record{Change: l.Change}
			}
			if err != nil {
				l.Record = &Record{}
			}
			if !h.add(held{record: l.Record, err: err}, len(text)) {
				break
			}
		}
		h.drain(0)
	}
}

// errTooLong is of a line that none of ours can be. What follows it can be read.
var errTooLong = fmt.Errorf("it is longer than %d bytes", maxLineBytes)

// readLine reads one line without its end. At the end of the file the error is io.EOF, or ErrTorn if there is half a
// line.
func readLine(from *bufio.Reader) ([]byte, error) {
	var text []byte
	for {
		part, err := from.ReadSlice('\n')
		if len(text)+len(part) > maxLineBytes+1 {
			switch {
			case err == nil:
				return nil, errTooLong
			case !errors.Is(err, bufio.ErrBufferFull):
				return nil, endOf(err, true)
			}
			return nil, skipLine(from)
		}
		text = append(text, part...)
		switch {
		case err == nil:
			return text[:len(text)-1], nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, endOf(err, len(text) > 0)
		}
	}
}

// skipLine reads to the end of a line that is too long.
func skipLine(from *bufio.Reader) error {
	for {
		switch _, err := from.ReadSlice('\n'); {
		case err == nil:
			return errTooLong
		case !errors.Is(err, bufio.ErrBufferFull):
			return endOf(err, true)
		}
	}
}

func endOf(err error, inLine bool) error {
	switch {
	case !errors.Is(err, io.EOF):
		return err
	case inLine:
		return ErrTorn
	}
	return io.EOF
}

// held is what Read has read and not yet yielded.
type held struct {
	record *Record
	err    error
	size   int
}

type holder struct {
	yield func(Record, error) bool
	lines []held
	size  int
	ended bool // the caller wants no more
}

// add holds a line back and yields what nothing can annul any more. It is false if the caller wants no more.
func (h *holder) add(l held, size int) bool {
	l.size = size
	h.lines = append(h.lines, l)
	h.size += size
	for !h.ended && (len(h.lines) > batchEntries || h.size-h.lines[0].size > heldBytes) {
		h.drain(len(h.lines) - 1)
	}
	return !h.ended
}

// drain yields all but the newest.
func (h *holder) drain(but int) {
	for !h.ended && len(h.lines) > but {
		first := h.lines[0]
		h.lines = h.lines[1:]
		h.size -= first.size
		if first.record == nil {
			first.record = &Record{}
		}
		h.ended = !h.yield(*first.record, first.err)
	}
}

// annul marks a record that is held. The newest of that id is meant.
func (h *holder) annul(id string) bool {
	for i := len(h.lines) - 1; i >= 0; i-- {
		if r := h.lines[i].record; r != nil && r.ID == id && !r.Annulled {
			r.Annulled = true
			return true
		}
	}
	return false
}
