package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/tiergate/tiergate/cmd/tiergate/admin"
)

const pinFile = "pin.json"

// policyPin is pin.json.
type policyPin struct {
	V int `json:"v"`
	admin.PolicyPin
	// Files is the digest of the files of the policy directory when it was pinned; as long as they are those, or cannot be
	// used, the pinned policy stays. Empty: they could not be read then.
	Files string `json:"files"`
}

// shown is nil if nothing is pinned.
func (p *policyPin) shown() *admin.PolicyPin {
	if p == nil {
		return nil
	}
	return &p.PolicyPin
}

func (k *policyKeeper) readPin() error {
	var p policyPin
	file := filepath.Join(k.dir, pinFile)
	err := readStrict(file, &p)
	switch {
	case absent(err):
		return nil
	case err == nil && (p.V != historyVersion || !entryName.MatchString(nameOf(p.Digest))):
		err = errors.New("it is of another version, or damaged")
	}
	if err != nil {
		return fmt.Errorf("which policy is pinned cannot be read from %s: %w; remove that file to run the policy directory", file, err)
	}
	k.pin = &p
	return nil
}

// pinned is nil if the policy directory counts.
func (k *policyKeeper) pinned() *policyPin {
	if k == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.pin
}

// setPin makes durable what is pinned; nil: nothing.
func (k *policyKeeper) setPin(p *policyPin) error {
	if k == nil {
		return errors.New("no policies are kept here")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.layPin(p); err != nil {
		err = fmt.Errorf("what is pinned cannot be changed in policy.history.dir (%s): %w", k.dir, err)
		if back := k.layPin(k.pin); back != nil { // it may have been the last step that failed
			err = fmt.Errorf("%w; nor be put back, so look at %s before a restart: %w", err, filepath.Join(k.dir, pinFile), back)
		}
		return err
	}
	k.pin = p
	return nil
}

func (k *policyKeeper) layPin(p *policyPin) error {
	if p != nil {
		p.V = historyVersion
		return k.replace(k.dir, pinFile, p)
	}
	if err := k.disk.remove(filepath.Join(k.dir, pinFile)); err != nil {
		return err
	}
	return k.disk.sync(k.dir)
}

// newest is the name of the entry that came into force last.
func (k *policyKeeper) newest() string {
	if kept := k.sorted(); len(kept) > 0 && kept[0].err == nil {
		return kept[0].name
	}
	return ""
}

// keptEntry is an entry as far as it can be read.
type keptEntry struct {
	name string
	meta keptMeta
	err  error
}

// sorted are the entries, the newest first; those that say nothing of themselves come last.
func (k *policyKeeper) sorted() (all []keptEntry) {
	for _, name := range k.names() {
		e := keptEntry{name: name}
		if e.meta, e.err = k.meta(name); e.err != nil {
			e.meta = keptMeta{Digest: digestPrefix + name}
		}
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b keptEntry) int {
		return cmp.Or(b.meta.LoadedAt.Compare(a.meta.LoadedAt), cmp.Compare(a.name, b.name))
	})
	return all
}

// prune removes the oldest entries, but never the one in force nor the pinned one.
func (k *policyKeeper) prune(inForce string) error {
	all := k.sorted()
	var faults []error
	for i, left := len(all)-1, len(all); i >= 0 && left > k.keep; i-- {
		if name := all[i].name; name != inForce && (k.pin == nil || name != nameOf(k.pin.Digest)) {
			if err := k.drop(name); err != nil {
				faults = append(faults, fmt.Errorf("an old policy in policy.history.dir cannot be removed: %w", err))
			}
			left--
		}
	}
	return errors.Join(faults...)
}

// list tells of every entry; inForce is a digest.
func (k *policyKeeper) list(inForce string) []admin.KeptPolicy {
	list := []admin.KeptPolicy{}
	if k == nil {
		return list
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	all := k.sorted()
	for i, e := range all {
		p := admin.KeptPolicy{Digest: e.meta.Digest, Since: e.meta.LoadedAt, Documents: e.meta.Documents, By: e.meta.By,
			InForce: e.meta.Digest == inForce, Pinned: k.pin != nil && k.pin.Digest == e.meta.Digest,
			Dir: filepath.Join(k.dir, e.name, "policy")}
		if i > 0 && e.err == nil {
			p.Until = all[i-1].meta.LoadedAt
		}
		if _, _, err := k.read(e.name); err != nil {
			p.Fault = err.Error()
		}
		list = append(list, p)
	}
	return list
}

// readStrict reads a small JSON file of ours.
func readStrict(file string, into any) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxMetaBytes))
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("%s is damaged: %w", file, err)
	}
	return nil
}
