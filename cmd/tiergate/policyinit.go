package main

import (
	"fmt"
	"io"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"
)

// starter is what a starting policy is about.
type starter struct {
	Domain, TrustDomain            string
	Employees, Contractors         population
	Today, NextWeek, ReviewBy, Dir string
}

// population is a group with the name that the settings give to its issuer.
type population struct{ Issuer, Group string }

// OneIssuer reports whether one directory can list somebody in both groups.
func (s starter) OneIssuer() bool { return s.Employees.Issuer == s.Contractors.Issuer }

// started is what `policy init` says of what it wrote.
type started struct {
	Dir   string        `json:"dir"`
	Files []startedFile `json:"files"`
}

// startedFile is a file that was written; SchemaLine is its first line, empty where no schema describes it.
type startedFile struct {
	File       string `json:"file"`
	SchemaLine string `json:"schemaLine,omitempty"`
}

// reviewAfter is when owners of identities look at them first.
const reviewAfter = 180 * 24 * time.Hour

func newPolicyInit() *cobra.Command {
	var form, employees, contractors string
	s := starter{}
	c := &cobra.Command{
		Use:   "init DIR",
		Short: "Write a commented policy to start from, with cases and settings, into a new or empty directory",
		Long: "Writes policy/ (teams, a baseline of laptops, tiers, audiences, routes, upstreams, identities), cases/ with the answers that\n" +
			"it must give, settings.yaml for `tiergate serve`, and the schemas that editors complete and check by. The tiers for\n" +
			"people begin in monitor mode. Comments say who owns each file and what to change first. Nothing is ever overwritten.",
		Example: "  tiergate policy init acme --domain acme.example --employees corp:staff --contractors partners:guests\n" +
			"  tiergate policy check acme/policy && tiergate policy test acme/policy",
		Args: cobra.ExactArgs(1),
	}
	outputFlag(c, &form)
	c.Flags().StringVar(&s.Domain, "domain", "acme.example", "`DOMAIN` of the applications: app.DOMAIN, admin.DOMAIN")
	c.Flags().StringVar(&s.TrustDomain, "trust-domain", "", "`DOMAIN` of SPIFFE IDs (default: that of --domain)")
	c.Flags().StringVar(&employees, "employees", "corp:staff", "who employees are, `ISSUER:GROUP`; the issuer is a name of your choice")
	c.Flags().StringVar(&contractors, "contractors", "corp:contractors", "who contractors are, `ISSUER:GROUP`")
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := checkOutput(form); err != nil {
			return err
		}
		if err := s.read(employees, contractors, time.Now().UTC()); err != nil {
			return usageError{err}
		}
		files, err := s.render()
		if err != nil {
			return err
		}
		if err := layDown(args[0], files); err != nil {
			return err
		}
		done := started{Dir: args[0]}
		for _, f := range files {
			done.Files = append(done.Files, startedFile{File: filepath.Join(args[0], filepath.FromSlash(f.name)), SchemaLine: f.schemaLine})
		}
		return printAs(c.OutOrStdout(), form, done, func(w io.Writer) error { return tableOfStarted(w, done) })
	}
	return c
}

var (
	dnsName    = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)
	domainName = regexp.MustCompile(`^[a-z0-9._-]{1,255}$`) // SPIFFE-ID, section 2.1: no letter case, no port
	issuerName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
)

// maxDNS leaves room for the longest label that is put before --domain.
const maxDNS = 200

// read takes over the flags.
func (s *starter) read(employees, contractors string, now time.Time) (err error) {
	if s.Domain = strings.ToLower(s.Domain); !dnsName.MatchString(s.Domain) || len(s.Domain) > maxDNS {
		return fmt.Errorf("--domain %q is no domain: write one such as acme.example", s.Domain)
	}
	if s.TrustDomain == "" {
		s.TrustDomain = s.Domain
	}
	if !domainName.MatchString(s.TrustDomain) {
		return fmt.Errorf("--trust-domain %q is none of SPIFFE: lower-case letters, digits, '.', '-' and '_'", s.TrustDomain)
	}
	if s.Employees, err = parsePopulation("--employees", employees); err != nil {
		return err
	}
	if s.Contractors, err = parsePopulation("--contractors", contractors); err != nil {
		return err
	}
	if s.Employees == s.Contractors {
		return fmt.Errorf("--employees and --contractors are both %s: nobody can be an employee and behind the contractors' wall", employees)
	}
	s.Today, s.NextWeek = now.Format(time.DateOnly), now.AddDate(0, 0, 7).Format(time.DateOnly)
	s.ReviewBy = now.Add(reviewAfter).Format(time.DateOnly)
	return nil
}

func parsePopulation(flag, text string) (population, error) {
	issuer, group, ok := strings.Cut(text, ":")
	switch {
	case !ok || !issuerName.MatchString(issuer):
		return population{}, fmt.Errorf("%s %q: write ISSUER:GROUP, such as corp:staff; ISSUER is a name of lower-case letters, "+
			"digits and '-' that the settings give to an issuer", flag, text)
	case group == "" || strings.TrimSpace(group) != group || strings.ContainsFunc(group, func(r rune) bool { return !unicode.IsPrint(r) }):
		return population{}, fmt.Errorf("%s %q: %q is no group; write it as the token has it", flag, text, group)
	}
	return population{issuer, group}, nil
}

// tableOfStarted names each file, then what comes next.
func tableOfStarted(w io.Writer, done started) error {
	lines := map[string][]string{} // schema line → directories of the files that begin with it
	var order []string
	for _, f := range done.Files {
		fmt.Fprintln(w, inLine(f.File))
		if f.SchemaLine == "" {
			continue
		}
		dir := path.Dir(filepath.ToSlash(f.File))
		if len(lines[f.SchemaLine]) == 0 {
			order = append(order, f.SchemaLine)
		}
		if dirs := lines[f.SchemaLine]; len(dirs) == 0 || dirs[len(dirs)-1] != dir {
			lines[f.SchemaLine] = append(dirs, dir)
		}
	}
	fmt.Fprintln(w, "\nEditors with yaml-language-server complete and check files that begin with")
	for _, line := range order {
		fmt.Fprintf(w, "  %s    (in %s)\n", line, inLine(strings.Join(lines[line], ", ")))
	}
	_, err := fmt.Fprintf(w, "\nNow:\n  tiergate policy check %[1]s\n  tiergate policy test %[1]s\n  tiergate policy prove %[1]s\n",
		inLine(filepath.Join(done.Dir, "policy")))
	return err
}
