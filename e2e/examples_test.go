package e2e_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

var (
	ingress = example{
		name: "ingress", envoy: "spiffe://acme.example/ns/edge/sa/envoy",
		clients: map[string][]string{"ingress": {"acme", "acme.example"}, "contractors": {"contractors"}},
	}
	contractorGateway = example{
		name: "contractor-gateway", envoy: "spiffe://acme.example/ns/edge/sa/envoy",
		clients: map[string][]string{"employees": {"acme"}, "birch": {"birch"}, "cedar": {"cedar"}},
	}
	workloadAdmin = example{
		name: "workload-admin", envoy: "spiffe://acme.example/ns/mesh/sa/envoy",
		clients: map[string][]string{"workloads": {"acme.example", "staging.acme.example"}, "operators": {"laptops"}},
	}
)

// TestIngress plays examples/ingress: its golden cases through the real Envoy. The story of the demo plays the rest.
func TestIngress(t *testing.T) {
	t.Parallel()
	p := play(t, ingress)
	p.casesThroughEnvoy(t, p.questions(t), 50)
}

// TestContractorGateway plays examples/contractor-gateway: its golden cases through the real Envoy, and the walls between
// employees and two partners.
func TestContractorGateway(t *testing.T) {
	t.Parallel()
	p := play(t, contractorGateway)
	all := p.questions(t)
	p.casesThroughEnvoy(t, all, 33)
	laptops := map[string]*devca.Pair{"none": nil}
	for _, name := range []string{"acme", "birch", "cedar"} { // all in the best of health, so that only the walls refuse
		laptops[name] = made(p.authorities[name].Device(name, "C02"+strings.ToUpper(name), time.Hour))(t)
		healthy := map[string]any{"platform": "macos", "disk_encryption": true, "edr_healthy": true, "compromised": false}
		if name == "acme" {
			healthy["enrolled_user"] = "kim"
		}
		p.report(t, "acme-mdm", laptops[name], time.Minute, healthy)
		p.report(t, "cedar-mdm", laptops[name], time.Minute, map[string]any{"screen_lock": true, "disk_encryption": true,
			"compromised": false})
	}
	laptops["workload"] = p.svid("spiffe://acme.example/ns/workplace/sa/intranet")(t)
	p.settled(t, p.mark(t, all))
	person := func(issuer string, groups ...string) string {
		return made(p.issuers[issuer].Token("kim", groups, time.Hour, nil))(t)
	}
	// Who reaches what, in words of its own: belonging decides, and belonging to two walls reaches nothing.
	people := map[string]struct{ token, belongs string }{
		"nobody":                           {"", ""},
		"an employee":                      {person("corp", "staff"), "employees"},
		"somebody without a group":         {person("corp"), ""},
		"Birch":                            {person("birch"), "birch"},
		"Birch, called staff by Birch":     {person("birch", "staff", "cedar-guests"), "birch"},
		"a guest from Birch":               {person("corp", "birch-guests"), "birch"},
		"a guest from Birch also in staff": {person("corp", "staff", "birch-guests"), "birch"},
		"Cedar":                            {person("cedar", "birch-guests", "staff"), "cedar"},
		"a guest from Cedar also in staff": {person("corp", "cedar-guests", "staff"), "cedar"},
		"a guest of both":                  {person("corp", "cedar-guests", "birch-guests", "staff"), ""},
	}
	upstreams := map[string]map[string]string{
		"employees": {"intranet.acme.example": "intranet"},
		"birch":     {"drawings.acme.example": "birch-drawings", "sitelog.acme.example": "birch-sitelog"},
		"cedar":     {"tickets.acme.example": "cedar-tickets"},
	}
	owner := map[string]string{"employees": "acme", "birch": "birch", "cedar": "cedar"}
	m := matrix{spellings: []func(string) string{asWritten, loudWithPort}}
	for name, who := range people {
		for shown, laptop := range laptops {
			for _, l := range p.settings.Envoy.Listeners {
				for _, host := range p.hosts(t) {
					owed := ""
					if who.belongs == l.Name && shown == owner[l.Name] {
						owed = upstreams[l.Name][host]
					}
					m.ask(t, p, owed, stage.Request{Address: l.Address, Host: host, Path: "/x", Pair: laptop, Token: who.token},
						name+", certificate "+shown+", listener "+l.Name)
				}
			}
		}
	}
	m.summary(t, 22)
}

