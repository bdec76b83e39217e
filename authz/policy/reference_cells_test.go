package policy_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// cells are what the drawn cases must come to, or agreement says nothing about them.
var cells = []string{
	"reason malformed", "reason path", "reason host", "reason identity-doubted", "reason no-route", "reason method",
	"reason identity-unchecked", "workload of a JWT-SVID alone", "JWT-SVID out of its window", "device of a claim alone",
	"reason identity-revoked", "withdrawn, and the source cannot tell any more",
	"withdrawn, in a tier that looks at no device", "reason enrolled-user", "enrolled for a user of another issuer",
	"enrolled for an address, and the token has none", "enrolled for somebody else, by settings that are not known",
	"sources say two users", "two sources say the user",
	"nobody says the user, who passes", "nobody says the user, who is refused",
	"reason route-mismatch", "reason identity-missing", "reason identity-expired", "reason session-revoked", "reason user-risk",
	"reason isolated", "reason audience",
	"reason device-unknown", "reason device-contested", "reason store-unreachable", "reason posture", "reason step-up",
	"reason allowed",
	"monitored deny posture", "monitored deny device-unknown", "monitored deny store-unreachable",
	"monitored step-up step-up",
	"unmet require failing", "unmet require unknown", "unmet denyUnless failing", "unmet denyUnless unknown",
	"unmet stepUp failing", "unmet stepUp unknown", "noted stepUp failing", "noted stepUp unknown",
	"noted advise failing", "noted advise unknown", "noted denyUnless unknown",
	"waived require failing by exception", "waived require unknown by exception", "waived stepUp failing by exception",
	"waived stepUp unknown by exception", "waived require unknown by grace", "waived require unknown by last-known",
	"grace renewed", "grace renewed at its very end", "grace ended by somebody",
	"fallback closed", "fallback of another audience", "fallback at its end", "fallback offered",
	"grace, 1 ns before its end", "grace, at its end", "grace, 1 ns after its end",
	"last-known, 1 ns before its end", "last-known, at its end", "last-known, 1 ns after its end",
	"vote, 1 ns before its end", "vote, at its end", "vote, 1 ns after its end",
	"exception, 1 ns before its end", "exception, at its end", "exception, 1 ns after its end",
	"exception at its start", "exception 1 ns before its start", "excused at run time",
	"excused by one of several exceptions", "excused by a renewal", "exception too long for a stricter audience",
	"granted, but more than the policy could hold", "preferred source against others",
	"an upstream that only the older policy leads to",
	"alarm that has aged, or was followed by unknown", "isolated by an ownership that nobody knows",
}

// TestDrawnCasesReachEveryCell draws from fixed seeds, so that it says the same every time.
func TestDrawnCasesReachEveryCell(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	worlds := rapid.Custom(func(t *rapid.T) struct{} {
		w := drawWorld(t)
		w.cells = seen
		for range perPolicy {
			w.judge(dice{t}.input(w.reference)).count(seen)
		}
		return struct{}{}
	})
	for seed := range 250 {
		worlds.Example(seed)
	}
	for _, cell := range cells {
		if seen[cell] == 0 {
			t.Errorf("no case came to %q", cell)
		}
	}
	for _, cell := range slices.Sorted(maps.Keys(seen)) {
		t.Logf("%6d %s", seen[cell], cell)
		if !slices.Contains(cells, cell) {
			t.Errorf("a case came to %q, which is not listed", cell)
		}
	}
}

// count notes the parts of a ruling, without the names of signals and exceptions.
func (r ruling) count(seen map[string]int) {
	seen["reason "+string(r.Reason)]++
	if r.Monitored != "" {
		seen["monitored "+r.Monitored]++
	}
	for kind, set := range map[string][]named{"unmet": r.Unmet, "noted": r.Noted, "waived": r.Waived} {
		for _, entry := range set {
			cell := fmt.Sprint(kind, " ", entry.list, " ", entry.status)
			if entry.waiver.by != "" {
				cell += fmt.Sprint(" by ", entry.waiver.by)
			}
			seen[cell]++
		}
	}
}
