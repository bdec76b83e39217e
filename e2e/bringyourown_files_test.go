package e2e_test

import (
	"debug/elf"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals"
)

// sidecars are the pods with a tiergate, by folder; each finds the policy of kubernetes/ where it has none of its own.
var sidecars = map[string]string{"kubernetes": "edge", "istio": "payroll", "envoy-gateway": "edge", "contour": "tiergate"}

// sidecarOf lays out the pod of a folder, with what the README tells to create.
func sidecarOf(t *testing.T, s *stage.Stage, folder string) *kubelet {
	t.Helper()
	own := objects(t, folder+"/*.yaml")
	k := newKubelet(t, own, sidecars[folder])
	for _, o := range objects(t, "kubernetes/config.yaml") {
		if k.configMaps[o.Metadata.Name] == nil {
			k.configMaps[o.Metadata.Name] = o.Data
		}
	}
	paper(t, s, k)
	k.layOut(t)
	return k
}

// settingsOf reads settings as tiergate does at its start.
func settingsOf(t *testing.T, k *kubelet) *config.Settings {
	t.Helper()
	words := config.Vocabulary{}
	for _, a := range signals.Attributes() {
		words.Attributes = append(words.Attributes, a.Name)
	}
	settings, err := config.Load(k.root+"/etc/tiergate/settings/settings.yaml", words)
	if err != nil {
		t.Fatal(err)
	}
	return settings
}

var authzSocket = regexp.MustCompile(`(unix://)?(/[\w./-]+/authz\.sock)`)

// TestBringYourOwnSettings: the settings of every pod load with what `prepare` made, the policy fits them, and whoever
// names tiergate's socket names the one that these settings make.
func TestBringYourOwnSettings(t *testing.T) {
	t.Parallel()
	s, binaries := aDirectory(t), programsHere(t)
	for folder := range sidecars {
		k := sidecarOf(t, s, folder)
		k.prepare(t)
		settings := settingsOf(t, k)
		out, err := exec.CommandContext(soon(t, 30*time.Second), binaries.Tiergate, "policy", "check", settings.Policy.Dir,
			"--config", k.root+"/etc/tiergate/settings/settings.yaml").CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", folder, err, out)
		}
		sockets, err := settings.Sockets()
		if err != nil {
			t.Errorf("%s: %v", folder, err)
		}
		if err := config.SocketDir(settings.RuntimeDir); err != nil {
			t.Errorf("%s: after prepare: %v", folder, err)
		}
		named := 0
		for _, name := range authzSocket.FindAllStringSubmatch(k.paths.Replace(yamlOf(t, folder)), -1) {
			if named++; name[2] != sockets.Authz {
				t.Errorf("%s: %s is named, and tiergate listens on %s", folder, name[2], sockets.Authz)
			}
		}
		if named == 0 != (folder == "kubernetes") {
			t.Errorf("%s: the socket is named %d times", folder, named)
		}
	}
	k := newKubelet(t, objects(t, "kubernetes/*.yaml"), "ingest")
	paper(t, s, k)
	k.layOut(t)
	k.prepare(t)
	settingsOf(t, k)
}

// yamlOf is all YAML of a folder.
func yamlOf(t *testing.T, folder string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(bringYourOwn, folder, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(content)
	}
	return all.String()
}

func programsHere(t *testing.T) stage.Binaries {
	t.Helper()
	binaries, err := stage.FindBinaries()
	if err != nil {
		t.Fatal(err)
	}
	return binaries
}

// TestBringYourOwnBootstrap: the bootstraps that are printed there are those that the verb writes, and Envoy takes them.
func TestBringYourOwnBootstrap(t *testing.T) {
	t.Parallel()
	binaries, printed := programsHere(t), map[string]string{}
	content, err := os.ReadFile(bringYourOwn + "/envoy/bootstrap.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, printed["/run/tiergate"], _ = strings.Cut(string(content), "\n") // without the comment
	for _, o := range objects(t, "kubernetes/bootstrap.yaml") {
		printed["/run/sockets/pod/tiergate --node-id edge"] = o.Data["bootstrap.yaml"]
	}
	for how, bootstrap := range printed {
		dir, flags, _ := strings.Cut(how, " ")
		file := filepath.Join(t.TempDir(), "settings.yaml")
		settings := fmt.Sprintf("runtimeDir: %s\nstore: {redis: {address: 127.0.0.1:6379, unsealed: true}}\n", dir)
		if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
			t.Fatal(err)
		}
		args := append([]string{"envoy", "bootstrap", "--config", file}, strings.Fields(flags)...)
		out, err := exec.CommandContext(soon(t, 30*time.Second), binaries.Tiergate, args...).CombinedOutput()
		if err != nil || string(out) != bootstrap {
			t.Errorf("%v: printed is another bootstrap than tiergate %s writes:\n%s", err, strings.Join(args, " "), out)
		}
		validateEnvoy(t, bootstrap)
	}
}

