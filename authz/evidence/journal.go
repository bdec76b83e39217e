package evidence

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// journal is the file with its older parts. What append has said is there is there, whole lines in order; what it has
// failed to write is not. It is not safe for concurrent use.
type journal struct {
	path     string
	maxBytes int64 // of one file
	keep     int   // older files beside it
	disk     disk
	now      func() time.Time
	events   *Events
	torn     func() // counts a torn last line

	file   file        // nil: to be opened
	size   int64       // of whole lines
	dirty  bool        // written since the last sync
	spoilt fs.FileInfo // set: this file may have more than size bytes, left by a write that failed
}

// append adds whole lines, and makes them durable if sync is set. On an error the file is as it was before.
func (j *journal) append(lines []byte, sync bool) error {
	if j.file == nil {
		if err := j.open(); err != nil {
			return err
		}
	}
	_, err := j.file.Write(lines)
	if err == nil && sync {
		err = j.file.Sync()
	}
	if err != nil {
		j.takeBack()
		return fmt.Errorf("the evidence file %s cannot be written: %w", j.path, err)
	}
	j.size += int64(len(lines))
	j.dirty = !sync
	return nil
}

// takeBack removes what a failed append may have left, now or before the next one, and lets go of the file.
func (j *journal) takeBack() {
	info, err := j.file.Stat()
	if j.file.Truncate(j.size) != nil {
		if j.spoilt = info; err != nil {
			j.spoilt = nil // without a name for it, it is looked at as any file is
		}
	}
	_ = j.file.Close() // it has failed already
	j.file = nil
}

// sync makes durable what was written.
func (j *journal) sync() error {
	if j.file == nil || !j.dirty {
		return nil
	}
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("the evidence file %s cannot be synced; "+
			"records of the last second may be lost at a power cut: %w", j.path, err)
	}
	j.dirty = false
	return nil
}

// close syncs and lets go.
func (j *journal) close() error {
	if j.file == nil {
		return nil
	}
	err := j.sync()
	if closed := j.file.Close(); err == nil && closed != nil {
		err = fmt.Errorf("the evidence file %s cannot be closed: %w", j.path, closed)
	}
	j.file = nil
	return err
}

// open opens or creates the file, takes back what a failed append left, and sets a torn last line aside.
func (j *journal) open() error {
	f, err := j.disk.open(j.path, os.O_RDWR|os.O_APPEND|os.O_CREATE)
	if err != nil {
		return fmt.Errorf("the evidence file %s cannot be opened: %w; "+
			"see that it is a file of the user that runs tiergate", j.path, err)
	}
	if err := j.adopt(f); err != nil {
		_ = f.Close() // nothing was written
		return err
	}
	j.file, j.spoilt = f, nil
	return nil
}

func (j *journal) adopt(f file) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("the evidence file %s cannot be looked at: %w", j.path, err)
	}
	if err := checkFile(j.path, info); err != nil {
		return err
	}
	size := info.Size()
	if j.spoilt != nil && os.SameFile(j.spoilt, info) && size > j.size {
		if err := f.Truncate(j.size); err != nil {
			return fmt.Errorf("what was half written to the evidence file %s cannot be taken back: %w", j.path, err)
		}
		size = j.size
	}
	if size == 0 {
		if err := j.disk.syncDir(filepath.Dir(j.path)); err != nil {
			return fmt.Errorf("the directory of the evidence file %s cannot be synced: %w", j.path, err)
		}
	}
	j.size, err = j.mend(f, size)
	return err
}

// mend sets a torn last line aside and returns the size of the whole lines.
func (j *journal) mend(f file, size int64) (int64, error) {
	if err := j.ours(f, size); err != nil {
		return 0, err
	}
	whole, err := j.endOfLines(f, size)
	if err != nil || whole == size {
		return whole, err
	}
	tail := make([]byte, size-whole)
	if _, err := f.ReadAt(tail, whole); err != nil {
		return 0, fmt.Errorf("the end of the evidence file %s cannot be read: %w", j.path, err)
	}
	if err := j.setAside(tail); err != nil {
		return 0, err
	}
	if err := f.Truncate(whole); err != nil {
		return 0, fmt.Errorf("the torn last line of %s cannot be cut off: %w", j.path, err)
	}
	j.torn()
	j.events.mended(j.path, j.path+".torn", len(tail))
	return whole, nil
}

