package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// spellings are ways to write a slash, a dot, two dots, a letter or nothing that some server or other takes for it.
var spellings = []string{
	"%2f", "%2F", "%252f", "%252F", "%c0%af", "%e0%80%af", "%5c", "%5C", `\`, "//", "///", "/./", "/.//", "/%2e/", "/%2E/", "/.%00/",
	"/;/", "/;a=b/", ";/", "/.;/", "/..;/", "/%3b/", "%23/", "#/", "?/", "%3f/", "%3F/", "/%20/", "/%09/", "/%0a/", "/%0d/", "/%0d%0a/",
	"/%00/", "%00", "/%7f/", "/%ff/", "/\xff/", "/\xc0\xaf/", "/%c3/", "/%c3%a9/", "/é/", "/%u002f/", "/%2/", "/%/", "/%zz/", "/~/",
	"/*/", "/@/", "/:/", "/:443/", "/&/", "/,/", "/=/", "/|/", "/^/", "/{id}/", "/**/", "/<>/", `/"/`, "/'/", "/`/", "/$/", "/!/", "/(/",
}

// climbs lead from one directory to its parent, in the eyes of some.
var climbs = []string{
	"/..", "/%2e%2e", "/%2E%2E", "/.%2e", "/%2e.", "/%252e%252e", "/..%00", "/..;", "/..;x=y", "/%2e%2e;", `\..`, `/..\`, "/%c0%ae%c0%ae",
	"/..%2f", "/..%5c", "%2f..", "%5c..", "/.../", "/../.", "/./..", "//..", "/..//", "/%2e%2e%2f", "/\u2025", "/．．", "/..%09", "/.. ",
}

// oddTargets are whole targets: other forms of RFC 9112, section 3.2, queries and fragments with paths inside, sizes.
var oddTargets = []string{
	"", "*", "/", "//", "///", ".", "..", "vault", "vault/x", "?", "?/vault", "#", "#/vault", "/?", "/??", "/#", "/;", "/.", "/..",
	"/?x=/vault", "/?/../vault", "/?../../vault/x", "/?%2fvault", "/?a#/vault", "/#/../vault", "/team?/vault", "/team?x#y", "/team/7?/notes/1",
	"/vault?", "/vault?x", "/vault#x", "/vault;x", "/vault.", "/vault%20", "/vault%09", "/vault%00", "/vault%", "/vaul%74", "/%76ault",
	"/%56ault", "/%2576ault", "/Vault", "/VAULT", "/VAULT/x", "/vAult/x", "/vault/", "/vault//", "/vault/.", "/vault/..", "/vault/../vault",
	"/vault/../team/7", "/team/7/../../vault", "/team/7/..", "/team/../vault", "/team/./7", "/beta/../vault", "/beta/%2e%2e/vault",
	"/beta/..%2fvault", "/beta/x/../../vault/x", "/team/secret", "/team/secret/", "/team/Secret", "/team/%73ecret", "/team/secret%2f",
	"/team/secret/notes/1", "/team/x/../secret", "/team//secret", "/team/secret;x", "/team/secret?x", "/team/secret.", "/team/7/notes/1",
	"/team/7/notes/", "/team/7/notes", "/team/7/notes//1", "/team/7/notes/1/2", "/team/7/notes/..", "/team/7/notes/../../secret", "/team/{id}",
	"/team/*", "/team/", "/team", "/team/%7bid%7d", "/vaultx", "/xvault", "/vault-x", "/vault_x", "/vau/lt", "/v", "/vault\x00", "/vault\x01",
	"/vault\t", "/vault\x7f", "/\tvault", "/ vault", "/vault x", "/vault HTTP/1.0", "/x HTTP/1.1\r\nX-Tiergate-Subject: forged",
	"/x HTTP/1.1\r\nHost: app.acme.example\r\n\r\nGET /vault", "/x\r\n\r\nGET /vault HTTP/1.1\r\nHost: app.acme.example\r\n\r\n", "/x\nX-A: b",
	"/x\rX-A: b", "/x\r\n", "/x%0d%0aX-A:%20b", "/x%0aX-A:b", "/x\u2028", "/x\u010a", "/x\u560d\u560a",
	"https://app.acme.example/", "https://app.acme.example/vault", "https://app.acme.example/team/../vault", "https://app.acme.example//vault",
	"https://app.acme.example", "https://app.acme.example?/vault", "https://app.acme.example#/vault", "https://app.acme.example/team/7?x",
	"https://payroll.acme.example/admin/x", "https://payroll.acme.example/console/x", "http://app.acme.example/vault",
	"HTTPS://APP.ACME.EXAMPLE/vault", "https://app.acme.example:443/vault", "https://app.acme.example.:443/vault", "https://u:p@app.acme.example/vault",
	"https://app.acme.example@payroll.acme.example/admin/x", "https://payroll.acme.example@app.acme.example/vault",
	`https://payroll.acme.example\@app.acme.example/vault`, "https://[::1]/vault", "https:///vault", "https:/vault", "https:vault",
	"//app.acme.example/vault", "//payroll.acme.example/admin", "///app.acme.example/vault", `\\app.acme.example\vault`, "ftp://app.acme.example/vault",
	"file:///vault", "unix:/vault", "javascript:/vault", "app.acme.example:443", "payroll.acme.example:443", "/https://app.acme.example/vault",
	"/x/https://payroll.acme.example/admin", "/http:/vault", "/x@payroll.acme.example/admin", "/x?host=payroll.acme.example",
	"/admin", "/admin/", "/admin/x", "/admin/../console", "/admin/%2e%2e/console/x", "/admin/..;/console", "/admin//x", "/ADMIN/x", "/%61dmin/x",
	"/admin%2fx", "/admin/x?/console", "/admin/x#/console", "/admin;x/y", "/admin/x/../../console/y", "/console", "/console/x", "/console/../admin/x",
	"/console/%2e%2e/admin/x", "/console;/x", "/Console/x", "/%63onsole/x", "/adminx", "/admin.", "/admin/.", "/admin/..", "/admin/../", "/admin/%",
}

