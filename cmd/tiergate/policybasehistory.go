package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/tiergate/tiergate/config/policyfile"
)

const (
	// maxCommits is how many commits may lie between the base and now.
	maxCommits = 1000
	// maxHeld is how many entries of past files are remembered; about 50 MB.
	maxHeld = 200_000
)

// policyHistory compares the policies of many commits, as far as some keys go.
type policyHistory struct {
	*policyTree
	keys    map[string]bool
	moments map[string]*moment // by what the commit has in the places that count
	read    map[policyFile]pastFile
	held    int
}

// moment is the policy in one commit.
type moment struct {
	listing *policyfile.Listing
	// unread are the policy files that cannot be read. Nobody can say what changed in them.
	unread []policyFile
}

// pastFile is one version of a file.
type pastFile struct {
	entries []policyfile.Entry
	unread  bool
}

func newPolicyHistory(tree *policyTree, keys []string) *policyHistory {
	h := &policyHistory{policyTree: tree, keys: map[string]bool{}}
	for _, key := range keys {
		h.keys[key] = true
	}
	h.forget()
	return h
}

func (h *policyHistory) forget() {
	h.moments, h.read, h.held = map[string]*moment{}, map[policyFile]pastFile{}, 0
}

// at is the policy in a commit. Its entries know no places.
func (h *policyHistory) at(c *gitCommit) (*moment, error) {
	dir, ok, err := h.dir(c)
	if err != nil {
		return nil, err
	}
	owners, err := h.codeOwners(c)
	if err != nil {
		return nil, err
	}
	same := fmt.Sprintf("%t %s %q", ok, dir, owners)
	if known := h.moments[same]; known != nil {
		return known, nil
	}
	files, err := h.files(c)
	if err != nil {
		return nil, err
	}
	m := &moment{}
	var all []policyfile.Entry
	for i, f := range slices.Concat(owners, files) {
		past, err := h.file(f, i < len(owners))
		if err != nil {
			return nil, fmt.Errorf("in commit %s: %s: %w", short(c.id), f.path, err)
		}
		if past.unread {
			m.unread = append(m.unread, f)
		}
		for _, e := range past.entries {
			if h.keys[e.Key()] {
				all = append(all, e)
			}
		}
	}
	m.listing = policyfile.List(all)
	if h.held += len(all) + 1; h.held > maxHeld {
		h.forget()
	}
	h.moments[same] = m
	return m, nil
}

// file reads one version of a file, once.
func (h *policyHistory) file(f policyFile, codeOwners bool) (pastFile, error) {
	if known, ok := h.read[f]; ok {
		return known, nil
	}
	most := int64(policyfile.MaxFileBytes)
	if codeOwners {
		most = policyfile.MaxCodeOwnersBytes
	}
	var past pastFile
	data, err := h.objects.blob(f.id, most)
	switch {
	case errors.Is(err, errTooLarge):
		past.unread = true
	case err != nil:
		return past, err
	case codeOwners:
		past.entries = []policyfile.Entry{policyfile.CodeOwnersEntry(f.path, f.path, data)}
	default:
		entries, problems := policyfile.Entries(f.path, f.path, data)
		past.unread = len(problems) > 0
		for _, e := range entries {
			past.entries = append(past.entries, e.Light())
		}
	}
	h.held += len(past.entries) + 1
	h.read[f] = past
	return past, nil
}

// who finds out who changed each of the keys in the commits that lead from the base to head.
func (h *policyHistory) who(ctx context.Context, r *gitRepository, base, head *gitCommit, keys []string,
) (map[string][]policyfile.Person, error) {
	ids, err := r.since(ctx, base.id, head.id, maxCommits+1)
	if err != nil {
		return nil, err
	}
	if len(ids) > maxCommits {
		return nil, fmt.Errorf("more than %d commits lead from the base to HEAD: name a later base, "+
			"or say whom the forge authenticated with --as EMAIL", maxCommits)
	}
	by := map[string][]policyfile.Person{}
	for _, id := range ids {
		c, err := h.objects.commit(id)
		if err != nil {
			return nil, err
		}
		touched, err := h.touched(ctx, r, c, keys)
		if err != nil {
			return nil, err
		}
		for _, key := range touched {
			by[key] = addPerson(by[key], policyfile.Person{Email: c.author, How: "author of commit " + short(c.id)})
			by[key] = addPerson(by[key], policyfile.Person{Email: c.committer, How: "committer of commit " + short(c.id),
				Help: "where a forge commits for others, say whom it authenticated with --as EMAIL"})
		}
	}
	return by, nil
}

// addPerson adds somebody who is not among them.
func addPerson(people []policyfile.Person, person policyfile.Person) []policyfile.Person {
	if slices.ContainsFunc(people, func(p policyfile.Person) bool { return p.Email == person.Email }) {
		return people
	}
	return append(people, person)
}

// touched are the keys that a commit changed. One that makes a file unreadable, or readable again, may have changed
// anything in it, so it counts as having changed all.
func (h *policyHistory) touched(ctx context.Context, r *gitRepository, c *gitCommit, keys []string) ([]string, error) {
	now, err := h.at(c)
	if err != nil {
		return nil, err
	}
	var before []*moment
	for _, parent := range c.parents {
		p, err := h.objects.commit(parent)
		if err != nil {
			return nil, err
		}
		m, err := h.at(p)
		if err != nil {
			return nil, err
		}
		if !slices.Equal(m.unread, now.unread) {
			return keys, nil
		}
		before = append(before, m)
	}
	if len(before) == 0 {
		before = append(before, &moment{listing: policyfile.List(nil)}) // a first commit
	}
	merged := map[string]bool{}
	var touched []string
	for _, key := range keys {
		state := now.listing.State(key)
		differs := slices.ContainsFunc(before, func(m *moment) bool { return m.listing.State(key) != state })
		switch {
		case differs && len(before) == 2 && before[0].listing.State(key) != before[1].listing.State(key):
			merged[key] = true
		case differs:
			touched = append(touched, key)
		}
	}
	if len(merged) == 0 {
		return touched, nil
	}
	chosen, err := h.chosen(ctx, r, c, now, before, slices.Sorted(maps.Keys(merged)))
	return append(touched, chosen...), err
}

// chosen are the keys, each different in the two parents of a merge, that the merge did not simply take from the side
// that changed them. Whoever undoes by a merge what one side had changed has changed it; and where both sides had, they
// chose what it is now.
func (h *policyHistory) chosen(ctx context.Context, r *gitRepository, c *gitCommit, now *moment, sides []*moment,
	keys []string) ([]string, error) {
	ids, err := r.mergeBases(ctx, c.parents[0], c.parents[1])
	if err != nil || len(ids) == 0 {
		return keys, err
	}
	var bases []*moment
	for _, id := range ids {
		b, err := h.objects.commit(id)
		if err != nil {
			return nil, err
		}
		m, err := h.at(b)
		if err != nil {
			return nil, err
		}
		bases = append(bases, m)
	}
	var chosen []string
	for _, key := range keys {
		state := now.listing.State(key)
		taken := slices.ContainsFunc([][2]int{{0, 1}, {1, 0}}, func(way [2]int) bool {
			from, other := sides[way[0]], sides[way[1]]
			return from.listing.State(key) == state && !slices.ContainsFunc(bases, func(base *moment) bool {
				return len(base.unread) > 0 || base.listing.State(key) != other.listing.State(key)
			})
		})
		if !taken {
			chosen = append(chosen, key)
		}
	}
	return chosen, nil
}
