package boltstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

var (
	bucketMeta     = []byte("tiergate") // says that the file is ours; "schema" is the layout of the buckets
	bucketPostures = []byte("postures") // device → storedPosture
	bucketRecords  = []byte("records")  // a bucket per kind: key → storedRecord
	bucketExpiries = []byte("expiries") // see expiryKey
	keySchema      = []byte("schema")
)

// layout is the version of the buckets above. One of layout 1 has no sum of its postures (see sum.go); opening it adds one.
const (
	layout        = "2"
	layoutSumless = "1"
)

// lockWait bounds the wait for another process that owns the file.
const lockWait = time.Second

// checkFile refuses what bbolt would report in words that do not say what to do, and what others could read or write.
func checkFile(file string) error {
	dir := filepath.Dir(file)
	switch info, err := os.Stat(dir); { //nolint:gosec // the operator names it
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the store's directory %s does not exist; create it (mode 0700) or set another store file", dir)
	case err != nil:
		return fmt.Errorf("the store's directory %s cannot be used: %w", dir, err)
	case !info.IsDir():
		return fmt.Errorf("the store file's parent %s is not a directory; set another store file", dir)
	}
	switch info, err := os.Stat(file); { //nolint:gosec // the operator names it
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("the store file %s cannot be used: %w", file, err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("the store file %s is not a regular file; set another one", file)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("the store file %s has mode %04o, so others may read or change it; run chmod 600 %s",
			file, info.Mode().Perm(), file)
	}
	return nil
}

// openFile opens the database and makes sure that it is ours.
func openFile(file string) (*bolt.DB, error) {
	var db *bolt.DB
	err := guard(file, func() (err error) {
		db, err = openDB(file, false)
		switch {
		case errors.Is(err, bolterrors.ErrTimeout):
			return fmt.Errorf("the store file %s is in use by another process; stop that one or set another store file", file)
		case errors.Is(err, fs.ErrPermission):
			return fmt.Errorf("the store file %s cannot be opened or created: permission denied; "+
				"see that the file and its directory belong to the user that runs tiergate", file)
		case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrVersionMismatch),
			errors.Is(err, bolterrors.ErrChecksum):
			return fmt.Errorf("%s is not a tiergate store, or is damaged (%w); "+
				"set another store file or restore a backup", file, err)
		case errors.Is(err, errDamaged):
			return err
		case err != nil:
			return fmt.Errorf("the store file %s cannot be opened: %w", file, err)
		}
		return claim(db, file)
	})
	if err != nil {
		if db != nil {
			_ = db.Close()
		}
		return nil, err
	}
	return db, nil
}

// claim makes a new file ours, and refuses one that is somebody else's or of a later tiergate.
func claim(db *bolt.DB, file string) error {
	mine, foreign := false, ""
	err := db.View(func(tx *bolt.Tx) error {
		if meta := tx.Bucket(bucketMeta); meta != nil {
			mine = true
			if schema := string(meta.Get(keySchema)); schema != layout && schema != layoutSumless {
				return fmt.Errorf("the store file %s has layout %q, this tiergate reads %s; "+
					"run the tiergate that wrote it, or set another store file", file, schema, layout)
			}
		}
		return tx.ForEach(func(name []byte, _ *bolt.Bucket) error {
			foreign = string(name)
			return nil
		})
	})
	switch {
	case err != nil:
		return err
	case !mine && foreign != "":
		return fmt.Errorf("%s is a bbolt file of another program (bucket %q); set another store file", file, foreign)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{bucketMeta, bucketPostures, bucketRecords, bucketExpiries} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		if string(tx.Bucket(bucketMeta).Get(keySchema)) == layout {
			return nil
		}
		if err := tx.Bucket(bucketMeta).Put(keyPosturesSum, sumOf(tx)); err != nil {
			return err
		}
		return tx.Bucket(bucketMeta).Put(keySchema, []byte(layout))
	})
	if err != nil {
		return fmt.Errorf("the store file %s cannot be written: %w; see that its disk has space and is writable", file, err)
	}
	return nil
}

// guard turns the panic and the memory fault that bbolt answers a damaged file with into an error.
func guard(file string, do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the store file %s is damaged (%v); "+
				"restore it from a backup, or move it away to start empty", file, p)
		}
	}()
	return do()
}
