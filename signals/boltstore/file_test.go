package boltstore

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// TestOpenSaysWhy: each reason for which a file cannot be the store, with the words that tell what to do.
func TestOpenSaysWhy(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(t *testing.T, file string) string
		words   []string
	}{
		"directory missing": {func(_ *testing.T, file string) string { return filepath.Join(file, "no", "store.db") },
			[]string{"does not exist", "create it"}},
		"parent is a file": {func(t *testing.T, file string) string {
			writeFile(t, file, "x", 0o600)
			return filepath.Join(file, "store.db")
		}, []string{"not a directory"}},
		"a directory": {func(t *testing.T, file string) string {
			if err := os.Mkdir(file, 0o700); err != nil {
				t.Fatal(err)
			}
			return file
		}, []string{"not a regular file"}},
		"readable by others": {func(t *testing.T, file string) string {
			writeFile(t, file, "", 0o644)
			return file
		}, []string{"0644", "chmod 600"}},
		"not a database": {func(t *testing.T, file string) string {
			writeFile(t, file, strings.Repeat("not a database\n", 1000), 0o600)
			return file
		}, []string{"not a tiergate store"}},
		"another program's": {func(t *testing.T, file string) string {
			foreign(t, file, "kubernetes", "")
			return file
		}, []string{"another program", "kubernetes"}},
		"a later layout": {func(t *testing.T, file string) string {
			foreign(t, file, string(bucketMeta), "3")
			return file
		}, []string{`layout "3"`, "reads 2"}},
	} {
		t.Run(name, func(t *testing.T) {
			file := c.prepare(t, filepath.Join(t.TempDir(), "store.db"))
			s, err := Open(file)
			if err == nil {
				_ = s.Close()
				t.Fatal("it was opened")
			}
			for _, w := range append(c.words, filepath.Dir(file)) {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q does not say %q", err, w)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%q is more than one line", err)
			}
		})
	}
}

func TestOpenRefusesASecondOwner(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	began := time.Now()
	_, err := Open(s.file)
	if err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Fatalf("got %v", err)
	}
	if took := time.Since(began); took > lockWait+30*time.Second { // it does not wait for ever; a loaded machine adds to it
		t.Fatalf("it took %v", took)
	}
}

func TestOpenWithoutPermission(t *testing.T) {
	if os.Geteuid() == 0 {
		// Root may write everywhere but to what the kernel itself refuses.
		_, err := Open("/proc/tiergate-store.db")
		if err == nil || strings.Contains(err.Error(), "\n") {
			t.Fatalf("got %v", err)
		}
		return
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(filepath.Join(dir, "store.db")); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Fatalf("got %v", err)
	}
}

func writeFile(t *testing.T, file, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
}

func foreign(t *testing.T, file, bucket, schema string) {
	t.Helper()
	db, err := bolt.Open(file, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	err = db.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucket([]byte(bucket))
		if err != nil {
			return err
		}
		return b.Put(keySchema, []byte(schema))
	})
	if err != nil {
		t.Fatal(err)
	}
}
