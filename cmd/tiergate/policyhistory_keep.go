package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tiergate/tiergate/authz/evidence"
	"github.com/tiergate/tiergate/cmd/tiergate/admin"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/config/policyfile"
	"github.com/tiergate/tiergate/config/strictyaml"
)

// The ways in which a policy comes into force.
const (
	byStart    = "start"
	byEdit     = "edit"
	byRollback = "rollback"
	byRelease  = "release"
)

const (
	historyVersion = 1
	digestPrefix   = "sha256:"
	minDigestHex   = 8
	maxMetaBytes   = 64 << 10
	// Unfinished and removed entries have names that no entry has.
	halfPrefix = ".half-"
	gonePrefix = ".gone-"
)

var entryName = regexp.MustCompile(`^[0-9a-f]{64}$`)

// policyKeeper keeps the policies that were in force: DIR/<hex of the policy's digest>/ has meta.json, and below policy/ the
// files as they were read. DIR/pin.json is there while one is pinned. A policy's digest names its documents together
// with what the settings said of their names (policy.World) and the attributes of this version: the same files under other
// settings are another entry, and files that differ in comments alone are the same, of which the first text is kept.
// A nil *policyKeeper keeps nothing.
type policyKeeper struct {
	dir   string
	keep  int
	disk  historyDisk
	told  historyEvents
	claim *os.File

	mu  sync.Mutex
	pin *policyPin
}

// historyEvents is how the history is observed.
type historyEvents struct {
	Failed  func(err error)             // a policy in force, or a pin, could not be kept
	Damaged func(dir string, why error) // an entry is not as it was written, and never used
	Pinned  func(pin *admin.PolicyPin)  // nil: the policy directory counts again
}

// keptMeta is an entry's meta.json.
type keptMeta struct {
	V         int       `json:"v"`
	Digest    string    `json:"digest"`    // of the policy; its hex is the entry's name
	Files     string    `json:"files"`     // policyfile.Files.Digest of the files
	LoadedAt  time.Time `json:"loadedAt"`  // when it last came into force
	Documents int       `json:"documents"` // how many it has
	By        string    `json:"by"`
}

// openHistory claims the directory. What keeps a policy from being kept later is told and no fault; a directory that others
// can write, that another process uses, or whose pin cannot be read, is one: nobody could say what must be in force.
func openHistory(h config.PolicyHistory, disk historyDisk, told historyEvents) (*policyKeeper, error) {
	k := &policyKeeper{dir: h.Dir, keep: h.Keep, disk: disk, told: told}
	if err := k.disk.mkdir(k.dir); err != nil && !errors.Is(err, os.ErrExist) {
		k.told.Failed(fmt.Errorf("policy.history.dir: %w; policies are not kept, and none can be rolled back to", err))
		return k, nil
	}
	if err := safeHistoryDir(k.dir); err != nil {
		return nil, err
	}
	claim, err := lockHistory(k.dir)
	switch {
	case errors.Is(err, evidence.ErrTaken):
		return nil, fmt.Errorf("policy.history.dir: %s: another process keeps its policies there; stop it, or name another directory", k.dir)
	case err != nil:
		k.told.Failed(fmt.Errorf("policy.history.dir cannot be claimed: %w", err))
	}
	k.claim = claim
	if err := k.readPin(); err != nil {
		return nil, errors.Join(err, k.close())
	}
	k.sweep()
	for _, name := range k.names() {
		if _, _, err := k.read(name); err != nil {
			k.told.Damaged(filepath.Join(k.dir, name), err)
		}
	}
	return k, nil
}

func (k *policyKeeper) close() error {
	if k == nil || k.claim == nil {
		return nil
	}
	return k.claim.Close()
}

// sweep removes what a crash left half done.
func (k *policyKeeper) sweep() {
	entries, _ := os.ReadDir(k.dir) // what cannot be listed is told when something is kept
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), halfPrefix) || strings.HasPrefix(e.Name(), gonePrefix) {
			if err := k.disk.remove(filepath.Join(k.dir, e.Name())); err != nil {
				k.told.Failed(fmt.Errorf("what a crash left in policy.history.dir cannot be removed: %w", err))
			}
		}
	}
}

