package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// suggestion is a command that works as printed while the demo is up.
type suggestion struct{ about, command string }

func suggest(s *stage.Stage) []suggestion {
	report := func(attributes string) string {
		return fmt.Sprintf("%s webhook -stage %s -device ana-laptop %s", quote(self()), quote(s.Dir), attributes)
	}
	return []suggestion{
		{"Ana opens the portal: 200, and what the portal was told", curl(s, "ana", s.Ports.Ingress, stage.PortalHost, "/")},
		{"the MDM reports that her disk is not encrypted", report("disk_encryption=false")},
		{"run Ana's line again: 403 with the fix. Then heal the laptop", report("disk_encryption=true")},
		{"the deployer lists payroll runs: 200", curl(s, "deployer", s.Ports.Ingress, stage.PayrollHost, "/admin/runs")},
		{"the reporter is outside the audience: 403",
			curl(s, "reporter", s.Ports.Ingress, stage.PayrollHost, "/admin/runs")},
		{"Cleo, a contractor, on the contractors' listener: 200",
			curl(s, "cleo", s.Ports.Contractors, stage.ContractorHost, "/tasks")},
		{"the employees' portal does not exist there: 404", curl(s, "cleo", s.Ports.Contractors, stage.PortalHost, "/")},
		{"Cleo on Ana's laptop, in staff as well: 403",
			curl(s, "cleo-borrowing", s.Ports.Ingress, stage.PortalHost, "/")},
		{"payroll's console wants a stronger login: 401, and WWW-Authenticate says which",
			curl(s, "ana", s.Ports.Ingress, stage.PayrollHost, "/console/runs")},
		{"Ana's login with a security key: 200, until it is 15 minutes old",
			curl(s, "ana-key", s.Ports.Ingress, stage.PayrollHost, "/console/runs")},
		{"what each source says of her laptop, when, and why these records are one device",
			quote(tool("tiergate")) + " device get C02ANA0001 --config " + quote(s.Settings())},
		{"on how many laptops a signal fails, and which tiers refuse them",
			quote(tool("tiergate")) + " device list --summary --config " + quote(s.Settings())},
		{"the policy in force; edit a file in " + s.Path("policy") + " and ask again",
			"curl -sS --unix-socket " + quote(s.Path("run", "admin.sock")) + " http://admin/v1/policy"},
	}
}

// curl writes the command of one caller of the cast.
func curl(s *stage.Stage, name, address, host, path string) string {
	caller, err := s.Caller(name)
	if err != nil {
		panic(err) // the cast is in the code
	}
	parts := []string{
		"curl -sS -i",
		"--cacert " + quote(s.Path("pki", "servers-ca.pem")),
		"--cert " + quote(s.Path("pki", caller.Certificate+".pem")),
		"--key " + quote(s.Path("pki", caller.Certificate+".key")),
		"--connect-to " + quote(host+":443:"+address),
	}
	if caller.Token != "" {
		token := quote(s.Path("tokens", caller.Token+".jwt"))
		parts = append(parts, fmt.Sprintf(`-H "Authorization: Bearer $(cat %s)"`, token))
	}
	return strings.Join(append(parts, quote("https://"+host+path)), " ")
}

// self is how this program was started, as the shell at the same place would find it.
func self() string {
	exe, err := os.Executable()
	if err != nil {
		return "bin/tiergate-demo"
	}
	if wd, err := os.Getwd(); err == nil {
		if relative, err := filepath.Rel(wd, exe); err == nil && filepath.IsLocal(relative) {
			return "./" + relative
		}
	}
	return exe
}

// tool is a program that stands beside this one.
func tool(name string) string {
	dir, _ := filepath.Split(self())
	return dir + name
}

// quote leaves plain words as they are.
func quote(word string) string {
	if strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:") == "" && word != "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
