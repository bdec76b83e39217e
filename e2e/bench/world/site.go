package world

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/template"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/freeport"
	"github.com/tiergate/tiergate/config/policyfile"
)

// Site is one tiergate: settings, a policy and a store of its own.
type Site struct {
	Dir      string
	Settings string // the settings file for `tiergate serve`
	Socket   string // where it answers Check
	Probes   string // host:port of /readyz
	Policy   *policy.Policy
	Request  []byte // the encoded CheckRequest for it
}

var settings = template.Must(template.New("settings").Parse(`runtimeDir: run
policy: {dir: policy}
store: {embedded: {file: store.db}}
identity:
  devices: {bundleFile: {{.CA}}, bind: certificate}
  issuers:
    - {name: corp, issuer: "{{.Issuer}}", audiences: ["{{.Audience}}"], jwksFile: {{.JWKS}}, type: at+jwt}
sources:
  - name: {{.Source}}
    type: standard
    attests: [{{range $i, $a := .Attests}}{{if $i}}, {{end}}{{$a}}{{end}}]
    enrolledUser: {issuer: corp, is: name}
    secretFiles: [source.whsec]
ingest: {listen: "{{.Ingest}}"}
metrics: {listen: "{{.Probes}}"}
log: {level: info, format: json}
`))

// Site lays out a tiergate with so many routes and devices in the directory of that name.
func (w *World) Site(ctx context.Context, name string, routes, devices int) (*Site, error) {
	s := &Site{Dir: w.path(name)}
	s.Settings, s.Socket = filepath.Join(s.Dir, "settings.yaml"), filepath.Join(s.Dir, "run", "authz.sock")
	dir := filepath.Join(s.Dir, "policy")
	if err := writePolicy(dir, routes); err != nil {
		return nil, err
	}
	if err := w.writeSettings(s); err != nil {
		return nil, err
	}
	files, err := policyfile.Read(dir)
	if err != nil {
		return nil, err
	}
	compiled, problems := policyfile.Compile(files, Vouched())
	if len(problems) > 0 {
		return nil, fmt.Errorf("the generated policy: %w", problems)
	}
	s.Policy = compiled
	if s.Request, err = w.request(compiled.Table().Digest()); err != nil {
		return nil, err
	}
	return s, w.writeStore(ctx, filepath.Join(s.Dir, "store.db"), devices)
}

// Vouched is the world as the settings of a site describe it to its policy.
func Vouched() policy.World {
	return policy.World{Sources: map[string]policy.Source{source: {Attests: attributes(),
		EnrolledUser: policy.EnrolledAs{Issuer: "corp", Is: policy.EnrolledIsName}}}, Issuers: []string{"corp"},
		TrustDomains: []string{}}
}

func attributes() []string {
	names := make([]string, 0, len(good))
	for _, g := range good {
		names = append(names, g.attribute)
	}
	names = append(names, enrolledUser)
	return names
}

// Assert has a site say to upstreams who calls (settings: assertion). It is for before the site is started.
func (s *Site) Assert() error {
	file, err := os.OpenFile(s.Settings, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString("assertion: {issuer: \"https://gateway.acme.example\"}\n")
	return errors.Join(err, file.Close())
}

func (w *World) writeSettings(s *Site) error {
	ports, err := freePorts(2)
	if err != nil {
		return err
	}
	s.Probes = ports[0]
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return err
	}
	text := "whsec_" + base64.StdEncoding.EncodeToString(secret) + "\n"
	if err := os.WriteFile(filepath.Join(s.Dir, "source.whsec"), []byte(text), 0o600); err != nil {
		return err
	}
	file, err := os.OpenFile(s.Settings, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := settings.Execute(file, map[string]any{
		"CA": w.CA("devices"), "JWKS": w.path("pki", "jwks.json"), "Issuer": issuerURL, "Audience": audience,
		"Source": source, "Attests": attributes(), "Ingest": ports[1], "Probes": ports[0],
	}); err != nil {
		return err
	}
	return file.Sync()
}

// freePorts are n addresses on loopback.
func freePorts(n int) ([]string, error) {
	addresses := make([]string, n)
	for i := range addresses {
		var err error
		if addresses[i], err = freeport.Address(); err != nil {
			return nil, err
		}
	}
	return addresses, nil
}