// names are the names of all entries.
func (k *policyKeeper) names() (names []string) {
	entries, _ := os.ReadDir(k.dir) // none that can be used
	for _, e := range entries {
		if e.IsDir() && entryName.MatchString(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names
}

// meta reads what an entry says of itself.
func (k *policyKeeper) meta(name string) (m keptMeta, err error) {
	file := filepath.Join(k.dir, name, "meta.json")
	if err := readStrict(file, &m); err != nil {
		return m, err
	}
	if m.V != historyVersion || m.Digest != digestPrefix+name || m.LoadedAt.IsZero() || m.Files == "" {
		return m, fmt.Errorf("%s is of another version or another policy", file)
	}
	return m, nil
}

// read reads an entry and makes sure that it is as it was written.
func (k *policyKeeper) read(name string) (keptMeta, *policyfile.Files, error) {
	m, err := k.meta(name)
	if err != nil {
		return m, nil, err
	}
	files, err := policyfile.Read(filepath.Join(k.dir, name, "policy"))
	if problems := (strictyaml.Problems)(nil); errors.As(err, &problems) && len(problems) > 0 {
		err = fmt.Errorf("%s: %s", problems[0].File, problems[0].Message)
	}
	switch {
	case err != nil:
		return m, nil, fmt.Errorf("its files cannot be read: %w", err)
	case files.Digest() != m.Files:
		return m, nil, errors.New("its files are not those that were kept")
	}
	return m, files, nil
}

// find is the name of the one entry whose digest begins so.
func (k *policyKeeper) find(digest string) (string, error) {
	begin := strings.ToLower(strings.TrimPrefix(digest, digestPrefix))
	if len(begin) < minDigestHex || strings.Trim(begin, "0123456789abcdef") != "" {
		return "", fmt.Errorf("%q is no digest: write %d or more of its hex digits", digest, minDigestHex)
	}
	fits := slices.DeleteFunc(k.names(), func(name string) bool { return !strings.HasPrefix(name, begin) })
	switch len(fits) {
	case 0:
		return "", fmt.Errorf("no policy that is kept has a digest that begins with %s; `tiergate policy history` lists them", begin)
	case 1:
		return fits[0], nil
	}
	return "", fmt.Errorf("%s begins the digests of %d kept policies: write more of it", begin, len(fits))
}

// add keeps what has come into force. What is the newest already stays as it is, so that a restart changes nothing.
func (k *policyKeeper) add(files *policyfile.Files, m keptMeta) error {
	if k == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	name := nameOf(m.Digest)
	m.V, m.Files = historyVersion, files.Digest()
	held, _, err := k.read(name)
	_, there := os.Lstat(filepath.Join(k.dir, name))
	switch {
	case there == nil && err == nil && m.By == byStart && k.newest() == name:
	case there == nil && err == nil:
		m.Files = held.Files
		err = k.again(name, m)
	case there == nil:
		k.told.Damaged(filepath.Join(k.dir, name), fmt.Errorf("%w; it is written anew", err))
		if err = k.drop(name); err == nil {
			err = k.write(name, files, m)
		}
	default:
		err = k.write(name, files, m)
	}
	if err != nil {
		return fmt.Errorf("the policy in force cannot be kept in policy.history.dir (%s): %w", k.dir, err)
	}
	return k.prune(name)
}

// write lays a new entry: beside its place first, and then there in one step.
func (k *policyKeeper) write(name string, files *policyfile.Files, m keptMeta) error {
	half := filepath.Join(k.dir, halfPrefix+name)
	err := k.disk.remove(half)
	if err == nil {
		err = k.disk.mkdir(half)
	}
	if err == nil {
		err = k.fill(half, files, m)
	}
	if err == nil {
		err = k.disk.rename(half, filepath.Join(k.dir, name))
	}
	if err != nil {
		_ = k.disk.remove(half) // the next start does
		return err
	}
	return k.disk.sync(k.dir)
}

func (k *policyKeeper) fill(half string, files *policyfile.Files, m keptMeta) error {
	dirs := []string{"policy"}
	for name := range files.Contents() {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			dirs = append(dirs, path.Join("policy", dir))
		}
	}
	slices.Sort(dirs) // a directory before what is in it
	dirs = slices.Compact(dirs)
	for _, dir := range dirs {
		if err := k.disk.mkdir(filepath.Join(half, dir)); err != nil {
			return err
		}
	}
	for name, content := range files.Contents() {
		if err := k.disk.write(filepath.Join(half, "policy", name), content); err != nil {
			return err
		}
	}
	if err := k.writeJSON(filepath.Join(half, "meta.json"), m); err != nil {
		return err
	}
	for _, dir := range append(dirs, ".") {
		if err := k.disk.sync(filepath.Join(half, dir)); err != nil {
			return err
		}
	}
	return nil
}

// again notes that an entry has come into force once more.
func (k *policyKeeper) again(name string, m keptMeta) error {
	return k.replace(filepath.Join(k.dir, name), "meta.json", m)
}

// replace puts a JSON file in the place of another in one step.
func (k *policyKeeper) replace(dir, name string, value any) error {
	next := filepath.Join(dir, halfPrefix+name)
	err := k.disk.remove(next)
	if err == nil {
		err = k.writeJSON(next, value)
	}
	if err == nil {
		err = k.disk.rename(next, filepath.Join(dir, name))
	}
	if err != nil {
		return err
	}
	return k.disk.sync(dir)
}

func (k *policyKeeper) writeJSON(file string, value any) error {
	raw, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	return k.disk.write(file, append(raw, '\n'))
}

// drop takes an entry away in one step, and then removes it.
func (k *policyKeeper) drop(name string) error {
	gone := filepath.Join(k.dir, gonePrefix+name)
	err := k.disk.remove(gone)
	if err == nil {
		err = k.disk.rename(filepath.Join(k.dir, name), gone)
	}
	if err == nil {
		err = k.disk.sync(k.dir)
	}
	if err == nil {
		err = k.disk.remove(gone)
	}
	return err
}

// nameOf is the name of the entry of a digest.
func nameOf(digest string) string { return strings.TrimPrefix(digest, digestPrefix) }
