package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/tiergate/tiergate/config/policyfile"
	"github.com/tiergate/tiergate/config/strictyaml"
)

// entriesNow reads the policy of the work tree.
func entriesNow(dir, prefix string) ([]policyfile.Entry, error) {
	files, err := policyfile.Read(dir)
	if err != nil {
		return nil, err
	}
	for _, name := range append(files.Names(), "..data") {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if info, err := os.Lstat(file); err == nil && info.Mode()&os.ModeSymlink != 0 {
			return nil, fmt.Errorf("%s is a link, and who owns what it leads to cannot be told: put the file itself there", file)
		}
	}
	entries, problems := files.Entries(prefix)
	return entries, problems.Err()
}

// ownerFiles are the CODEOWNERS files of one moment.
type ownerFiles struct {
	rules    *policyfile.CodeOwners   // what the one in force says; nil: there is none
	place    int                      // of it in CodeOwnersPlaces
	problems strictyaml.Problems      // in it
	entries  map[int]policyfile.Entry // by place
}

// judgedWith are the files whose change matters: the one that was in force at the base, and those that would be in
// force in its stead.
func (f ownerFiles) judgedWith(base ownerFiles) []policyfile.Entry {
	var entries []policyfile.Entry
	for place, e := range f.entries {
		if base.rules != nil && place <= base.place {
			entries = append(entries, e)
		}
	}
	return entries
}

// add takes the file of one place, in the order of the places.
func (f *ownerFiles) add(place int, at policyfile.CodeOwnersPlace, shown string, data []byte) {
	if f.rules == nil {
		f.place = place
		f.rules, f.problems = policyfile.ParseCodeOwners(shown, at.Dir, data)
		f.entries = map[int]policyfile.Entry{}
	}
	f.entries[place] = policyfile.CodeOwnersEntry(at.Path, shown, data)
}

// ownersAt reads CODEOWNERS of a commit.
func (t *policyTree) ownersAt(c *gitCommit, rev string) (ownerFiles, error) {
	var found ownerFiles
	files, err := t.codeOwners(c)
	if err != nil {
		return found, err
	}
	for place, at := range policyfile.CodeOwnersPlaces(t.prefix) {
		for _, f := range files {
			if f.path != at.Path {
				continue
			}
			data, err := t.objects.blob(f.id, policyfile.MaxCodeOwnersBytes)
			if err != nil {
				return found, fmt.Errorf("%s:%s cannot be read: %w", rev, f.path, err)
			}
			found.add(place, at, rev+":"+f.path, data)
		}
	}
	return found, nil
}

// ownersNow reads CODEOWNERS of the work tree, as git would commit it: what lies behind a link is not there.
func ownersNow(root, dir, prefix string) (ownerFiles, error) {
	var found ownerFiles
	tree, err := os.OpenRoot(root)
	if err != nil {
		return found, fmt.Errorf("the work tree cannot be opened: %w", err)
	}
	defer tree.Close()
	up := ""
	if prefix != "" {
		up = strings.Repeat("../", strings.Count(prefix, "/")+1)
	}
	for place, at := range policyfile.CodeOwnersPlaces(prefix) {
		shown := filepath.Join(dir, filepath.FromSlash(up+at.Path))
		data, ok, err := readNow(tree, at.Path)
		if err != nil {
			return found, fmt.Errorf("%s cannot be read, so who owns what cannot be told: %w", shown, err)
		}
		if ok {
			found.add(place, at, shown, data)
		}
	}
	return found, nil
}

func readNow(tree *os.Root, file string) (data []byte, ok bool, err error) {
	for parent := path.Dir(file); parent != "."; parent = path.Dir(parent) {
		info, err := tree.Lstat(parent)
		if errors.Is(err, os.ErrNotExist) || err == nil && !info.IsDir() {
			return nil, false, nil
		}
		if err != nil {
			return nil, false, err
		}
	}
	info, err := tree.Lstat(file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, false, nil
	case err != nil:
		return nil, false, err
	case !info.Mode().IsRegular():
		return nil, false, errors.New("it is no regular file")
	}
	f, err := tree.Open(file)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	data, err = io.ReadAll(io.LimitReader(f, policyfile.MaxCodeOwnersBytes))
	return data, err == nil, err
}
