package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/tiergate/tiergate/authz/token"
)

// maxFollowed bounds one file: the system's own CA certificates are a quarter of a megabyte.
const maxFollowed = 4 << 20

// fileSet is the certificates, keys and key sets that the settings name, as they count. Each group of files is followed,
// and believed only when it keeps still and is good as a whole; until then its last good content counts. Keys are held in
// memory, as Envoy is to get them.
type fileSet struct {
	groups  []*fileGroup
	told    fileEvents
	changed func() // something of Envoy's configuration has changed; it must not block
	now     func() time.Time
	fetched map[string]token.KeySource // keys of issuers that come over the network, by the issuer's name; while starting only

	mu   sync.Mutex
	held map[string][]byte // by setting
}

// fileGroup is files that count together or not at all, such as a certificate and its key.
type fileGroup struct {
	name  string // the setting, for people
	files []settingFile
	judge func(contents [][]byte, now time.Time) (lifetime, error)
	// use brings contents that are good by themselves into force where that can fail, and so before they are held. nil: who
	// needs them asks for them.
	use   func(contents [][]byte) error
	envoy bool // they are part of Envoy's configuration

	loaded  time.Time
	life    lifetime
	fault   string // why what stands there now does not count; "": it does
	warned  time.Time
	expired bool
}

// settingFile is one file, by the setting that names it.
type settingFile struct{ setting, path string }

// lifetime is when what certificates say begins and ends; zero where nothing ends.
type lifetime struct{ begins, ends time.Time }

// notNow is the fault of certificates that are good, but not at this time.
type notNow struct{ error }

// fileEvents are told by fileSet. They are called by one goroutine at a time.
type fileEvents struct {
	// Loaded: other contents count than before, or, at first, these do. ends is zero where nothing ends.
	Loaded func(setting string, ends time.Time, first bool)
	// Refused: what stands there now does not count, and the last good content stays; nil: it counts again.
	Refused func(setting string, err error)
	// Ends: what counts ends soon, or has ended; told once each.
	Ends func(setting string, ends time.Time, ended bool)
	// Unwatched: changes may be seen only because everything is read every second.
	Unwatched func(err error)
}

// fileStatus is one entry of GET /v1/files. It never has contents.
type fileStatus struct {
	Setting  string     `json:"setting"`
	Paths    []string   `json:"paths"`
	LoadedAt time.Time  `json:"loadedAt"`
	EndsAt   *time.Time `json:"endsAt,omitempty"`
	Fault    string     `json:"fault"` // why what stands there now does not count; empty: it does
}

// open reads everything for the first time. What is good but has ended counts all the same, because there is nothing
// better; follow says so.
func (f *fileSet) open() error {
	f.held, f.now = map[string][]byte{}, time.Now
	var faults []error
	read := f.readAll()
	for _, g := range f.groups {
		contents, err := g.contents(read)
		if err != nil {
			faults = append(faults, err) // it begins with the setting
			continue
		}
		life, err := g.judge(contents, f.now())
		if err != nil && !errors.As(err, &notNow{}) {
			faults = append(faults, g.at(err))
			continue
		}
		f.hold(g, contents, life)
	}
	return errors.Join(faults...)
}

func (f *fileSet) hold(g *fileGroup, contents [][]byte, life lifetime) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, file := range g.files {
		f.held[file.setting] = contents[i]
	}
	g.loaded, g.life, g.warned, g.expired = f.now(), life, time.Time{}, false
}

// content is what counts of the file that a setting names. A nil *fileSet reads the file as it is now, for verbs that end
// at once.
func (f *fileSet) content(setting, path string) ([]byte, error) {
	if f == nil {
		return readFollowed(settingFile{setting, path})
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	raw, known := f.held[setting]
	if !known {
		return nil, fmt.Errorf("%s: %s is not followed", setting, path) // a defect: listFiles forgot it
	}
	return raw, nil
}

// status tells of every group, in the order of the settings.
func (f *fileSet) status() []fileStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]fileStatus, 0, len(f.groups))
	for _, g := range f.groups {
		s := fileStatus{Setting: g.name, LoadedAt: g.loaded.UTC(), Fault: g.fault}
		for _, file := range g.files {
			s.Paths = append(s.Paths, file.path)
		}
		if !g.life.ends.IsZero() {
			ends := g.life.ends.UTC()
			s.EndsAt = &ends
		}
		all = append(all, s)
	}
	return all
}

// run follows the files until ctx ends: by the directories that they stand in, which sees files and symbolic links that
// are replaced (Kubernetes' ..data), and by reading them every second, which sees the rest.
func (f *fileSet) run(ctx context.Context) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch the directories of certificates: %w", err)
	}
	defer func() { _ = watcher.Close() }() // nothing was written
	for dir := range f.directories() {
		if err := watcher.Add(dir); err != nil {
			f.told.Unwatched(err)
		}
	}
	for _, g := range f.groups {
		f.told.Loaded(g.name, g.life.ends, true)
	}
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		f.look(ctx)
		f.warn()
		if !pause(ctx, settleFor) { // however busy the directories are
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case err := <-watcher.Errors: // an overflow: the look that follows finds what was missed
			f.told.Unwatched(err)
		case <-watcher.Events:
		}
		drain(watcher.Events)
	}
}

