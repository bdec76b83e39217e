package token

import "strings"

// ProofAlgorithms are the JWS algorithms that a DPoP proof may be signed with, separated by blanks: the algs parameter of
// a challenge (RFC 9449, section 7.1).
func ProofAlgorithms() string {
	names := make([]string, len(algorithms))
	for i, a := range algorithms {
		names[i] = string(a)
	}
	return strings.Join(names, " ")
}
