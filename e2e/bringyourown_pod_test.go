package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// object is as much of a Kubernetes resource as a pod is made of. Whether the rest is right is for e2e/tools/manifests,
// which knows the real types.
type object struct {
	Kind     string
	Metadata struct{ Name, Namespace string }
	Data     map[string]string // of a ConfigMap
	Spec     struct {
		Template struct{ Spec podSpec }
		Provider struct { // of an EnvoyProxy
			Kubernetes struct {
				EnvoyDeployment struct {
					Pod            podSpec
					InitContainers []container `yaml:"initContainers"`
				} `yaml:"envoyDeployment"`
			}
		}
		Endpoints     []map[string]any
		ConfigPatches []struct {
			Patch struct{ Value map[string]any }
		} `yaml:"configPatches"`
	}
}

type podSpec struct {
	InitContainers []container `yaml:"initContainers"`
	Containers     []container
	Volumes        []volume
}

type container struct {
	Name, Image   string
	Command, Args []string
	VolumeMounts  []struct {
		Name      string
		MountPath string `yaml:"mountPath"`
	} `yaml:"volumeMounts"`
}

type volume struct {
	Name      string
	EmptyDir  map[string]any        `yaml:"emptyDir"`
	ConfigMap struct{ Name string } `yaml:"configMap"`
	Secret    struct {
		SecretName string `yaml:"secretName"`
	}
}

// objects reads the resources of the files below examples/bring-your-own that match.
func objects(t *testing.T, pattern string) []object {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(bringYourOwn, pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no file matches %s: %v", pattern, err)
	}
	var all []object
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for decoder := yaml.NewDecoder(bytes.NewReader(content)); ; {
			var o object
			if err := decoder.Decode(&o); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			all = append(all, o)
		}
	}
	return all
}

// kubelet lays out the volumes of one pod below a directory, as the real one does, and says how its containers are run
// here: the same commands, with every path moved below that directory.
type kubelet struct {
	root string
	pod  podSpec
	// configMaps and secrets by name: those of the manifests and those that the README tells to create.
	configMaps, secrets map[string]map[string]string
	// moved is what else differs here: addresses. Each must occur, so that the manifests cannot drift away.
	moved map[string]string

	used  map[string]bool // of moved
	paths *strings.Replacer
}

// newKubelet finds a Deployment or EnvoyProxy among the objects.
func newKubelet(t *testing.T, all []object, name string) *kubelet {
	t.Helper()
	root, err := os.MkdirTemp("", "tg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	k := &kubelet{root: root, configMaps: map[string]map[string]string{}, secrets: map[string]map[string]string{},
		used: map[string]bool{}}
	for _, o := range all {
		switch {
		case o.Kind == "ConfigMap":
			k.configMaps[o.Metadata.Name] = o.Data
		case o.Kind == "Deployment" && o.Metadata.Name == name:
			k.pod = o.Spec.Template.Spec
		case o.Kind == "EnvoyProxy" && o.Metadata.Name == name:
			k.pod = o.Spec.Provider.Kubernetes.EnvoyDeployment.Pod
			k.pod.InitContainers = o.Spec.Provider.Kubernetes.EnvoyDeployment.InitContainers
		}
	}
	if len(k.pod.InitContainers) == 0 {
		t.Fatalf("there is no pod %q", name)
	}
	return k
}

