package policyfile

import (
	"bytes"
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tiergate/tiergate/config/strictyaml"
)

// MaxCodeOwnersBytes is the largest CODEOWNERS file that is read; GitHub ignores one of 3 MB and more.
const MaxCodeOwnersBytes = 3 << 20

// CodeOwners is a CODEOWNERS file as GitHub reads it: who must agree to a change of which file. The last pattern that
// covers a file decides. (docs.github.com, "About code owners".)
type CodeOwners struct {
	shown string
	dir   string
	rules []ownerRule
}

type ownerRule struct {
	line    int
	pattern ownerPattern
	owners  []string
}

// ParseCodeOwners reads a CODEOWNERS file. Problems name it as shown; its patterns are relative to dir, a path in the
// repository with slashes ("" is the repository itself). GitHub leaves out a line that it cannot read, and so do the
// CodeOwners that are returned: they hold even if there are problems, one for each such line.
func ParseCodeOwners(shown, dir string, data []byte) (*CodeOwners, strictyaml.Problems) {
	c := &CodeOwners{shown: shown, dir: dir}
	if len(data) >= MaxCodeOwnersBytes {
		return c, strictyaml.Problems{{
			Position: strictyaml.Position{File: shown},
			Message:  fmt.Sprintf("is not smaller than %d bytes, so a forge ignores all of it", MaxCodeOwnersBytes),
			Help:     "give whole directories to teams instead of single files",
		}}
	}
	var problems strictyaml.Problems
	number := 0
	for line := range bytes.Lines(bytes.TrimPrefix(data, []byte("\uFEFF"))) {
		number++
		text := strings.TrimRight(string(line), "\r\n")
		rule, message, help := parseOwnerRule(text)
		switch {
		case message != "" && len(problems) < maxProblems:
			problems = append(problems, strictyaml.Problem{
				Position: strictyaml.Position{File: shown, Line: number, Col: 1},
				Message:  message + ", so a forge leaves this line out",
				Help:     help,
				Source:   printableLine(text),
			})
		case message == "" && rule.pattern != nil:
			rule.line = number
			c.rules = append(c.rules, rule)
		}
	}
	return c, problems
}

// Owners are the owners of a file, named by its path in the repository, and the line that says so. Line 0: no pattern
// covers the file. A line without owners takes the file from those whom earlier lines name.
func (c *CodeOwners) Owners(file string) (owners []string, line int) {
	if c.dir != "" {
		below, ok := strings.CutPrefix(file, c.dir+"/")
		if !ok {
			return nil, 0
		}
		file = below
	}
	segments := strings.Split(file, "/")
	for i := len(c.rules) - 1; i >= 0; i-- {
		if c.rules[i].pattern.covers(segments) {
			return c.rules[i].owners, c.rules[i].line
		}
	}
	return nil, 0
}

// at names a line in a message.
func (c *CodeOwners) at(line int) string { return fmt.Sprintf("%s:%d", c.shown, line) }

// parseOwnerRule reads one line; without pattern and message it holds no rule.
func parseOwnerRule(text string) (rule ownerRule, message, help string) {
	if !utf8.ValidString(text) {
		return rule, "the line is not UTF-8", "save the file as UTF-8"
	}
	words := ownerWords(text)
	if len(words) == 0 {
		return rule, "", ""
	}
	pattern, message, help := parseOwnerPattern(words[0])
	if message != "" {
		return rule, message, help
	}
	for _, owner := range words[1:] {
		if !isOwner(owner) {
			return rule, fmt.Sprintf("%q is no owner", owner), "write @user, @organization/team or an e-mail address"
		}
	}
	return ownerRule{pattern: pattern, owners: words[1:]}, "", ""
}

// ownerWords cuts a line at blanks that no backslash escapes, up to a comment. The words keep their backslashes.
func ownerWords(text string) []string {
	var words []string
	var word strings.Builder
	end := func() {
		if word.Len() > 0 {
			words = append(words, word.String())
			word.Reset()
		}
	}
	escaped := false
	for _, r := range text {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
			continue
		case r == '#' && word.Len() == 0:
			return words
		case r == ' ' || r == '\t':
			end()
			continue
		case r == '\\':
			escaped = true
		}
		word.WriteRune(r)
	}
	end()
	return words
}

// isOwner reports whether a word has the form of @user, @organization/team (GitLab: of any depth) or an e-mail address.
func isOwner(word string) bool {
	handle, isHandle := strings.CutPrefix(word, "@")
	if !isHandle {
		return IsEmail(word)
	}
	for part := range strings.SplitSeq(handle, "/") {
		if part == "" || strings.ContainsFunc(part, func(r rune) bool {
			letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
			return !letter && !strings.ContainsRune("-_.", r)
		}) {
			return false
		}
	}
	return true
}

// IsEmail reports whether a text has the form of an e-mail address: one @ between two parts, no blanks, no control
// characters, none of <>,;"\.
func IsEmail(text string) bool {
	local, domain, ok := strings.Cut(text, "@")
	return ok && local != "" && domain != "" && len(text) <= 254 && utf8.ValidString(text) &&
		!strings.ContainsFunc(local+domain, func(r rune) bool {
			return unicode.IsSpace(r) || !unicode.IsPrint(r) || strings.ContainsRune("@<>,;\"\\", r)
		})
}

// sameName compares e-mail addresses and forge handles as forges do: A to Z equal a to z, all else must be equal byte
// for byte. What only looks alike, or folds to the same letter in Unicode (the Kelvin sign to k), is another name.
func sameName(a, b string) bool { return lowerASCII(a) == lowerASCII(b) }

func lowerASCII(text string) string {
	folded := []byte(text)
	for i, b := range folded {
		if 'A' <= b && b <= 'Z' {
			folded[i] = b + 'a' - 'A'
		}
	}
	return string(folded)
}

func printableLine(text string) string {
	const most = 120
	runes := []rune(strings.ToValidUTF8(text, "\uFFFD"))
	if len(runes) > most {
		runes = append(runes[:most], '…')
	}
	for i, r := range runes {
		if r != '\t' && !unicode.IsPrint(r) {
			runes[i] = '\uFFFD'
		}
	}
	return string(runes)
}

// CodeOwnersPlaces are the paths at which CODEOWNERS is looked for, with what its patterns are relative to; the first
// that exists is in force. Beside the policy (in dir, a path in the repository) it speaks of that directory alone; then
// come GitHub's places, which speak of the repository.
func CodeOwnersPlaces(dir string) []CodeOwnersPlace {
	const name = "CODEOWNERS"
	forge := []string{".github/" + name, name, "docs/" + name}
	own := CodeOwnersPlace{Path: path.Join(dir, name), Dir: dir}
	places := []CodeOwnersPlace{own}
	for _, file := range forge {
		if file == own.Path {
			places[0].Dir = "" // the forge reads it too
			continue
		}
		places = append(places, CodeOwnersPlace{Path: file})
	}
	return places
}

// CodeOwnersPlace is a place for CODEOWNERS.
type CodeOwnersPlace struct {
	Path string // in the repository
	Dir  string // what its patterns are relative to; "": the repository
}
