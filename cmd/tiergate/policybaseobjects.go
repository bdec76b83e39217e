package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
)

// The most that is read of one object. A tree of 100,000 entries takes about 5 MB.
const (
	maxCommitBytes = 1 << 20
	maxTreeBytes   = 16 << 20
)

// errTooLarge is an object that is larger than anything it could rightly hold.
var errTooLarge = errors.New("the object is too large")

// errNoObject is a name that git does not know.
var errNoObject = errors.New("there is no such object")

// gitObjects is one `git cat-file --batch`: names go in, one a line, and objects come out as they are stored, without
// any filter. A name can be no option there.
type gitObjects struct {
	process *exec.Cmd
	stderr  *bytes.Buffer // to be read once the process has ended
	names   io.WriteCloser
	answers *bufio.Reader
}

func (r *gitRepository) openObjects(ctx context.Context) (*gitObjects, error) {
	o := &gitObjects{process: r.command(ctx, "cat-file", "--batch"), stderr: &bytes.Buffer{}}
	o.process.Stderr = o.stderr
	var err error
	if o.names, err = o.process.StdinPipe(); err != nil {
		return nil, fmt.Errorf("git cannot be asked: %w", err)
	}
	out, err := o.process.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("git cannot be asked: %w", err)
	}
	o.answers = bufio.NewReader(out)
	if err := o.process.Start(); err != nil {
		return nil, fmt.Errorf("git cannot be run: %w", err)
	}
	return o, nil
}

// close ends the process; what it would still say does not matter.
func (o *gitObjects) close() {
	_ = o.names.Close()
	_, _ = io.Copy(io.Discard, o.answers)
	_ = o.process.Wait()
}

// read returns an object by its name, which must have no line end in it. Too large an object costs no more than its
// bytes on the way: errTooLarge.
func (o *gitObjects) read(name, kind string, most int64) (id string, data []byte, err error) {
	if _, err := io.WriteString(o.names, name+"\n"); err != nil {
		return "", nil, o.ended(name, err)
	}
	answer, err := o.answers.ReadString('\n')
	if err != nil {
		return "", nil, o.ended(name, err)
	}
	answer = strings.TrimSuffix(answer, "\n")
	words := strings.Split(answer, " ")
	if strings.HasSuffix(answer, " missing") || len(words) != 3 {
		return "", nil, fmt.Errorf("%w: git says %q", errNoObject, answer)
	}
	size, err := strconv.ParseInt(words[2], 10, 64)
	if err != nil || size < 0 {
		return "", nil, fmt.Errorf("git answers %q for %s", answer, name)
	}
	if size > most {
		if _, err := io.CopyN(io.Discard, o.answers, size+1); err != nil {
			return "", nil, o.ended(name, err)
		}
		return words[0], nil, fmt.Errorf("%w: %s has %d bytes, the most is %d", errTooLarge, name, size, most)
	}
	data = make([]byte, size+1) // and the line end after it
	if _, err := io.ReadFull(o.answers, data); err != nil {
		return "", nil, o.ended(name, err)
	}
	if words[1] != kind {
		return "", nil, fmt.Errorf("%w: %s is a %s, not a %s", errNoObject, name, words[1], kind)
	}
	return words[0], data[:size], nil
}

// ended says why the process is gone.
func (o *gitObjects) ended(name string, err error) error {
	if exit := o.process.Wait(); exit != nil {
		err = exit
	}
	said := strings.TrimSpace(strings.ToValidUTF8(o.stderr.String(), "\uFFFD"))
	return fmt.Errorf("git cat-file ended while it was asked for %s: %w %s", name, err, said)
}

// gitCommit is what a commit says of itself. The addresses are empty where they cannot be told for sure.
type gitCommit struct {
	id, tree          string
	parents           []string
	author, committer string // e-mail addresses
}

// commit reads a commit by any name that git has for one.
func (o *gitObjects) commit(name string) (*gitCommit, error) {
	id, data, err := o.read(name+"^{commit}", "commit", maxCommitBytes)
	if err != nil {
		return nil, err
	}
	c := &gitCommit{id: id}
	seen := map[string]int{}
	for line := range bytes.Lines(data) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		if len(line) == 0 {
			break // the message follows
		}
		field, value, _ := strings.Cut(string(line), " ")
		seen[field]++
		switch field {
		case "tree":
			c.tree = value
		case "parent":
			c.parents = append(c.parents, value)
		case "author":
			c.author = addressOf(value)
		case "committer":
			c.committer = addressOf(value)
		}
	}
	if seen["tree"] != 1 || seen["author"] != 1 || seen["committer"] != 1 {
		return nil, fmt.Errorf("commit %s is malformed; `git fsck` says how", id)
	}
	return c, nil
}

// addressOf reads the address of "Name <address> time zone". With more than one pair of brackets two readers may see
// two people, so it is nobody.
func addressOf(ident string) string {
	_, rest, opened := strings.Cut(ident, "<")
	address, rest, closed := strings.Cut(rest, ">")
	if !opened || !closed || strings.ContainsAny(address+rest, "<>") {
		return ""
	}
	return address
}

// The modes of what a tree holds.
const (
	modeTree   = "40000"
	modeLink   = "120000"
	modeModule = "160000"
)

// gitEntry is one entry of a tree.
type gitEntry struct{ mode, name, id string }

func (e gitEntry) regular() bool {
	return e.mode != modeTree && e.mode != modeLink && e.mode != modeModule
}

// tree reads a tree by its id. (`git cat-file` prints it as stored: mode, blank, name, zero byte, id in binary.)
func (o *gitObjects) tree(id string) ([]gitEntry, error) {
	_, data, err := o.read(id, "tree", maxTreeBytes)
	if err != nil {
		return nil, err
	}
	var entries []gitEntry
	for len(data) > 0 {
		mode, rest, blank := bytes.Cut(data, []byte(" "))
		name, rest, zero := bytes.Cut(rest, []byte{0})
		if !blank || !zero || len(rest) < len(id)/2 {
			return nil, fmt.Errorf("tree %s is malformed; `git fsck` says how", id)
		}
		entries = append(entries, gitEntry{string(mode), string(name), hex.EncodeToString(rest[:len(id)/2])})
		data = rest[len(id)/2:]
	}
	return entries, nil
}

// blob reads the content of a file.
func (o *gitObjects) blob(id string, most int64) ([]byte, error) {
	_, data, err := o.read(id, "blob", most)
	return data, err
}

// short is how people write the id of a commit.
func short(id string) string { return id[:min(len(id), 12)] }