// layOut makes every volume at its one mount path.
func (k *kubelet) layOut(t *testing.T) {
	t.Helper()
	at := map[string]string{}
	for _, c := range slices.Concat(k.pod.InitContainers, k.pod.Containers) {
		for _, m := range c.VolumeMounts {
			if other, ok := at[m.Name]; ok && other != m.MountPath {
				t.Fatalf("volume %s is at %s and at %s", m.Name, other, m.MountPath)
			}
			at[m.Name] = m.MountPath
		}
	}
	pairs := []string{}
	for _, path := range slices.Sorted(maps.Values(at)) {
		pairs = append(pairs, path, k.root+path)
	}
	k.paths = strings.NewReplacer(pairs...)
	for _, v := range k.pod.Volumes {
		dir, data, mode := k.root+at[v.Name], k.configMaps[v.ConfigMap.Name], os.FileMode(0o644)
		if v.Secret.SecretName != "" {
			data, mode = k.secrets[v.Secret.SecretName], 0o440 // what fsGroup makes of it
		}
		if at[v.Name] == "" || data == nil && v.EmptyDir == nil {
			t.Fatalf("volume %+v is mounted nowhere, or nobody made what it shows", v)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if v.EmptyDir != nil {
			if err := os.Chmod(dir, 0o777); err != nil { // past the umask
				t.Fatal(err)
			}
			continue
		}
		k.show(t, dir, data, mode)
	}
	for from := range k.moved {
		if !k.used[from] {
			t.Errorf("no ConfigMap that is mounted says %q", from)
		}
	}
}

// show puts data into a volume in one step, as the kubelet's atomic writer does: a new directory, to which the link
// ..data is swapped; the names beside it are links through ..data.
func (k *kubelet) show(t *testing.T, dir string, data map[string]string, mode os.FileMode) {
	t.Helper()
	version, err := os.MkdirTemp(dir, "..2026_")
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range data {
		if err := os.WriteFile(filepath.Join(version, name), []byte(k.here(content)), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(version, 0o755); err != nil {
		t.Fatal(err)
	}
	next, link := filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")
	old, _ := os.Readlink(link)
	if err := errors.Join(os.Symlink(filepath.Base(version), next), os.Rename(next, link)); err != nil {
		t.Fatal(err)
	}
	for name := range data {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrExist) {
			t.Fatal(err)
		}
	}
	if old != "" {
		if err := os.RemoveAll(filepath.Join(dir, old)); err != nil {
			t.Fatal(err)
		}
	}
}

// here moves a text of the manifests to this machine.
func (k *kubelet) here(text string) string {
	for from, to := range k.moved {
		if strings.Contains(text, from) {
			text = strings.ReplaceAll(text, from, to)
			k.used[from] = true
		}
	}
	return k.paths.Replace(text)
}

// container finds one by name.
func (k *kubelet) container(t *testing.T, name string) container {
	t.Helper()
	for _, c := range slices.Concat(k.pod.InitContainers, k.pod.Containers) {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("there is no container %q", name)
	return container{}
}

// command is how a container is run here. An image of ours has the entry point of the Containerfile.
func (k *kubelet) command(c container) (path string, args []string, err error) {
	binaries, err := stage.FindBinaries()
	if err != nil {
		return "", nil, err
	}
	words := slices.Concat(c.Command, c.Args)
	for i := range words {
		words[i] = k.paths.Replace(words[i])
	}
	switch {
	case c.Image == "tiergate:local" && len(c.Command) == 0:
		return binaries.Tiergate, words, nil
	case len(c.Command) > 0 && c.Command[0] == "envoy":
		return binaries.Envoy, words[1:], nil
	case len(c.Command) > 0:
		return words[0], words[1:], nil
	}
	return "", nil, fmt.Errorf("container %s: nobody knows how to run image %s here", c.Name, c.Image)
}

// prepare runs the init container of that name to its end.
func (k *kubelet) prepare(t *testing.T) {
	t.Helper()
	path, args, err := k.command(k.container(t, "prepare"))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(soon(t, 30*time.Second), path, args...).CombinedOutput(); err != nil {
		t.Fatalf("prepare: %v: %s", err, out)
	}
}

// process is a container for the supervisor.
func (k *kubelet) process(t *testing.T, name string) stage.Process {
	t.Helper()
	path, args, err := k.command(k.container(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return stage.Process{Name: name, Path: path, Args: args, Log: filepath.Join(k.root, name+".log")}
}
