package boltstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"

	bolt "go.etcd.io/bbolt"
)

// The head of a bbolt file (bbolt internal/common/page.go and meta.go): two pages that each describe the whole, written in
// turn. When one is damaged bbolt takes the other, which is the file as it was before the last write: an acknowledged
// alarm would be gone and nobody told. A crash does not tear one, they are smaller than a sector, so such a file is refused.
const (
	pageHeader   = 16
	metaBytes    = 64 // with the checksum in the last 8
	metaMagic    = 0xED0CDAED
	metaVersion  = 2
	leastPage    = 512
	largestPage  = 1 << 20
	metaPageSize = 8  // offset of the page size, 4 bytes
	metaPages    = 40 // offset of the number of pages, 8 bytes
)

// checkPages refuses a file whose head is damaged or that has been cut. bbolt has read it by
// now, so it has a head.
func checkPages(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	size, pages, err := readMeta(f, 0)
	if err != nil {
		return err
	}
	_, second, err := readMeta(f, size)
	if err != nil {
		return err
	}
	if needed := max(pages, second); needed > uint64(info.Size()/size) {
		return fmt.Errorf("it has been cut: %d bytes of %d pages of %d; %w", info.Size(), needed, size, errDamaged)
	}
	return nil
}

// readMeta reads one of the two pages, and gives the bytes of a page and the number of pages.
func readMeta(f io.ReaderAt, at int64) (size int64, pages uint64, err error) {
	raw := make([]byte, pageHeader+metaBytes)
	if _, err := f.ReadAt(raw, at); err != nil && !errors.Is(err, io.EOF) {
		return 0, 0, err
	}
	meta := raw[pageHeader:]
	word := binary.NativeEndian // bbolt writes its structures as they lie in memory
	size = int64(word.Uint32(meta[metaPageSize:]))
	if word.Uint32(meta) != metaMagic || word.Uint32(meta[4:]) != metaVersion || size < leastPage || size > largestPage ||
		word.Uint64(meta[metaBytes-8:]) != sumOfMeta(meta) {
		return 0, 0, fmt.Errorf("one of the two pages of its head is damaged, so what was written last may be lost; %w", errDamaged)
	}
	return size, word.Uint64(meta[metaPages:]), nil
}

func sumOfMeta(meta []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(meta[:metaBytes-8])
	return h.Sum64()
}

// openDB opens the database and looks at its head, once the lock keeps others from writing it. The lock that bbolt waits
// for may be that of a file which Compact has replaced meanwhile: what is written there would be lost, so the name must still
// be that file's.
func openDB(file string, readOnly bool) (db *bolt.DB, err error) {
	var opened *os.File
	defer func() {
		if p := recover(); p != nil { // bbolt answers damage so, and leaves the file open and locked
			_ = opened.Close()
			panic(p)
		}
	}()
	db, err = bolt.Open(file, 0o600, &bolt.Options{
		Timeout: lockWait, FreelistType: bolt.FreelistMapType, ReadOnly: readOnly,
		OpenFile: func(name string, flag int, mode fs.FileMode) (_ *os.File, err error) {
			opened, err = os.OpenFile(name, flag, mode)
			return opened, err
		},
	})
	if err != nil {
		return nil, err
	}
	was, errWas := opened.Stat()
	is, errIs := os.Stat(file) //nolint:gosec // the operator names it
	if errWas != nil || errIs != nil || !os.SameFile(was, is) {
		_ = db.Close() // nothing was written
		return nil, fmt.Errorf("the store file %s was replaced while it was opened; try again", file)
	}
	if err := checkPages(opened); err != nil {
		_ = db.Close() // nothing was written
		return nil, fmt.Errorf("the store file %s is damaged: %w", file, err)
	}
	return db, nil
}