// endOfLines is where the last whole line ends.
func (j *journal) endOfLines(f file, size int64) (int64, error) {
	chunk := make([]byte, 64<<10)
	for end := size; end > 0; end -= int64(len(chunk)) {
		chunk = chunk[:min(end, int64(len(chunk)))]
		start := end - int64(len(chunk))
		if _, err := f.ReadAt(chunk, start); err != nil {
			return 0, fmt.Errorf("the end of the evidence file %s cannot be read: %w", j.path, err)
		}
		if at := bytes.LastIndexByte(chunk, '\n'); at >= 0 {
			return start + int64(at) + 1, nil
		}
		if size-start > maxLineBytes {
			return 0, fmt.Errorf("the last line of %s is longer than any line of evidence; "+
				"move the file away or set another evidence.file", j.path)
		}
	}
	return 0, nil
}

// ours refuses a file that begins like none of ours: a slip in the settings must not cost somebody their file.
func (j *journal) ours(f file, size int64) error {
	const begin = `{"v":`
	head := make([]byte, min(size, int64(len(begin))))
	if _, err := f.ReadAt(head, 0); err != nil && len(head) > 0 {
		return fmt.Errorf("the evidence file %s cannot be read: %w", j.path, err)
	}
	if !strings.HasPrefix(begin, string(head)) {
		return fmt.Errorf("%s holds something else than evidence; set another evidence.file", j.path)
	}
	return nil
}

// setAside appends a torn line to the file for such lines, which begins anew when it has become too large.
func (j *journal) setAside(tail []byte) error {
	aside := j.path + ".torn"
	fail := func(err error) error {
		return fmt.Errorf("the torn last line of %s cannot be set aside in %s: %w", j.path, aside, err)
	}
	f, err := j.disk.open(aside, os.O_RDWR|os.O_APPEND|os.O_CREATE)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = f.Close() }() // Sync says whether it is there
	if info, err := f.Stat(); err != nil {
		return fail(err)
	} else if info.Size() > maxLineBytes {
		if err := f.Truncate(0); err != nil {
			return fail(err)
		}
	}
	if _, err := f.Write(append(tail, '\n')); err != nil {
		return fail(err)
	}
	if err := f.Sync(); err != nil {
		return fail(err)
	}
	return nil
}

// rotatedAt is how the end of an older file's name is written, UTC: names sort by time.
const rotatedAt = "20060102T150405.000000000Z"

// rotate makes room for n bytes: a file that they would make too large becomes an older one, and the oldest go.
func (j *journal) rotate(n int) error {
	if j.file == nil {
		if err := j.open(); err != nil {
			return err
		}
	}
	if j.size == 0 || j.size+int64(n) <= j.maxBytes {
		return nil
	}
	if err := j.close(); err != nil {
		return err
	}
	older, err := j.older()
	if err != nil {
		return err
	}
	prefix, at := filepath.Base(j.path)+".", j.now().UTC()
	if len(older) > 0 { // the clock may have gone back; the order of the files stays
		youngest, _ := time.Parse(rotatedAt, strings.TrimPrefix(older[len(older)-1], prefix))
		at = slices.MaxFunc([]time.Time{at, youngest.Add(1)}, time.Time.Compare)
	}
	name := prefix + at.Format(rotatedAt)
	to := filepath.Join(filepath.Dir(j.path), name)
	if err := j.disk.rename(j.path, to); err != nil {
		return fmt.Errorf("the evidence file %s is full and cannot be renamed: %w", j.path, err)
	}
	j.events.rotated(to)
	j.prune(append(older, name))
	return j.open()
}

// prune removes the oldest files. One that cannot be removed is told, and tried again at the next rotation.
func (j *journal) prune(older []string) {
	for len(older) > j.keep {
		err := j.disk.remove(filepath.Join(filepath.Dir(j.path), older[0]))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			j.events.failed(fmt.Errorf("an older evidence file cannot be removed: %w", err), 0)
		}
		older = older[1:]
	}
}

// older are the names of the older files, the oldest first.
func (j *journal) older() ([]string, error) {
	names, err := j.disk.list(filepath.Dir(j.path))
	if err != nil {
		return nil, fmt.Errorf("the older evidence files cannot be listed: %w", err)
	}
	prefix := filepath.Base(j.path) + "."
	names = slices.DeleteFunc(names, func(name string) bool {
		at, ok := strings.CutPrefix(name, prefix)
		_, err := time.Parse(rotatedAt, at)
		return !ok || err != nil
	})
	slices.Sort(names)
	return names, nil
}
