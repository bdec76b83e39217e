// Package strictyaml reads YAML that people write into Go values and says everything that is wrong with it at once, each
// fault with its file, line, column, the source line and what to do.
//
// It is stricter than YAML on purpose, because the files it reads decide who gets in: an unknown, repeated or empty field,
// a number that some readers take for octal, a merge key, an explicit tag, or text where a bool is wanted is a fault and
// never a guess. A struct field whose yaml tag lacks omitempty must be written.
//
// Reading is bounded: 1 MiB a file, 1,000 documents, 64 levels, 10,000 nodes added by aliases, 100 problems a document.
package strictyaml
