package policy_test

import (
	"strings"
	"testing"

	"github.com/tiergate/tiergate/authz/inventory"
	"github.com/tiergate/tiergate/authz/policy"
)

// A document names a part if and only if an import can be of it.
func TestPartsAsImportsNameThem(t *testing.T) {
	t.Parallel()
	for part, want := range map[string]bool{
		"a": true, "7": true, "eu-west-1": true, strings.Repeat("a", 63): true,
		"-eu": false, "eu-": false, "-": false, "EU": false, "e_u": false, "e u": false, strings.Repeat("a", 64): false,
	} {
		_, document := policy.ParseRecorded("kubernetes@" + part + "/ops/backup")
		imported := inventory.CheckPart(part)
		if (document == nil) != want || (imported == nil) != want {
			t.Errorf("%q: want %t; a document is told %v, an import %v", part, want, document, imported)
		}
	}
	if _, err := policy.ParseRecorded("kubernetes@/ops/backup"); err == nil || !strings.Contains(err.Error(), `"" is no part`) {
		t.Error(err)
	}
}
