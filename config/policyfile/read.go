package policyfile

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tiergate/tiergate/config/strictyaml"
)

// The limits of a policy directory. They are far above any policy that people keep in their heads, and low enough that a
// wrong path or a hostile file costs little.
const (
	MaxFiles      = 1000
	MaxFileBytes  = strictyaml.MaxFileBytes
	MaxTotalBytes = 32 << 20
	maxEntries    = 5_000
)

// dataLink is where Kubernetes keeps the files of a mounted ConfigMap: a symbolic link that it swaps atomically; what
// stands beside it are links into it.
const dataLink = "..data"

// Files are the policy files of a directory as they were at one moment.
type Files struct {
	dir   string
	files []file
}

type file struct {
	name string // relative to dir, with slashes
	data []byte
}

// Dir is the directory as it was given to Read.
func (f *Files) Dir() string { return f.dir }

// Names are the files relative to the directory, sorted.
func (f *Files) Names() []string {
	var names []string
	for _, file := range f.files {
		names = append(names, file.name)
	}
	return names
}

// Digest is the SHA-256 of all names and contents in hex. Equal digests mean equal files, wherever they lie.
func (f *Files) Digest() string {
	hash := sha256.New()
	for _, file := range f.files {
		for _, part := range [][]byte{[]byte(file.name), file.data} {
			_ = binary.Write(hash, binary.BigEndian, uint64(len(part))) // a hash takes every write
			hash.Write(part)
		}
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// Read reads all *.yaml and *.yml files below a directory. Names that begin with a dot are left out. A symbolic link to a
// file is followed if it stays in the directory; with a ..data link beside the files (a mounted ConfigMap) its target is
// opened once, so that a swap during reading never mixes two versions. The error is strictyaml.Problems, all at once, or
// a sentence about the directory.
func Read(dir string) (*Files, error) {
	if dir == "" {
		return nil, errors.New("no policy directory is named: set policy.dir in the settings")
	}
	root, err := os.OpenRoot(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("there is no policy directory %s: create it, or correct policy.dir in the settings", dir)
	case err != nil:
		return nil, fmt.Errorf("the policy directory cannot be opened: %w", err)
	}
	defer func() { _ = root.Close() }()
	r := &reader{root: root, files: &Files{dir: dir}}
	if err := r.pinData(); err != nil {
		return nil, err
	}
	if r.root != root {
		defer func() { _ = r.root.Close() }()
	}
	r.walk(".")
	switch {
	case len(r.problems) > 0:
		return nil, r.problems
	case len(r.files.files) == 0:
		return nil, fmt.Errorf("the policy directory %s has no .yaml file: write the policy there, "+
			"or correct policy.dir in the settings", dir)
	}
	slices.SortFunc(r.files.files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	return r.files, nil
}

type reader struct {
	root     *os.Root
	files    *Files
	entries  int
	total    int
	stopped  bool
	problems strictyaml.Problems
}

func (r *reader) problem(name, message, help string) {
	r.problems = append(r.problems, strictyaml.Problem{
		Position: strictyaml.Position{File: filepath.Join(r.files.dir, filepath.FromSlash(name))},
		Message:  message,
		Help:     help,
	})
}

// pinData moves the root into ..data if there is one, and refuses files beside it that would be left out silently.
func (r *reader) pinData() error {
	if _, err := r.root.Lstat(dataLink); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	entries, err := fs.ReadDir(r.root.FS(), ".")
	if err != nil {
		return fmt.Errorf("the policy directory cannot be listed: %w", err)
	}
	for _, entry := range entries {
		isLink := entry.Type()&fs.ModeSymlink != 0
		if !strings.HasPrefix(entry.Name(), ".") && !isLink && (entry.IsDir() || isPolicy(entry.Name())) {
			r.problem(entry.Name(), "lies beside "+dataLink+" and not in it, so it would not be read",
				"move it into the ConfigMap, or remove "+dataLink)
		}
	}
	pinned, err := r.root.OpenRoot(dataLink)
	if err != nil {
		return fmt.Errorf("the mounted ConfigMap cannot be opened: %w", err)
	}
	r.root = pinned
	return nil
}

func isPolicy(name string) bool {
	ext := strings.ToLower(path.Ext(name))
	return ext == ".yaml" || ext == ".yml"
}

func (r *reader) walk(dir string) {
	entries, err := fs.ReadDir(r.root.FS(), dir)
	if err != nil {
		r.problem(dir, "the directory cannot be listed: "+err.Error(), "correct its permissions")
		return
	}
	for _, entry := range entries {
		name := path.Join(dir, entry.Name())
		if r.entries++; r.entries > maxEntries && !r.stopped {
			r.problem(".", fmt.Sprintf("more than %d entries", maxEntries), "name the directory that holds the policy alone")
			r.stopped = true
		}
		if r.stopped {
			return
		}
		switch {
		case strings.HasPrefix(entry.Name(), "."):
		case entry.IsDir():
			r.walk(name)
		case entry.Type()&fs.ModeSymlink != 0:
			r.link(name)
		case isPolicy(name):
			r.read(name)
		}
	}
}

// link follows a link to a policy file. A link that may lead to more policy is refused rather than left out.
func (r *reader) link(name string) {
	info, err := r.root.Stat(name)
	switch {
	case err == nil && info.IsDir():
		r.problem(name, "is a link to a directory", "move the directory here; only links to files are followed")
	case isPolicy(name):
		r.read(name)
	case err != nil && path.Ext(name) == "":
		r.problem(name, "is a link that leads nowhere or out of the policy directory", "remove it")
	}
}

func (r *reader) read(name string) {
	info, err := r.root.Stat(name)
	switch {
	case errors.Is(err, os.ErrNotExist):
		r.problem(name, "is a link that leads nowhere, or was removed while it was read", "correct or remove it")
	case err != nil && strings.Contains(err.Error(), "escapes"):
		r.problem(name, "is a link that leads out of the policy directory", "put the file itself here")
	case err != nil:
		r.problem(name, "cannot be looked at: "+err.Error(), "correct its permissions")
	case !info.Mode().IsRegular():
		r.problem(name, "is no regular file", "remove it")
	case info.Size() > MaxFileBytes:
		r.problem(name, fmt.Sprintf("is larger than %d bytes", MaxFileBytes), "split it into several files")
	case len(r.files.files) == MaxFiles:
		r.problem(".", fmt.Sprintf("more than %d policy files", MaxFiles), "put several documents into one file")
		r.stopped = true
	default:
		r.content(name)
	}
}

func (r *reader) content(name string) {
	data, err := r.bytes(name)
	if err != nil {
		r.problem(name, "cannot be read: "+err.Error(), "correct its permissions")
		return
	}
	if r.total += len(data); r.total > MaxTotalBytes {
		r.problem(".", fmt.Sprintf("more than %d bytes in all", MaxTotalBytes),
			"name the directory that holds the policy alone")
		r.stopped = true
		return
	}
	r.files.files = append(r.files.files, file{name: name, data: data})
}

// bytes reads one byte more than may be, so that a file that grows meanwhile is refused by the parser and not cut.
func (r *reader) bytes(name string) ([]byte, error) {
	f, err := r.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, MaxFileBytes+1))
}
