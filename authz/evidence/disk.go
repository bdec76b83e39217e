package evidence

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// disk is the file system, as far as the journal uses it.
type disk interface {
	open(path string, flags int) (file, error)
	rename(from, to string) error
	remove(path string) error
	list(dir string) ([]string, error) // names, in no order
	syncDir(dir string) error          // so that a new name survives a power cut
}

// file is an open file.
type file interface {
	Write(p []byte) (int, error)
	ReadAt(p []byte, offset int64) (int, error)
	Sync() error
	Truncate(size int64) error
	Stat() (fs.FileInfo, error)
	Close() error
}

// machine is the disk of the machine.
type machine struct{}

// open never follows a symbolic link in the last place, which somebody else may have laid there.
func (machine) open(path string, flags int) (file, error) {
	return os.OpenFile(path, flags|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0o600)
}

func (machine) rename(from, to string) error { return os.Rename(from, to) }

func (machine) remove(path string) error { return os.Remove(path) }

func (machine) list(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

func (machine) syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// checkDir wants a directory in which nobody else can put or replace a file.
func checkDir(path string) error {
	dir := filepath.Dir(path)
	switch info, err := os.Stat(dir); {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the directory of the evidence file, %s, does not exist; "+
			"create it (mode 0700) or set another evidence.file", dir)
	case err != nil:
		return fmt.Errorf("the directory of the evidence file, %s, cannot be used: %w", dir, err)
	case !info.IsDir():
		return fmt.Errorf("the evidence file's parent %s is no directory; set another evidence.file", dir)
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("the directory of the evidence file, %s, has mode %04o, so others may replace what is in it; "+
			"run chmod go-w %s or set another evidence.file", dir, info.Mode().Perm(), dir)
	}
	return nil
}

// checkFile wants a regular file that nobody else may change, and that strangers may not read. A group may: log
// shippers.
func checkFile(path string, info fs.FileInfo) error {
	switch {
	case !info.Mode().IsRegular():
		return fmt.Errorf("the evidence file %s is no regular file; set another evidence.file", path)
	case info.Mode().Perm()&0o027 != 0:
		return fmt.Errorf("the evidence file %s has mode %04o, so others may read or change it; run chmod 600 %s",
			path, info.Mode().Perm(), path)
	}
	return nil
}

// lock claims the evidence file for this process. The lock is beside the file, which rotation renames, and ends with
// the process.
func lock(path string) (*os.File, error) {
	f, err := Claim(path + ".lock")
	var at *fs.PathError
	switch {
	case errors.Is(err, ErrTaken):
		return nil, fmt.Errorf("another process writes the evidence file %s; stop that one or set another evidence.file", path)
	case errors.As(err, &at):
		return nil, fmt.Errorf("the evidence file %s cannot be claimed: %w; "+
			"see that its directory belongs to the user that runs tiergate", path, err)
	case err != nil:
		return nil, fmt.Errorf("the evidence file %s cannot be claimed: %w", path, err)
	}
	return f, nil
}
