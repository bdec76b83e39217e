package outlets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// JSONLines appends events to a file, one a line, each on the disk before it counts as told. When the file was renamed or
// removed, as log rotation does, the next event begins a new one. A line that a crash cut off is ended, and its event told
// again.
type JSONLines struct {
	path string

	mu   sync.Mutex
	file *os.File // nil: to be opened
	torn bool     // the last line may be a part of one
}

// NewJSONLines makes one; the file is opened, mode 0600, when there is something to write.
func NewJSONLines(path string) *JSONLines { return &JSONLines{path: filepath.Clean(path)} }

// Where implements Outlet.
func (j *JSONLines) Where() string { return j.path }

// Target implements Outlet.
func (j *JSONLines) Target() string { return digestOf("jsonlines", j.path) }

// Send implements Outlet.
func (j *JSONLines) Send(_ context.Context, e *Event) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.current(); err != nil {
		return &Failure{Err: fmt.Errorf("%w: correct the outlet's file, or its directory", err)}
	}
	text := jsonLine(e)
	if j.torn {
		text = append([]byte{'\n'}, text...)
	}
	was, sizeErr := j.file.Seek(0, io.SeekEnd)
	n, err := j.file.Write(text)
	if err == nil {
		err = j.file.Sync()
	}
	if err == nil {
		j.torn = false
		return nil
	}
	if n > 0 && sizeErr == nil {
		_ = j.file.Truncate(was) // else whoever opens it next ends the line that was cut off
	}
	_ = j.file.Close() // after a failed sync the kernel may have dropped what it had: nothing is believed of this handle
	j.file = nil
	return &Failure{Err: fmt.Errorf("%w: make room, or correct the outlet's file", err)}
}

// current opens the file that the path names now.
func (j *JSONLines) current() error {
	if j.file != nil {
		named, err := os.Stat(j.path)
		held, heldErr := j.file.Stat()
		if err == nil && heldErr == nil && os.SameFile(named, held) {
			return nil
		}
		_ = j.file.Close() // each line that counts was synced
		j.file = nil
	}
	file, err := os.OpenFile(j.path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	j.file, j.torn = file, false
	if end, err := file.Seek(0, io.SeekEnd); err == nil && end > 0 {
		last := make([]byte, 1)
		_, err = file.ReadAt(last, end-1)
		j.torn = err != nil && !errors.Is(err, io.EOF) || last[0] != '\n'
	}
	return syncDir(filepath.Dir(j.path))
}

// syncDir makes the name of a new file durable.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// Close ends it.
func (j *JSONLines) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return nil
	}
	err := j.file.Close()
	j.file = nil
	return err
}