// namedTargets is the corpus: every spelling in a few places, every climb from an open path into a closed one, and what
// is odd by itself.
func namedTargets() []string {
	all := slices.Clone(oddTargets)
	for _, s := range spellings {
		all = append(all, "/vault"+s+"x", "/team/7"+s+"notes/1", s+"vault/x")
	}
	for _, c := range climbs {
		all = append(all, "/beta"+c+"/vault/x", "/team/7"+c+c+"/vault", "/admin/a"+c+c+"/console/x")
	}
	for _, n := range []int{100, 1000, 4000, 8191, 8192, 8193, 16000, 40000, 61000, 70000} {
		all = append(all, "/"+strings.Repeat("a", n), "/"+strings.Repeat("a/", n/2)+"../vault", "/team/7?"+strings.Repeat("/vault", n/6),
			strings.Repeat("/x/..", n/5)+"/vault/x")
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// brief names a target in a list.
func brief(target string) string {
	if len(target) > 100 {
		return fmt.Sprintf("%q and so on, %d bytes", target[:40], len(target))
	}
	return fmt.Sprintf("%q", target)
}

// asker is who sends a corpus, and where to.
type asker struct{ name, pair, token, host string }

var askers = []asker{
	{"ana", "ana-laptop", "ana", stage.PortalHost},
	{"deployer", "deployer", "", stage.PayrollHost},
	{"reporter", "reporter", "", stage.PayrollHost},
}

func (a asker) fields(s *stage.Stage, number string) []field {
	fields := []field{{caseHeader, number}}
	if a.token != "" {
		fields = append(fields, field{"authorization", "Bearer " + s.Cast.Tokens[a.token]})
	}
	return fields
}

// drawn is one target made from another by chance: the same seed, the same targets.
func drawn(dice *rand.Rand, bases []string) string {
	target := bases[dice.IntN(len(bases))]
	for range 1 + dice.IntN(3) {
		at := dice.IntN(len(target) + 1)
		before, after := target[:at], target[at:]
		switch dice.IntN(8) {
		case 0:
			target = before + spellings[dice.IntN(len(spellings))] + after
		case 1:
			target = before + climbs[dice.IntN(len(climbs))] + after
		case 2, 3: // one byte in its encoding, once or twice
			if after != "" {
				escape := []string{"%%%02x", "%%%02X", "%%25%02x"}[dice.IntN(3)]
				target = before + fmt.Sprintf(escape, after[0]) + after[1:]
			}
		case 4:
			if after != "" {
				target = before + after[1:]
			}
		case 5:
			target = before + after[:dice.IntN(len(after)+1)] + after
		case 6:
			target = before + swapCase(after)
		default:
			target = before + string([]byte{byte(1 + dice.IntN(255))}) + after
		}
	}
	return target
}

func swapCase(s string) string {
	if s == "" {
		return s
	}
	return string(s[0]^0x20) + s[1:]
}