func (f *fileSet) directories() map[string]bool {
	dirs := map[string]bool{}
	for _, g := range f.groups {
		for _, file := range g.files {
			dirs[filepath.Dir(file.path)] = true
		}
	}
	return dirs
}

// reading is what stood in a file.
type reading struct {
	raw []byte
	err error
}

func (f *fileSet) readAll() map[string]reading {
	all := map[string]reading{}
	for _, g := range f.groups {
		for _, file := range g.files {
			raw, err := readFollowed(file)
			all[file.setting] = reading{raw, err}
		}
	}
	return all
}

// readFollowed reads a regular file of a bounded size; the error begins with the setting.
func readFollowed(file settingFile) ([]byte, error) {
	info, err := os.Stat(file.path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", file.setting, err)
	case !info.Mode().IsRegular(): // to open a pipe may wait for ever
		return nil, fmt.Errorf("%s: %s is no regular file", file.setting, file.path)
	}
	opened, err := os.Open(file.path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file.setting, err)
	}
	defer func() { _ = opened.Close() }() // nothing was written
	raw, err := io.ReadAll(io.LimitReader(opened, maxFollowed+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", file.setting, err)
	case len(raw) > maxFollowed:
		return nil, fmt.Errorf("%s: %s has more than %d bytes", file.setting, file.path, maxFollowed)
	}
	return raw, nil
}

// at says of which files a fault is.
func (g *fileGroup) at(err error) error {
	paths := make([]string, 0, len(g.files))
	for _, file := range g.files {
		paths = append(paths, file.path)
	}
	return fmt.Errorf("%s: %s: %w", g.name, strings.Join(paths, " and "), err)
}

// contents are those of the group's files, if all could be read.
func (g *fileGroup) contents(read map[string]reading) ([][]byte, error) {
	contents := make([][]byte, 0, len(g.files))
	for _, file := range g.files {
		if err := read[file.setting].err; err != nil {
			return nil, err
		}
		contents = append(contents, read[file.setting].raw)
	}
	return contents, nil
}

// look takes over what has changed and keeps still; while something changes, it looks again.
func (f *fileSet) look(ctx context.Context) {
	before := f.readAll()
	if !slices.ContainsFunc(f.groups, func(g *fileGroup) bool { return g.fault != "" || !f.holds(g, before) }) {
		return
	}
	for range settleTries {
		if !pause(ctx, settleFor) {
			return
		}
		after := f.readAll()
		moving := f.take(before, after)
		if !moving {
			return
		}
		before = after
	}
}

func (f *fileSet) holds(g *fileGroup, read map[string]reading) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, file := range g.files {
		if r := read[file.setting]; r.err != nil || !bytes.Equal(r.raw, f.held[file.setting]) {
			return false
		}
	}
	return true
}

// take brings the groups that are the same in two readings into force, as far as they are good, and reports whether others
// are still moving. Who judges clients learns of a new CA before Envoy admits its clients, and forgets an old one before
// Envoy does: what only one of the two trusts is refused.
func (f *fileSet) take(before, after map[string]reading) (moving bool) {
	waiting := map[*fileGroup][][]byte{}
	for _, g := range f.groups {
		contents, err := g.contents(after)
		switch {
		case !g.still(before, after):
			moving = true
		case err != nil:
			f.refuse(g, err)
		case f.holds(g, after):
			f.refuse(g, nil)
		default:
			waiting[g] = contents
		}
	}
	envoy := false
	faults := map[*fileGroup]error{}
	for progress := true; progress; { // a CA that moves from one bundle to another must leave the one first
		progress = false
		for _, g := range f.groups {
			contents, is := waiting[g]
			if !is {
				continue
			}
			if faults[g] = f.bring(g, contents); faults[g] == nil {
				delete(waiting, g)
				progress, envoy = true, envoy || g.envoy
			}
		}
	}
	for _, g := range f.groups {
		if err, judged := faults[g]; judged {
			f.refuse(g, err)
		}
	}
	if envoy {
		f.changed()
	}
	return moving
}

// bring judges contents and, if they are good, brings them into force.
func (f *fileSet) bring(g *fileGroup, contents [][]byte) error {
	life, err := g.judge(contents, f.now())
	if err == nil && g.use != nil {
		err = g.use(contents)
	}
	if err != nil {
		return g.at(err)
	}
	f.hold(g, contents, life)
	f.told.Loaded(g.name, life.ends, false)
	return nil
}

func (g *fileGroup) still(before, after map[string]reading) bool {
	for _, file := range g.files {
		a, b := before[file.setting], after[file.setting]
		if !bytes.Equal(a.raw, b.raw) || (a.err == nil) != (b.err == nil) {
			return false
		}
	}
	return true
}

// refuse notes why the last good content stays, or that it need not, and tells it once.
func (f *fileSet) refuse(g *fileGroup, err error) {
	fault := ""
	if err != nil {
		fault = err.Error()
	}
	f.mu.Lock()
	repeated := g.fault == fault
	g.fault = fault
	f.mu.Unlock()
	if !repeated {
		f.told.Refused(g.name, err)
	}
}
