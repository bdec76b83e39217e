package main

import (
	"strings"
	"testing"
)

const (
	passing = `{"Action":"output","Package":"m/a","Test":"TestA","Output":"noise\n"}
{"Action":"pass","Package":"m/a","Test":"TestA/sub"}
{"Action":"pass","Package":"m/a","Test":"TestA"}
{"Action":"output","Package":"m/a","Output":"PASS\n"}
{"Action":"output","Package":"m/a","Output":"ok  \tm/a\t0.1s\n"}
{"Action":"pass","Package":"m/a"}
`
	failing = `{"Action":"output","Package":"m/b","Test":"TestB","Output":"b.go:1: wrong\n"}
{"Action":"fail","Package":"m/b","Test":"TestB"}
{"Action":"fail","Package":"m/b"}
`
	panicking = `{"Action":"output","Package":"m/b","Output":"panic: x\n"}
{"Action":"fail","Package":"m/b"}
`
	exiting = `{"Action":"output","Package":"m/b","Test":"TestB","Output":"last words\n"}
{"Action":"fail","Package":"m/b"}
`
	unbuilt = `{"ImportPath":"m/c","Action":"build-output","Output":"c.go:1: undefined: x\n"}
{"ImportPath":"m/c","Action":"build-fail"}
`
	skipping     = `{"Action":"skip","Package":"m/e2e","Test":"TestC"}` + "\n"
	skippingPart = `{"Action":"skip","Package":"m/e2e/x","Test":"TestC/sub"}` + "\n"
	empty        = `{"Action":"output","Package":"m/d","Output":"?   \tm/d\t[no test files]\n"}
{"Action":"skip","Package":"m/d"}
`
)

func TestJudge(t *testing.T) {
	for name, tc := range map[string]struct {
		in, out, fault string // out: what must be printed; fault: part of the error, empty for none
	}{
		"passing":               {passing, "ok  \tm/a\t0.1s\n", ""},
		"failing":               {passing + failing, "ok  \tm/a\t0.1s\nb.go:1: wrong\n", "failed: m/b"},
		"panic":                 {passing + panicking, "ok  \tm/a\t0.1s\npanic: x\n", "failed: m/b"},
		"exit in a test":        {passing + exiting, "ok  \tm/a\t0.1s\nTestB did not end:\nlast words\n", "failed: m/b"},
		"does not build":        {passing + unbuilt, "ok  \tm/a\t0.1s\nc.go:1: undefined: x\n", "failed: m/c"},
		"skipped end to end":    {passing + skipping, "ok  \tm/a\t0.1s\n", "m/e2e TestC was skipped"},
		"skipped part":          {passing + skippingPart, "ok  \tm/a\t0.1s\n", "m/e2e/x TestC/sub was skipped"},
		"skipped elsewhere":     {passing + strings.ReplaceAll(skipping, "e2e", "e2efoo"), "ok  \tm/a\t0.1s\n", ""},
		"package without tests": {passing + empty, "ok  \tm/a\t0.1s\n", ""},
		"nothing":               {empty, "", "no test ran"},
		"go's own message":      {"go: no such flag\n", "go: no such flag\n", "no test ran"},
		"without a last line":   {passing + "exit status 1", "ok  \tm/a\t0.1s\nexit status 1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			total, err := read(strings.NewReader(tc.in), &out)
			if err != nil {
				t.Fatal(err)
			}
			if out.String() != tc.out {
				t.Errorf("printed %q, want %q", out.String(), tc.out)
			}
			err = total.judge([]string{"m/e2e"})
			if tc.fault == "" && err != nil || tc.fault != "" && (err == nil || !strings.Contains(err.Error(), tc.fault)) {
				t.Errorf("judged %v, want %q", err, tc.fault)
			}
		})
	}
}
