package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/tiergate/tiergate/authz/evidence"
)

// historyDisk are the steps by which the history writes; each is whole or fails. Whatever step was the last, an entry is
// there with all of its files or not at all.
type historyDisk struct {
	mkdir  func(dir string) error
	write  func(file string, content []byte) error // a new file, on the disk when it returns
	sync   func(dir string) error                  // names in it survive a power cut
	rename func(from, to string) error
	remove func(path string) error // with all below it
}

func machineDisk() historyDisk {
	return historyDisk{
		mkdir: func(dir string) error { return os.Mkdir(dir, 0o700) },
		write: writeSynced,
		sync: func(dir string) error {
			d, err := os.Open(dir)
			if err != nil {
				return err
			}
			defer d.Close()
			return d.Sync()
		},
		rename: os.Rename,
		remove: os.RemoveAll,
	}
}

func writeSynced(file string, content []byte) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

// safeHistoryDir refuses a directory in which others could lay a policy for us to bring into force.
func safeHistoryDir(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("policy.history.dir: %w", err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir():
		return fmt.Errorf("policy.history.dir: %s is no directory; remove it, or name another", dir)
	case !ok || int(stat.Uid) != os.Geteuid():
		return fmt.Errorf("policy.history.dir: %s does not belong to user %d, who runs tiergate, so others could put a "+
			"policy there; change its owner, or name another", dir, os.Geteuid())
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("policy.history.dir: %s has mode %04o, so others may enter it; run chmod 0700 %s", dir,
			info.Mode().Perm(), dir)
	}
	parent, err := os.Stat(filepath.Dir(dir))
	if err != nil {
		return fmt.Errorf("policy.history.dir: %w", err)
	}
	if parent.Mode().Perm()&0o002 != 0 && parent.Mode()&os.ModeSticky == 0 {
		return fmt.Errorf("policy.history.dir: %s has mode %04o, so others may replace what is in it; run chmod o-w %s",
			filepath.Dir(dir), parent.Mode().Perm(), filepath.Dir(dir))
	}
	return nil
}

// lockHistory claims the directory for as long as the file is open.
func lockHistory(dir string) (*os.File, error) { return evidence.Claim(filepath.Join(dir, "lock")) }

// absent reports that a thing is not there, which for a pin is an answer and no fault.
func absent(err error) bool { return errors.Is(err, fs.ErrNotExist) }