// TestWorkloadAdmin plays examples/workload-admin: its golden cases through the real Envoy, and every caller at every
// listener, host, path and method.
func TestWorkloadAdmin(t *testing.T) {
	t.Parallel()
	p := play(t, workloadAdmin)
	all := p.questions(t)
	p.casesThroughEnvoy(t, all, 40)
	laptop := made(p.authorities["laptops"].Device("sam", "C02SAM", time.Hour))(t)
	p.report(t, "acme-mdm", laptop, time.Minute, map[string]any{"platform": "macos", "disk_encryption": true, "edr_healthy": true,
		"compromised": false, "enrolled_user": "sam"})
	p.settled(t, p.mark(t, all))
	p.namesAtTheDoor(t, p.settings.Envoy.Listeners[0], "ledger.svc.acme.example")
	onCall := made(p.issuers["corp"].Token("sam", []string{"on-call"}, time.Hour, nil))(t)
	type caller struct {
		pair        *devca.Pair
		token, role string
	}
	callers := map[string]caller{
		"nobody": {}, "on call": {laptop, onCall, "on-call"}, "a laptop alone": {laptop, "", ""}, "on call, no certificate": {nil, onCall, ""},
	}
	for id, role := range map[string]string{
		"acme.example/ns/audit/sa/sampler": "auditor", "acme.example/ci/main/ledger": "deployer", "acme.example/ns/web/sa/deployer": "deployer",
		"acme.example/ns/search/sa/operator": "operator", "acme.example/ns/web/sa/frontend": "service", "acme.example/ci": "service",
		"acme.example/ns/audit/sa/sampler/x": "service", "staging.acme.example/ci/main/ledger": "service",
		"staging.acme.example/ns/audit/sa/sampler": "service", "acme.example/ns/a/b/sa/deployer": "service",
	} {
		callers[id] = caller{pair: p.svid("spiffe://" + id)(t), role: role}
	}
	callers["a pipeline with the token of someone on call"] = caller{callers["acme.example/ci/main/ledger"].pair, onCall, "deployer"}
	m := matrix{spellings: []func(string) string{asWritten}}
	for name, who := range callers {
		for _, l := range p.settings.Envoy.Listeners {
			for _, host := range p.hosts(t) {
				for _, path := range []string{"/", "/admin/x", "/admin/reindex", "/break-glass/unlock"} {
					for _, method := range []string{"GET", "POST", "DELETE", "PUT"} {
						owed := ""
						if (who.role == "on-call") == (l.Name == "operators") {
							owed = adminUpstream(who.role, strings.TrimSuffix(host, ".svc.acme.example"), path, method)
						}
						m.ask(t, p, owed, stage.Request{Address: l.Address, Host: host, Path: path, Method: method, Pair: who.pair,
							Token: who.token}, name+", listener "+l.Name)
					}
				}
			}
		}
	}
	m.summary(t, 76)
}

// adminUpstream says what a role reaches, in words of its own and not the policy's.
func adminUpstream(role, service, path, method string) string {
	admin, reads, writes := strings.HasPrefix(path, "/admin/"), method == "GET", method == "POST" || method == "DELETE"
	switch {
	case role == "":
	case role == "on-call":
		if service == "ledger" && path == "/break-glass/unlock" && method == "POST" {
			return "ledger"
		}
	case service == "status" && reads:
		return "status"
	case service == "search" && path == "/admin/reindex":
		if role == "operator" && method == "POST" {
			return "search"
		}
	case (service == "ledger" || service == "search") && admin && (role == "deployer" && (reads || writes) || role == "auditor" && reads):
		return service
	}
	return ""
}

