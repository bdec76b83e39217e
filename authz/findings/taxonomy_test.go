package findings_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/authz/findings"
)

// frameworks are all identifiers that the frameworks have: how many NHI1 to NHI10 there are of OWASP's list, the subcategories of
// NIST CSWP 29, Appendix A (106; some numbers of version 1.1 are withdrawn), and the layers of MAESTRO.
func frameworks() (nhi, csf, maestro map[string]bool) {
	nhi, csf, maestro = map[string]bool{}, map[string]bool{}, map[string]bool{}
	for n := range 10 {
		nhi[fmt.Sprintf("NHI%d:2025", n+1)] = true
	}
	for category, numbers := range map[string]string{
		"GV.OC": "1 2 3 4 5", "GV.RM": "1 2 3 4 5 6 7", "GV.RR": "1 2 3 4", "GV.PO": "1 2", "GV.OV": "1 2 3", "GV.SC": "1 2 3 4 5 6 7 8 9 10",
		"ID.AM": "1 2 3 4 5 7 8", "ID.RA": "1 2 3 4 5 6 7 8 9 10", "ID.IM": "1 2 3 4",
		"PR.AA": "1 2 3 4 5 6", "PR.AT": "1 2", "PR.DS": "1 2 10 11", "PR.PS": "1 2 3 4 5 6", "PR.IR": "1 2 3 4",
		"DE.CM": "1 2 3 6 9", "DE.AE": "2 3 4 6 7 8",
		"RS.MA": "1 2 3 4 5", "RS.AN": "3 6 7 8", "RS.CO": "2 3", "RS.MI": "1 2", "RC.RP": "1 2 3 4 5 6", "RC.CO": "3 4",
	} {
		for number := range strings.FieldsSeq(numbers) {
			csf[fmt.Sprintf("%s-%02s", category, number)] = true
		}
	}
	for _, layer := range []string{"L1 Foundation Models", "L2 Data Operations", "L3 Agent Frameworks", "L4 Deployment and Infrastructure",
		"L5 Evaluation and Observability", "L6 Security and Compliance", "L7 Agent Ecosystem"} {
		maestro[layer] = true
	}
	return nhi, csf, maestro
}

// TestTaxonomyIsReal: each identifier is one that its framework has, and only kinds about non-human identities are of OWASP's list
// of these.
func TestTaxonomyIsReal(t *testing.T) {
	t.Parallel()
	nhi, csf, maestro := frameworks()
	if len(csf) != 106 || !csf["ID.AM-08"] || csf["ID.AM-06"] {
		t.Fatal(len(csf))
	}
	for _, kind := range findings.Kinds() {
		taxonomy := kind.Taxonomy()
		for _, x := range []struct {
			ids   []string
			known map[string]bool
		}{{taxonomy.NHI, nhi}, {taxonomy.CSF, csf}, {taxonomy.MAESTRO, maestro}} {
			for _, id := range x.ids {
				if !x.known[id] {
					t.Errorf("%s: there is no %s", kind, id)
				}
			}
			if !slices.IsSorted(x.ids) {
				t.Errorf("%s: %v", kind, x.ids)
			}
		}
		if about := strings.HasPrefix(string(kind), "identity-") || kind == findings.CredentialAge; !about && len(taxonomy.NHI) > 0 {
			t.Errorf("%s is no %v", kind, taxonomy.NHI)
		}
	}
}

// TestKindsAreTheWatchable: a policy may watch each kind and nothing else, README.md tells of each, and each has its place in the
// common taxonomy as README.md says it.
func TestKindsAreTheWatchable(t *testing.T) {
	t.Parallel()
	compile(t, spec()) // a monitor of it watches every kind
	if !slices.IsSorted(findings.Kinds()) || len(findings.Kinds()) != 13 {
		t.Errorf("%v", findings.Kinds())
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range findings.Kinds() {
		taxonomy := kind.Taxonomy()
		if len(taxonomy.CSF) == 0 || len(taxonomy.MAESTRO) == 0 {
			t.Errorf("%s: %+v", kind, taxonomy)
		}
		var layers []string
		for _, layer := range taxonomy.MAESTRO {
			layers = append(layers, layer[:2])
		}
		_, elsewhere, _ := strings.Cut(string(readme), "called elsewhere")
		line := strings.Join(taxonomy.CSF, ", ") + " | " + strings.Join(layers, ", ") + " |"
		if i := strings.Index(elsewhere, "| `"+string(kind)+"` | "+strings.Join(taxonomy.NHI, ", ")); i < 0 ||
			!strings.Contains(strings.SplitN(elsewhere[i:], "\n", 2)[0], line) {
			t.Errorf("README.md does not say of %s: %s", kind, line)
		}
	}
}
