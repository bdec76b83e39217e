package boltstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"
)

// compactStep is how many bytes one transaction of a copy holds.
const compactStep = 8 << 20

// Compact writes the file anew without the space that nothing uses any more, and puts it in the place of the old one in one
// step: after a crash at any instant the name is that of the old file, or of the new one, whole. It wants the file for
// itself. It returns the sizes in bytes.
func Compact(file string) (before, after int64, err error) {
	if err := checkExists(file); err != nil {
		return 0, 0, err
	}
	old, err := openFile(file) // the lock is held until the new file has the name
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, old.Close()) }()
	made := filepath.Join(filepath.Dir(file), "."+filepath.Base(file)+".compact")
	if err := os.Remove(made); err != nil && !errors.Is(err, os.ErrNotExist) { // what a crash left
		return 0, 0, fmt.Errorf("the remains of an earlier run cannot be removed: %w", err)
	}
	defer os.Remove(made) //nolint:errcheck // it is gone if all went well
	err = guard(file, func() error {
		if err := old.View(func(tx *bolt.Tx) error { return checkSum(tx, file) }); err != nil {
			return err
		}
		return copyCompact(old, made)
	})
	if err != nil {
		return 0, 0, fmt.Errorf("the store file %s is as it was: %w", file, err)
	}
	if err := alikeStores(file, old, made); err != nil {
		return 0, 0, fmt.Errorf("the store file %s is as it was: %w", file, err)
	}
	was, errWas := os.Stat(file)
	is, errIs := os.Stat(made)
	if err := errors.Join(errWas, errIs); err != nil {
		return 0, 0, err
	}
	if err := os.Rename(made, file); err != nil {
		return 0, 0, fmt.Errorf("the store file %s is as it was: %w", file, err)
	}
	return was.Size(), is.Size(), syncDir(filepath.Dir(file))
}

func copyCompact(old *bolt.DB, made string) error {
	fresh, err := bolt.Open(made, 0o600, &bolt.Options{Timeout: lockWait, FreelistType: bolt.FreelistMapType})
	if err != nil {
		return err
	}
	return errors.Join(bolt.Compact(fresh, old, compactStep), fresh.Sync(), fresh.Close())
}

// alikeStores refuses a copy that has not everything.
func alikeStores(file string, old *bolt.DB, made string) error {
	copied, err := Check(made)
	if err != nil {
		return err
	}
	var original Report
	err = guard(file, func() error {
		return old.View(func(tx *bolt.Tx) (err error) {
			original, err = examine(tx, file)
			return err
		})
	})
	if err != nil {
		return err
	}
	if copied.Postures != original.Postures || copied.FaultCount != original.FaultCount {
		return fmt.Errorf("the copy has %d postures and the file %d", copied.Postures, original.Postures)
	}
	return nil
}
