package boltstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/tiergate/tiergate/signals"
)

// Report is what Check finds.
type Report struct {
	File     string         `json:"file"`
	Layout   string         `json:"layout"`
	Bytes    int64          `json:"bytes"` // of the file
	Free     int64          `json:"free"`  // of them, what Compact can give back at least; -1: not counted
	Postures int            `json:"postures"`
	Records  map[string]int `json:"records"` // by kind; what has expired and is not yet removed is not counted
	Schemas  map[int]int    `json:"schemas"` // values by the version that they are written in
	// Faults are values that cannot be read or believed, the first 100 by name; FaultCount is how many there are. A device
	// whose posture cannot be read is refused everywhere; a record that cannot be read counts as unknown.
	Faults     []string `json:"faults"`
	FaultCount int      `json:"faultCount"`
}

const maxFaults = 100

func (r *Report) fault(err error) {
	if r.FaultCount++; len(r.Faults) < maxFaults {
		r.Faults = append(r.Faults, err.Error())
	}
}

// Check reads every value of a file that no process has open for writing. An error means that the file as a whole cannot be
// read or believed.
func Check(file string) (Report, error) {
	if err := checkExists(file); err != nil {
		return Report{}, err
	}
	var report Report
	err := guard(file, func() error {
		db, err := openDB(file, true)
		switch {
		case errors.Is(err, bolterrors.ErrTimeout):
			return fmt.Errorf("the store file %s is in use by another process; ask that process (--config), or check a backup", file)
		case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrVersionMismatch), errors.Is(err, bolterrors.ErrChecksum):
			return fmt.Errorf("%s is not a tiergate store, or is damaged (%w); restore a backup", file, err)
		case err != nil:
			return err
		}
		defer func() { _ = db.Close() }() // it was only read
		return db.View(func(tx *bolt.Tx) (err error) {
			if err := isStore(tx, file); err != nil {
				return err
			}
			report, err = examine(tx, file)
			return err
		})
	})
	return report, err
}

// Check reads every value of the open store. Writes that make the file grow wait meanwhile.
func (s *Store) Check() (Report, error) {
	var report Report
	err := s.read(func(tx *bolt.Tx) (err error) {
		report, err = examine(tx, s.file)
		return err
	})
	if err == nil {
		stats := s.db.Stats()
		report.Free = int64(stats.FreePageN+stats.PendingPageN) * int64(s.db.Info().PageSize)
	}
	return report, err
}

func checkExists(file string) error {
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no store file %s; name the one of the settings' store.embedded.file, or a backup", file)
	}
	return checkFile(file)
}

// isStore refuses what is no store of ours, without making it one.
func isStore(tx *bolt.Tx, file string) error {
	for _, name := range [][]byte{bucketMeta, bucketPostures, bucketRecords, bucketExpiries} {
		if tx.Bucket(name) == nil {
			return fmt.Errorf("%s is not a tiergate store: it has no bucket %q", file, name)
		}
	}
	if found := string(tx.Bucket(bucketMeta).Get(keySchema)); found != layout && found != layoutSumless {
		return fmt.Errorf("the store file %s has layout %q, this tiergate reads %s; use the tiergate that wrote it", file, found, layout)
	}
	return nil
}

func examine(tx *bolt.Tx, file string) (Report, error) {
	report := Report{File: file, Layout: string(tx.Bucket(bucketMeta).Get(keySchema)), Bytes: tx.Size(), Free: -1,
		Records: map[string]int{}, Schemas: map[int]int{}, Faults: []string{}}
	if report.Layout == layout {
		if err := checkSum(tx, file); err != nil {
			return report, err
		}
	}
	now := time.Now()
	err := tx.Bucket(bucketPostures).ForEach(func(key, value []byte) error {
		if _, err := decodePosture(signals.DeviceID(key), value); err != nil {
			report.fault(err)
			return nil
		}
		report.Postures++
		report.Schemas[schema]++
		return nil
	})
	if err != nil {
		return report, err
	}
	return report, tx.Bucket(bucketRecords).ForEachBucket(func(kind []byte) error {
		return tx.Bucket(bucketRecords).Bucket(kind).ForEach(func(key, value []byte) error {
			stored, err := decodeRecord(string(kind), string(key), value)
			if err != nil {
				report.fault(err)
				return nil
			}
			if !stored.expired(now) {
				report.Records[string(kind)]++
			}
			report.Schemas[stored.Schema]++
			return nil
		})
	})
}

// Backup writes the store as it is at one instant to a new file, syncs it, and checks it. Reading and writing go on; a write
// that makes the file grow waits until the copy is made. There is no file under that name until it is whole.
func (s *Store) Backup(to string) (Report, error) {
	return writeNew(to, func(f *os.File) error {
		return s.read(func(tx *bolt.Tx) error {
			_, err := tx.WriteTo(f)
			return err
		})
	})
}

// writeNew makes a file that is there whole and checked, or not at all. One that exists is not replaced.
func writeNew(to string, fill func(*os.File) error) (Report, error) {
	if !filepath.IsAbs(to) {
		return Report{}, fmt.Errorf("%s is no absolute path", to)
	}
	f, err := os.CreateTemp(filepath.Dir(to), "."+filepath.Base(to)+".*")
	if err != nil {
		return Report{}, fmt.Errorf("no file can be made beside %s: %w", to, err)
	}
	made := f.Name()
	defer os.Remove(made) //nolint:errcheck // it is gone if all went well
	err = fill(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return Report{}, fmt.Errorf("the copy %s cannot be written: %w; see that there is space", to, err)
	}
	report, err := Check(made)
	report.File = to
	if err != nil {
		return report, fmt.Errorf("the copy is not good, and was removed: %w", err)
	}
	if err := os.Link(made, to); err != nil { // a rename would replace what is there
		return report, fmt.Errorf("the copy cannot be named %s: %w; name a file that is not there yet", to, err)
	}
	return report, syncDir(filepath.Dir(to))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
