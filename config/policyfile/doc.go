// Package policyfile is the policy language: it turns the YAML files of a directory into a compiled policy, or into every
// fault in them with file, line, column and what to do.
//
// Read takes one consistent picture of the directory; Compile decodes its documents, asks policy.New to judge them as a
// whole, and puts a place to every fault. Nothing that is written is ignored: a kind or field that this version does not
// act on is a fault.
package policyfile
