package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/tiergate/tiergate/authz/evidence"
)

// decisionID is the ID of a decision or its beginning, in the form in which records write it: lower case, with dashes.
type decisionID string

// The length of a UUID in hex digits, and of the shortest beginning that is taken for one.
const (
	uuidDigits     = 32
	leastIDDigits  = 8
	timeDigits     = 12 // of a UUIDv7: ms since 1970 (RFC 9562, section 5.7)
	candidatesMost = 10
)

// parseDecisionID reads an ID as somebody read it aloud or copied it: letters in any case, blanks and dashes anywhere.
func parseDecisionID(text string) (decisionID, error) {
	digits := strings.ToLower(strings.Map(func(r rune) rune {
		if r == '-' || unicode.IsSpace(r) {
			return -1
		}
		return r
	}, text))
	padded := digits + strings.Repeat("0", max(0, uuidDigits-len(digits)))
	if _, err := hex.DecodeString(padded); err != nil || len(digits) > uuidDigits {
		return "", fmt.Errorf("--decision %q is no ID of a decision; one is like 0199c7d2-7c1e-7b1a-9d0e-2f4a5b6c7d8e", text)
	}
	if len(digits) < leastIDDigits {
		return "", fmt.Errorf("--decision %q is too short: give at least the first %d digits", text, leastIDDigits)
	}
	var b strings.Builder
	for i, c := range digits {
		if i == 8 || i == 12 || i == 16 || i == 20 {
			b.WriteByte('-')
		}
		b.WriteRune(c)
	}
	return decisionID(b.String()), nil
}

func (id decisionID) whole() bool { return len(id) == uuidDigits+4 }

// madeBetween are the instants between which the ID was made, if it is a UUIDv7.
func (id decisionID) madeBetween() (from, to time.Time) {
	digits := strings.ReplaceAll(string(id), "-", "")
	digits = digits[:min(len(digits), timeDigits)]
	at := func(pad string) time.Time {
		ms, _ := strconv.ParseInt(digits+strings.Repeat(pad, timeDigits-len(digits)), 16, 64) // 48 bits of hex digits
		return time.UnixMilli(ms).UTC()
	}
	return at("0"), at("f")
}

// rotatedForm is how the end of an older evidence file's name is written (authz/evidence), UTC: when it was full.
const rotatedForm = "20060102T150405.000000000Z"

// mostDelay is how much later than its decision a record may be in a file, clocks that were set apart.
const mostDelay = 10 * time.Minute

// evidenceCopies lists an evidence file and its older copies. First come those in which a decision of that time should
// be, then all others: a clock may have been set.
func evidenceCopies(file string, id decisionID) ([]string, error) {
	dir, base := filepath.Dir(filepath.Clean(file)), filepath.Base(file)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("the evidence file %s cannot be looked for: %w", file, err)
	}
	from, to := id.madeBetween()
	var likely, others, full []string
	for _, e := range entries {
		ended, older := strings.CutPrefix(e.Name(), base+".")
		if _, err := time.Parse(rotatedForm, ended); older && err == nil {
			full = append(full, e.Name())
		}
	}
	slices.Sort(full) // by time
	if _, err := os.Lstat(file); err == nil {
		full = append(full, base)
	}
	begun := time.Time{}
	for _, name := range full {
		ended, err := time.Parse(rotatedForm, strings.TrimPrefix(name, base+"."))
		if current := err != nil; (current || !ended.Before(from)) && !begun.After(to.Add(mostDelay)) {
			likely = append(likely, filepath.Join(dir, name))
		} else {
			others = append(others, filepath.Join(dir, name))
		}
		begun = ended
	}
	if len(full) == 0 {
		return nil, fmt.Errorf("there is no evidence file %s, nor an older copy of it; name another with --evidence", file)
	}
	return append(likely, others...), nil
}

// foundDecision is a record and the file that has it.
type foundDecision struct {
	evidence.Record
	File string
}