// validateEnvoy lets Envoy itself judge a configuration.
func validateEnvoy(t *testing.T, configuration string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "envoy.yaml")
	if err := os.WriteFile(file, []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(soon(t, time.Minute), programsHere(t).Envoy, "--mode", "validate", "--log-level", "error", "-c", file).CombinedOutput()
	if err != nil {
		t.Errorf("Envoy refuses it: %v\n%s", err, out)
	}
}

// TestIstioPatches: Envoy takes what the EnvoyFilter merges into the filter and the connection manager. The README's
// Envoy stands for the mesh's, without what the patches add.
func TestIstioPatches(t *testing.T) {
	t.Parallel()
	s := aDirectory(t)
	envoy := map[string]any{}
	if err := yaml.Unmarshal([]byte(strings.ReplaceAll(readme(t, "<!-- e2e:own-envoy -->"), "pki/", s.Path("pki")+"/")), &envoy); err != nil {
		t.Fatal(err)
	}
	patched := 0
	for _, o := range objects(t, "istio/tiergate.yaml") {
		for _, p := range o.Spec.ConfigPatches {
			filter := filterNamed(envoy, p.Patch.Value["name"].(string))
			if filter == nil {
				t.Fatalf("there is no filter %v to patch", p.Patch.Value["name"])
			}
			inside := filter["typed_config"].(map[string]any)
			for name, value := range p.Patch.Value["typed_config"].(map[string]any) {
				if inside[name] == nil {
					t.Errorf("%v: the README's Envoy has no %s", p.Patch.Value["name"], name)
				}
				inside[name] = value
				patched++
			}
		}
	}
	text, err := yaml.Marshal(envoy)
	if err != nil || patched < 6 {
		t.Fatalf("%d fields are patched: %v", patched, err)
	}
	validateEnvoy(t, string(text))
}

// filterNamed finds the map with a name anywhere below.
func filterNamed(tree any, name string) map[string]any {
	switch node := tree.(type) {
	case map[string]any:
		if node["name"] == name {
			return node
		}
		for value := range maps.Values(node) {
			if f := filterNamed(value, name); f != nil {
				return f
			}
		}
	case []any:
		for _, value := range node {
			if f := filterNamed(value, name); f != nil {
				return f
			}
		}
	}
	return nil
}

// TestContainerfile: the binary runs in an empty image, as the user that the manifests name.
func TestContainerfile(t *testing.T) {
	t.Parallel()
	binary, err := elf.Open(programsHere(t).Tiergate)
	if err != nil {
		t.Fatal(err)
	}
	defer binary.Close()
	for _, p := range binary.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("bin/tiergate wants a dynamic loader, which an image FROM scratch does not have: build it by make build")
		}
	}
	content, err := os.ReadFile(bringYourOwn + "/kubernetes/Containerfile")
	if err != nil {
		t.Fatal(err)
	}
	_, user, _ := strings.Cut(string(content), "\nUSER ")
	user, _, _ = strings.Cut(user, ":")
	if want := "runAsUser: " + user + "\n"; !strings.Contains(yamlOf(t, "kubernetes"), want) {
		t.Errorf("the image runs as user %q, and no manifest in kubernetes/ says so", user)
	}
}

// TestReadmeNamesWhatIsMissing: what a pod mounts and no manifest defines is created by a command of the README, or by
// Istio.
func TestReadmeNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(bringYourOwn + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for folder, pod := range sidecars {
		k := newKubelet(t, objects(t, folder+"/*.yaml"), pod)
		for _, v := range k.pod.Volumes {
			name := v.ConfigMap.Name + v.Secret.SecretName
			if v.EmptyDir == nil && k.configMaps[name] == nil && !strings.Contains(string(page), name) {
				t.Errorf("%s: nobody says where %s comes from", folder, name)
			}
		}
	}
}
