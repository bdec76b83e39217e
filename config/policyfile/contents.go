package policyfile

import (
	"bytes"
	"iter"
)

// Contents yields the name of each file, relative to the directory and with slashes, and its bytes as they were read,
// sorted by name. Written below another directory, they are Files of the same Digest.
func (f *Files) Contents() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for _, file := range f.files {
			if !yield(file.name, bytes.Clone(file.data)) {
				return
			}
		}
	}
}
