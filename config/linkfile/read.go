package linkfile

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/tiergate/tiergate/config/strictyaml"
)

// The limits of a directory, far above what people decide one by one.
const (
	maxFiles      = 1000
	maxTotalBytes = 8 << 20
)

// Files are the files of a directory as they were at one moment.
type Files struct {
	dir   string
	files []file // by name
}

type file struct {
	name string
	data []byte
}

// Digest is the SHA-256 of all names and contents in hex.
func (f *Files) Digest() string {
	hash := sha256.New()
	for _, file := range f.files {
		fmt.Fprintf(hash, "%d %s %d %s", len(file.name), file.name, len(file.data), file.data)
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// Read reads the *.yaml and *.yml files of a directory, none below it. Names that begin with a dot are left out; links to
// files are followed, and of a mounted ConfigMap one version is read. A directory without any file is refused: one that is
// not mounted would forbid nothing.
func Read(dir string) (*Files, error) {
	from, err := filepath.EvalSymlinks(filepath.Join(dir, "..data")) // of a ConfigMap
	if errors.Is(err, os.ErrNotExist) {
		from, err = dir, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ingest.links: %w", err)
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return nil, fmt.Errorf("ingest.links: the directory cannot be listed: %w", err)
	}
	read, total := &Files{dir: dir}, 0
	for _, entry := range entries {
		ext := strings.ToLower(filepath.Ext(entry.Name()))
		if strings.HasPrefix(entry.Name(), ".") || ext != ".yaml" && ext != ".yml" {
			continue
		}
		data, err := content(filepath.Join(from, entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("ingest.links: %s: %w", filepath.Join(dir, entry.Name()), err)
		}
		read.files = append(read.files, file{entry.Name(), data})
		if total += len(data); total > maxTotalBytes || len(read.files) > maxFiles {
			return nil, fmt.Errorf("ingest.links: %s has more than %d files or %d bytes: name the directory of the DeviceLink documents "+
				"alone", dir, maxFiles, maxTotalBytes)
		}
	}
	if len(read.files) == 0 {
		return nil, fmt.Errorf("ingest.links: %s has no .yaml file: mount it, write one (comments are enough), or leave out "+
			"ingest.links", dir)
	}
	return read, nil
}

// content reads one byte more than may be, so that what is too large is refused by the parser and not cut.
func content(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("is no regular file: remove it")
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, strictyaml.MaxFileBytes+1))
}