// findDecision looks for the record of an ID in evidence files and their older copies. faults are lines about it that
// cannot be read.
func findDecision(files []string, id decisionID) (found foundDecision, faults []error, err error) {
	var all []foundDecision
	for _, file := range files {
		looked, err := evidenceCopies(file, id)
		if err != nil {
			return found, nil, err
		}
		for done := 0; done < len(looked); done++ {
			some, unreadable, err := decisionsIn(looked[done], id)
			if err != nil {
				return found, nil, err
			}
			all, faults = append(all, some...), append(faults, unreadable...)
			if len(all) > 0 && id.whole() {
				break // there is no other of this ID
			}
			if done == len(looked)-1 && len(all) == 0 {
				looked = append(looked, newCopies(file, id, looked)...)
			}
		}
	}
	switch ids := idsOf(all); len(ids) {
	case 0:
		return found, faults, fmt.Errorf("no record of decision %s: not in %s or an older copy. It may have been made by "+
			"another tiergate, or its file has been removed since (evidence.keep)", id, strings.Join(files, ", "))
	case 1:
		return all[0], faults, nil
	default:
		more := ""
		if len(ids) > candidatesMost {
			ids, more = ids[:candidatesMost], "\n  …"
		}
		return found, faults, fmt.Errorf("several decisions begin with %s; say more of the ID\n  %s%s", id,
			strings.Join(ids, "\n  "), more)
	}
}

// newCopies are those that came to be while others were read: the file became full.
func newCopies(file string, id decisionID, known []string) []string {
	now, err := evidenceCopies(file, id)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(now, func(name string) bool { return slices.Contains(known, name) })
}

func idsOf(all []foundDecision) []string {
	ids := make([]string, 0, len(all))
	for i := range all {
		r := &all[i]
		text := fmt.Sprintf("%s  %s  %s  %s", r.ID, r.Input.At.UTC().Format(time.RFC3339), r.Input.Subject, r.Verdict.Outcome)
		if !slices.Contains(ids, text) {
			ids = append(ids, text)
		}
	}
	return ids
}

// decisionsIn reads those lines of a file that speak of an ID, and no others. The file may be written meanwhile.
func decisionsIn(name string, id decisionID) (found []foundDecision, unreadable []error, err error) {
	f, err := os.Open(filepath.Clean(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, nil // it was removed or renamed just now; the newer name has been or will be looked into
	case err != nil:
		return nil, nil, fmt.Errorf("the record cannot be read: %w", err)
	}
	defer f.Close()
	lines, err := linesWith(f, []byte(`"`+string(id)))
	if err != nil {
		return nil, nil, fmt.Errorf("the record %s cannot be read: %w", name, err)
	}
	for r, err := range evidence.Read(bytes.NewReader(lines)) {
		switch {
		case errors.Is(err, evidence.ErrTorn): // it is being written, or a crash ended it
		case err != nil:
			unreadable = append(unreadable, fmt.Errorf("%s: of the lines about %s, %w", name, id, err))
		case strings.HasPrefix(r.ID, string(id)):
			found = append(found, foundDecision{Record: r, File: name})
		}
	}
	return found, unreadable, nil
}

// linesMost bounds the lines that are kept; so many of one ID are more than one can mean.
const linesMost = 1000

// linesWith are the lines of a file that have a text, the last one perhaps without its end.
func linesWith(from io.Reader, text []byte) ([]byte, error) {
	in := bufio.NewReaderSize(from, 1<<20)
	var all, line []byte
	for n := 0; n < linesMost; {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		if errors.Is(err, bufio.ErrBufferFull) && len(line) <= evidenceLineMost {
			continue
		}
		if bytes.Contains(line, text) {
			all = append(all, line...)
			n++
		}
		line = line[:0]
		switch {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
	return all, nil
}

// evidenceLineMost is more than a line of evidence has.
const evidenceLineMost = 17 << 20
