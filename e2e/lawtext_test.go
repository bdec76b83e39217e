package e2e_test

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// fileLengths counts the lines of Go files, generated ones apart.
func fileLengths(t tree) []violation {
	var found []violation
	for _, s := range t.sources {
		lines := strings.Count(t.text[s.path], "\n")
		if lines > maxLines && !generated(t.text[s.path]) {
			found = append(found, violation{s.path, fmt.Sprintf("%d lines; more than %d are two subjects", lines, maxLines)})
		}
	}
	return found
}

var generatedMark = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

func generated(text string) bool { return generatedMark.MatchString(text) }

// The marks are written in pieces, so that this file has none of them.
var (
	machinePath = regexp.MustCompile(`(^|[^\w.~/\-)}])/(` + `work|root|home|Users` + `)/\w`)
	undone      = regexp.MustCompile(`\b(` + `TO` + `DO|FIX` + `ME|XX` + `X|HA` + `CK)\b`)
)

// leftovers finds paths of one machine, and notes of what is undone, in what people read: code, documents, settings.
func leftovers(t tree) []violation {
	var found []violation
	for name, text := range t.text {
		if !readByPeople(name) {
			continue
		}
		number := 0
		for line := range strings.Lines(text) {
			number++
			where := fmt.Sprintf("%s:%d", name, number)
			if mark := machinePath.FindString(line); mark != "" {
				found = append(found, violation{where, fmt.Sprintf("%q is a path of one machine", strings.TrimSpace(mark))})
			}
			if mark := undone.FindString(line); mark != "" && path.Ext(name) == ".go" {
				found = append(found, violation{where, mark + ": do it, or open an issue"})
			}
		}
	}
	return found
}

func readByPeople(name string) bool {
	if strings.Contains(name, "/testdata/fuzz/") {
		return false
	}
	written := []string{".go", ".md", ".yaml", ".yml", ".py", ".sh", ".txt", ".txtar", ".json", ".tmpl"}
	return path.Base(name) == "Makefile" || strings.HasPrefix(name, ".ci/") || slices.Contains(written, path.Ext(name))
}

// topLevel wants nothing new at the top.
func topLevel(t tree) []violation {
	var found []violation
	for name := range t.text {
		first, _, _ := strings.Cut(name, "/")
		if !strings.HasPrefix(first, ".") && !slices.Contains(topLevelNames, first) {
			found = append(found, violation{name, "has no place at the top level"})
		}
	}
	return found
}

// floors reads go.mod.
func floors(t tree) []violation {
	var found []violation
	for number, line := range strings.Split(t.text["go.mod"], "\n") {
		where := fmt.Sprintf("go.mod:%d", number+1)
		line, _, _ = strings.Cut(line, "//")
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(fields) > 0 && (fields[0] == "replace" || slices.Contains(fields, "=>")) {
			found = append(found, violation{where, "whoever installs the module gets no replacement; depend on a release"})
		}
		if len(fields) != 2 {
			continue
		}
		if better, ok := outgrown[fields[0]]; ok && !strings.Contains(line, "module") {
			found = append(found, violation{where, fields[0] + " is outgrown; use " + better})
		}
		for _, f := range versionFloors {
			if fields[0] == f.module && (prerelease(fields[1]) || compareVersions(fields[1], f.version) < 0) {
				found = append(found, violation{where,
					fmt.Sprintf("%s %s is below %s: %s", f.module, fields[1], f.version, f.reason)})
			}
		}
	}
	return found
}

func prerelease(version string) bool {
	version, _, _ = strings.Cut(version, "+")
	return strings.Contains(version, "-")
}

// compareVersions orders vMAJOR.MINOR.PATCH by number; what is no number counts as 0, the lowest.
func compareVersions(a, b string) int {
	parts := func(v string) []string {
		v, _, _ = strings.Cut(strings.TrimPrefix(v, "v"), "+")
		v, _, _ = strings.Cut(v, "-")
		return append(strings.Split(v, "."), "0", "0", "0")
	}
	for i, x := range parts(a)[:3] {
		m, _ := strconv.Atoi(x)
		n, _ := strconv.Atoi(parts(b)[i])
		if c := cmp.Compare(m, n); c != 0 {
			return c
		}
	}
	return 0
}