// casesThroughEnvoy asks every golden case that can be sent. atLeast keeps the test from passing by sending nothing.
func (p *played) casesThroughEnvoy(t *testing.T, all []*question, atLeast int) {
	t.Helper()
	asked := map[policy.Reason]int{}
	var sent []*question
	for _, q := range all {
		if why := p.unsendable(q); why != "" {
			t.Logf("not sent: %s: %s", q.name(), why)
			continue
		}
		_, authority := p.door(t, q)
		p.prepare(t, q, authority)
		sent = append(sent, q)
	}
	p.settled(t, p.mark(t, all))
	for _, q := range sent {
		listener, _ := p.door(t, q)
		if difference := q.differs(p.ask(t, q, listener)); difference != "" {
			t.Errorf("%s: %s: %s at %s: %s", q.Place, q.name(), q.Input.Request.Path, listener.Name, difference)
		}
		asked[q.Verdict.Reason]++
	}
	t.Logf("%d of %d cases asked through Envoy: %v", len(sent), len(all), asked)
	if len(sent) < atLeast {
		t.Errorf("only %d cases can be sent, there were %d", len(sent), atLeast)
	}
}

// matrix counts who reached what.
type matrix struct {
	spellings              []func(host string) string
	asked, admitted, leaks int
}

func asWritten(host string) string { return host }

func loudWithPort(host string) string { return strings.ToUpper(host) + ":443" }

// overrides are names by which proxies and frameworks let a client say another host or path; none counts.
var overrides = http.Header{
	"X-Forwarded-Host": {"intranet.acme.example"}, "X-Host": {"drawings.acme.example"}, "X-Original-Url": {"/admin/x"},
	"X-Tiergate-Subject":      {"corp/ana@acme.example"},
	"X-Forwarded-Client-Cert": {"Hash=00;URI=spiffe://acme.example/ci/main/ledger"},
}

// ask sends a request under each spelling of its host, with overrides. An upstream other than the owed one is a leak, and
// what is owed must come.
func (m *matrix) ask(t *testing.T, p *played, owed string, r stage.Request, who string) {
	t.Helper()
	r.Header = overrides
	name := r.Host
	for _, spelling := range m.spellings {
		r.Host = spelling(name)
		answer := p.client.Ask(soon(t, 10*time.Second), r)
		m.asked++
		got := ""
		if answer.Echo != nil {
			got = answer.Echo.Upstream
			m.admitted++
		}
		if got != "" && got != owed {
			m.leaks++
		}
		if got != owed {
			t.Errorf("%s: %s %s%s reached %q, expected %q (%d %s %v)", who, r.Method, r.Host, r.Path, got, owed,
				answer.Status, answer.Reason(), answer.Err)
		}
	}
}

func (m *matrix) summary(t *testing.T, atLeast int) {
	t.Helper()
	t.Logf("leaks %d of %d, admitted %d", m.leaks, m.asked, m.admitted)
	if m.admitted < atLeast {
		t.Errorf("%d were admitted; a matrix in which nobody passes proves nothing", m.admitted)
	}
}

var named = regexp.MustCompile(`(pki|secrets)/[a-z0-9.-]+`)

// TestExampleReadmes: each names every file that its settings need and every file of its policy; its commands that need
// nothing running work as printed.
func TestExampleReadmes(t *testing.T) {
	t.Parallel()
	for _, name := range []string{ingress.name, contractorGateway.name, workloadAdmin.name} {
		dir := filepath.Join("..", "examples", name)
		readme := string(made(os.ReadFile(filepath.Join(dir, "README.md")))(t))
		for _, file := range named.FindAllString(string(made(os.ReadFile(filepath.Join(dir, "settings.yaml")))(t)), -1) {
			if !strings.Contains(readme, file) && !strings.Contains(readme, strings.TrimSuffix(file, ".key")+".pem`, and `.key`") {
				t.Errorf("%s does not name %s", name, file)
			}
		}
		for _, pattern := range []string{"policy/*.yaml", "policy/*/*.yaml", "cases/*.yaml"} {
			for _, file := range made(filepath.Glob(filepath.Join(dir, pattern)))(t) {
				if relative := made(filepath.Rel(dir, file))(t); !strings.Contains(readme, "`"+filepath.ToSlash(relative)+"`") {
					t.Errorf("%s does not name %s", name, relative)
				}
			}
		}
		commands := 0
		for line := range strings.Lines(readme) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "bin/tiergate policy ") && !strings.Contains(line, "--config") {
				command := exec.CommandContext(soon(t, 20*time.Second), "bash", "-c", line)
				command.Dir = ".."
				if out, err := command.CombinedOutput(); err != nil {
					t.Errorf("%s: %v\n%s", line, err, out)
				}
				commands++
			}
		}
		if commands < 2 {
			t.Errorf("%s shows %d commands", name, commands)
		}
	}
}
