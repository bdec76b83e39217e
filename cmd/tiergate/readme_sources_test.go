package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/tiergate/tiergate/config"
)

// readmeKey is the key of everybody who signs in the settings of a README.
var readmeKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// readmeBlocks are the settings that a README shows, without the indentation of the list that they stand in.
func readmeBlocks(t *testing.T, file string) []string {
	t.Helper()
	readme, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, after := range strings.Split(string(readme), "```yaml\n")[1:] {
		block, _, closed := strings.Cut(after, "```")
		if !closed {
			t.Fatalf("%s: a block does not end", file)
		}
		margin := block[:len(block)-len(strings.TrimLeft(block, " "))]
		blocks = append(blocks, strings.ReplaceAll("\n"+strings.TrimRight(block, " "), "\n"+margin, "\n"))
	}
	if len(blocks) == 0 {
		t.Fatalf("%s shows no settings", file)
	}
	return blocks
}

// secretNames are the files that settings name: WORDFile: NAME, and WORDFiles: [NAME, NAME].
var secretNames = regexp.MustCompile(`(\w+)Files?: *(?:\{[^:]*: *)?\[?([^]}#\n]+)`)

// readmeSettings loads settings as a README shows them, with a secret in each file that they name.
func readmeSettings(t *testing.T, text string, secrets map[string]string) *config.Settings {
	t.Helper()
	dir := t.TempDir()
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, named := range secretNames.FindAllStringSubmatch(text, -1) {
		for _, name := range strings.Split(named[2], ",") {
			name = strings.TrimSpace(name)
			content := "0123456789abcdef0123456789abcdef"
			if secret, given := secrets[name]; given {
				content = secret
			} else if named[1] == "key" || named[1] == "serviceAccount" {
				content = readmeKeyFile(t, named[1] == "serviceAccount")
			}
			write(name, content)
		}
	}
	file := filepath.Join(dir, "settings.yaml")
	if !strings.Contains(text, "\nstore:") {
		text = "store: {embedded: {file: tiergate.db}}\n" + text
	}
	write("settings.yaml", text)
	settings, err := loadSettings(file)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return settings
}

// readmeKeyFile is a key as PEM, or as the file of a Google service account.
func readmeKeyFile(t *testing.T, account bool) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(readmeKey())
	if err != nil {
		t.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if !account {
		return text
	}
	raw, err := json.Marshal(map[string]string{"type": "service_account", "private_key": text, "private_key_id": "k",
		"client_email": "tiergate@acme.example", "token_uri": "https://oauth2.googleapis.com/token"})
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// sourceREADME is the first block of a source's README.
func sourceREADME(t *testing.T, name string) string {
	t.Helper()
	return readmeBlocks(t, "../../signals/source/"+name+"/README.md")[0]
}

// uncommented turns the lines that a README comments out into settings.
func uncommented(text string) string {
	return strings.ReplaceAll(text, "\n      # ", "\n      ")
}

// TestSourceREADMEs: a source is made of the settings that each README shows; also of what kandji and workspaceone comment out. Each
// README tells how to look whether it works.
func TestSourceREADMEs(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../signals/source/*/README.md")
	if err != nil || len(files) < 16 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		name := filepath.Base(filepath.Dir(file))
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shown := sourceREADME(t, name)
			all := []string{shown}
			if name == "kandji" || name == "workspaceone" {
				if all = append(all, uncommented(shown)); all[0] == all[1] {
					t.Error("nothing is commented out")
				}
			}
			for _, text := range all {
				settings := readmeSettings(t, text, map[string]string{"mdm.secret": "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="})
				if sources, err := newSources(settings, func(string, string, string) {}); err != nil || len(sources) != 1 {
					t.Errorf("%v, %v", sources, err)
				}
				look := "tiergate source list"
				if x := settings.Sources[0]; x.API != nil {
					look = "tiergate source check " + x.Name
				}
				readme, err := os.ReadFile(file)
				if err != nil || !strings.Contains(strings.Join(strings.Fields(string(readme)), " "), look) {
					t.Errorf("the README does not say how to see that it works: %s; %v", look, err)
				}
			}
		})
	}
}

// TestSSFREADME: the streams that the README of Shared Signals shows are streams.
func TestSSFREADME(t *testing.T) {
	t.Parallel()
	blocks := readmeBlocks(t, "../../signals/ssf/README.md")
	settings := readmeSettings(t, `
identity: {issuers: [{name: corp, issuer: "https://idp.acme.example", audiences: [apps], jwksURL: "https://idp.acme.example/keys"}]}
sources: [{name: kolide, type: kolide, attests: [platform], secretFiles: [kolide.secret], api: {url: "https://api.kolide.com", tokenFile: kolide.key}}]
`+blocks[0]+strings.ReplaceAll(blocks[1], "\n", "\n  "), nil)
	if len(settings.SSF) != 2 {
		t.Fatalf("%+v", settings.SSF)
	}
	o, err := newObserver(settings.Log)
	if err != nil {
		t.Fatal(err)
	}
	if made, err := newTransmitters(settings, o); err != nil || len(made.sources) != 2 {
		t.Errorf("%v", err)
	}
}
