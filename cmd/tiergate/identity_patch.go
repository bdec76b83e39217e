package main

import (
	"fmt"
	"slices"
	"strings"
)

const contextLines = 3 // around each change, as diff -u has them

// largestTable bounds the table of common lines; texts that differ in more are replaced as a whole.
const largestTable = 16 << 20

// unifiedDiff is the patch that makes one text of another, for `git apply` and `patch -p1`; empty: they are equal.
func unifiedDiff(name, was, is string) string {
	if was == is {
		return ""
	}
	edits := lineEdits(splitLines(was), splitLines(is))
	var out strings.Builder
	fmt.Fprintf(&out, "--- a/%s\n+++ b/%s\n", name, name)
	for at := 0; at < len(edits); {
		first := slices.IndexFunc(edits[at:], func(e lineEdit) bool { return e.sign != ' ' })
		if first < 0 {
			break
		}
		from := max(at, at+first-contextLines)
		last, to := at+first, at+first
		for ; to < len(edits) && to-last <= 2*contextLines; to++ {
			if edits[to].sign != ' ' {
				last = to
			}
		}
		to = min(last+contextLines+1, len(edits))
		writeHunk(&out, edits, from, to)
		at = to
	}
	return out.String()
}

type lineEdit struct {
	sign byte // ' ', '-' or '+'
	text string
}

func splitLines(text string) []string {
	lines := strings.SplitAfter(text, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

func writeHunk(out *strings.Builder, edits []lineEdit, from, to int) {
	count := func(part []lineEdit, without byte) int {
		n := 0
		for _, e := range part {
			if e.sign != without {
				n++
			}
		}
		return n
	}
	place := func(without byte) string {
		start, n := count(edits[:from], without)+1, count(edits[from:to], without)
		if n == 0 {
			start--
		}
		return fmt.Sprintf("%d,%d", start, n)
	}
	fmt.Fprintf(out, "@@ -%s +%s @@\n", place('+'), place('-'))
	for _, e := range edits[from:to] {
		out.WriteByte(e.sign)
		out.WriteString(e.text)
		if !strings.HasSuffix(e.text, "\n") {
			out.WriteString("\n\\ No newline at end of file\n")
		}
	}
}

// lineEdits are the lines of both texts in order: what stays, goes and comes, by a longest common subsequence.
func lineEdits(was, is []string) []lineEdit {
	head := 0
	for head < min(len(was), len(is)) && was[head] == is[head] {
		head++
	}
	tail := 0
	for tail < min(len(was), len(is))-head && was[len(was)-1-tail] == is[len(is)-1-tail] {
		tail++
	}
	var edits []lineEdit
	for _, l := range was[:head] {
		edits = append(edits, lineEdit{' ', l})
	}
	edits = append(edits, middleEdits(was[head:len(was)-tail], is[head:len(is)-tail])...)
	for _, l := range was[len(was)-tail:] {
		edits = append(edits, lineEdit{' ', l})
	}
	return edits
}

func middleEdits(a, b []string) []lineEdit {
	var edits []lineEdit
	if len(a)*len(b) > largestTable {
		for _, l := range a {
			edits = append(edits, lineEdit{'-', l})
		}
		for _, l := range b {
			edits = append(edits, lineEdit{'+', l})
		}
		return edits
	}
	common := make([][]int32, len(a)+1) // from i and j on
	for i := range common {
		common[i] = make([]int32, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			edits = append(edits, lineEdit{' ', a[i]})
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			edits = append(edits, lineEdit{'-', a[i]})
			i++
		default:
			edits = append(edits, lineEdit{'+', b[j]})
			j++
		}
	}
	return edits
}
