package manifests

import (
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// pod is a pod template with what is injected into it.
type pod struct {
	name string
	spec *corev1.PodSpec
	// texts are the ConfigMaps that are mounted, by volume.
	texts map[string]string
}

func containers(spec *corev1.PodSpec) []corev1.Container {
	return slices.Concat(spec.InitContainers, spec.Containers)
}

// pods returns every pod of the manifests. Istio's proxy is added as its annotation asks: user 1337.
func pods(t *testing.T, all []*document) []pod {
	t.Helper()
	var found []pod
	for _, d := range all {
		p := pod{name: d.String(), texts: map[string]string{}}
		switch d.kind {
		case "Deployment":
			deployment := d.value.(*appsv1.Deployment)
			p.spec = &deployment.Spec.Template.Spec
			if annotation := deployment.Spec.Template.Annotations["sidecar.istio.io/userVolumeMount"]; annotation != "" {
				p.spec.Containers = append(p.spec.Containers, istioProxy(t, p.spec, annotation))
			}
		case "EnvoyProxy":
			var err error
			if p.spec, err = envoyProxyPod(d); err != nil {
				t.Fatalf("%s: %v", d, err)
			}
		default:
			continue
		}
		for _, v := range p.spec.Volumes {
			for _, m := range all {
				if c, ok := m.value.(*corev1.ConfigMap); ok && v.ConfigMap != nil && v.ConfigMap.Name == m.name && m.namespace == d.namespace {
					for _, content := range c.Data {
						p.texts[v.Name] += content
					}
				}
			}
		}
		found = append(found, p)
	}
	if len(found) < 5 {
		t.Fatalf("%d pods", len(found))
	}
	return found
}

func istioProxy(t *testing.T, spec *corev1.PodSpec, annotation string) corev1.Container {
	t.Helper()
	mounts := map[string]corev1.VolumeMount{}
	if err := json.Unmarshal([]byte(annotation), &mounts); err != nil {
		t.Fatal(err)
	}
	proxy, user := *spec.InitContainers[0].DeepCopy(), int64(1337)
	proxy.Name, proxy.Image, proxy.Command, proxy.VolumeMounts = "istio-proxy", "istio/proxyv2", nil, nil
	proxy.SecurityContext.RunAsUser = &user
	for name, m := range mounts {
		m.Name = name
		proxy.VolumeMounts = append(proxy.VolumeMounts, m)
	}
	return proxy
}

// TestPods holds every pod to the restricted standard and to what this design needs.
func TestPods(t *testing.T) {
	for _, p := range pods(t, documents(t)) {
		for _, fault := range p.faults() {
			t.Errorf("%s: %s", p.name, fault)
		}
	}
}

func (p pod) faults() []string {
	return slices.Concat(p.restricted(), p.volumes(), p.sockets(), p.order(), p.paths())
}

func yes(b *bool) bool { return b != nil && *b }
func no(b *bool) bool  { return b != nil && !*b }

// user is who a container runs as.
func (p pod) user(c *corev1.Container) int64 {
	switch s := p.spec.SecurityContext; {
	case c.SecurityContext != nil && c.SecurityContext.RunAsUser != nil:
		return *c.SecurityContext.RunAsUser
	case s != nil && s.RunAsUser != nil:
		return *s.RunAsUser
	}
	return 0
}

// restricted follows the Pod Security Standard of that name, and a little more: the root file system is read only, and
// memory has a limit.
func (p pod) restricted() (faults []string) {
	s := p.spec
	if s.SecurityContext == nil || !yes(s.SecurityContext.RunAsNonRoot) || s.SecurityContext.SeccompProfile == nil ||
		s.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		faults = append(faults, "the pod may run as root or without seccomp")
	}
	if s.HostNetwork || s.HostPID || s.HostIPC || !no(s.AutomountServiceAccountToken) {
		faults = append(faults, "the pod shares the host's namespaces or holds a token of the API server")
	}
	for _, v := range s.Volumes {
		if v.EmptyDir == nil && v.ConfigMap == nil && v.Secret == nil {
			faults = append(faults, "volume "+v.Name+" is of another kind than it needs")
		}
	}
	for _, c := range containers(s) {
		x := c.SecurityContext
		if x == nil || !no(x.AllowPrivilegeEscalation) || !yes(x.ReadOnlyRootFilesystem) || yes(x.Privileged) || p.user(&c) == 0 ||
			x.Capabilities == nil || !slices.Equal(x.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(x.Capabilities.Add) > 0 {
			faults = append(faults, "container "+c.Name+" may become more than it needs")
		}
		if c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero() {
			faults = append(faults, "container "+c.Name+" has no memory limit or asks for no CPU")
		}
		for _, port := range c.Ports {
			if port.HostPort != 0 {
				faults = append(faults, "container "+c.Name+" takes a port of the host")
			}
		}
	}
	return faults
}

// volumes: each is mounted, none with subPath, and only tiergate or what prepares for it sees the secrets.
func (p pod) volumes() (faults []string) {
	mounted := map[string]bool{}
	for _, c := range containers(p.spec) {
		for _, m := range c.VolumeMounts {
			v := p.volume(m.Name)
			if v == nil || m.SubPath != "" || m.SubPathExpr != "" {
				faults = append(faults, "container "+c.Name+" mounts "+m.Name+", which is no volume, or is never updated (subPath)")
				continue
			}
			mounted[m.Name] = true
			if (v.ConfigMap != nil || v.Secret != nil) && !m.ReadOnly {
				faults = append(faults, "container "+c.Name+" may write to "+m.Name)
			}
			if (m.Name == "redis-password" || m.Name == "source-secrets") && c.Name != "prepare" {
				faults = append(faults, "container "+c.Name+" sees "+m.Name)
			}
		}
	}
	for _, v := range p.spec.Volumes {
		if !mounted[v.Name] {
			faults = append(faults, "volume "+v.Name+" is mounted nowhere")
		}
	}
	return faults
}

func (p pod) volume(name string) *corev1.Volume {
	for i := range p.spec.Volumes {
		if p.spec.Volumes[i].Name == name {
			return &p.spec.Volumes[i]
		}
	}
	return nil
}

// sockets: those who share them are one user, and at least two; a pod without them (the receiver) shares none.
func (p pod) sockets() (faults []string) {
	users, sharers := map[int64]bool{}, []string{}
	for _, c := range containers(p.spec) {
		for _, m := range c.VolumeMounts {
			if m.Name == "sockets" {
				users[p.user(&c)] = true
				sharers = append(sharers, c.Name+" at "+m.MountPath)
			}
		}
	}
	if p.volume("sockets") != nil && (len(users) != 1 || len(sharers) < 3) {
		faults = append(faults, fmt.Sprintf("the sockets are shared by %v as users %v; only one user can open them", sharers, users))
	}
	return faults
}

// order: what prepares runs first, tiergate is a sidecar before Envoy, and whoever serves has the time to stop.
func (p pod) order() (faults []string) {
	init := p.spec.InitContainers
	if len(init) == 0 || init[0].Name != "prepare" || init[0].RestartPolicy != nil {
		return []string{"nothing prepares the volumes"}
	}
	for _, c := range containers(p.spec) {
		if c.Image == "tiergate:local" && (c.StartupProbe == nil || c.ReadinessProbe == nil || c.LivenessProbe == nil) {
			faults = append(faults, "container "+c.Name+" is not probed")
		}
		if c.Name == "tiergate" && (len(init) < 2 || init[1].Name != c.Name || c.RestartPolicy == nil ||
			*c.RestartPolicy != corev1.ContainerRestartPolicyAlways) {
			faults = append(faults, "tiergate is no sidecar, so Envoy may start before it and outlive it")
		}
		if c.Lifecycle == nil || c.Lifecycle.PreStop == nil || c.Lifecycle.PreStop.Sleep == nil {
			continue
		}
		grace := p.spec.TerminationGracePeriodSeconds
		if grace == nil || *grace < c.Lifecycle.PreStop.Sleep.Seconds+10 {
			faults = append(faults, "container "+c.Name+" sleeps for most of the time that it has to end")
		}
	}
	return faults
}

var absolute = regexp.MustCompile(`/(?:etc|run|var|secrets)/[\w./-]+`)

// paths: every path that a container's arguments and ConfigMaps name lies in what it mounts, and each of tiergate's mounts
// is named somewhere.
func (p pod) paths() (faults []string) {
	for _, c := range containers(p.spec) {
		text := strings.Join(slices.Concat(c.Command, c.Args), "\n")
		for _, m := range c.VolumeMounts {
			if m.Name == "settings" || m.Name == "bootstrap" || m.Name == "bridge" {
				text += "\n" + p.texts[m.Name]
			}
		}
		named := map[string]bool{}
		for _, file := range absolute.FindAllString(text, -1) {
			for _, m := range c.VolumeMounts {
				if file == m.MountPath || strings.HasPrefix(file, path.Clean(m.MountPath)+"/") {
					named[m.MountPath], named[file] = true, true
				}
			}
			if !named[file] {
				faults = append(faults, "container "+c.Name+" names "+file+", which it does not mount")
			}
		}
		for _, m := range c.VolumeMounts {
			if len(text) > 0 && !named[m.MountPath] {
				faults = append(faults, "container "+c.Name+" mounts "+m.MountPath+" and names nothing in it")
			}
		}
	}
	return faults
}

// TestPodFaultsAreSeen breaks a good pod in one way at a time.
func TestPodFaultsAreSeen(t *testing.T) {
	no, zero := false, int64(0)
	other, path := int64(1000), "subdirectory"
	for what, spoil := range map[string]func(*corev1.PodSpec){
		"root":          func(s *corev1.PodSpec) { s.Containers[0].SecurityContext.RunAsUser = &zero },
		"may be root":   func(s *corev1.PodSpec) { s.SecurityContext.RunAsNonRoot = &no },
		"no seccomp":    func(s *corev1.PodSpec) { s.SecurityContext.SeccompProfile = nil },
		"a token":       func(s *corev1.PodSpec) { s.AutomountServiceAccountToken = nil },
		"host network":  func(s *corev1.PodSpec) { s.HostNetwork = true },
		"writable root": func(s *corev1.PodSpec) { s.Containers[0].SecurityContext.ReadOnlyRootFilesystem = nil },
		"escalation":    func(s *corev1.PodSpec) { s.InitContainers[1].SecurityContext.AllowPrivilegeEscalation = nil },
		"a capability": func(s *corev1.PodSpec) {
			s.Containers[0].SecurityContext.Capabilities.Add = []corev1.Capability{"NET_ADMIN"}
		},
		"no limit":         func(s *corev1.PodSpec) { s.Containers[0].Resources.Limits = nil },
		"two users":        func(s *corev1.PodSpec) { s.Containers[0].SecurityContext.RunAsUser = &other },
		"subPath":          func(s *corev1.PodSpec) { s.InitContainers[1].VolumeMounts[0].SubPath = path },
		"a writable mount": func(s *corev1.PodSpec) { s.InitContainers[1].VolumeMounts[2].ReadOnly = false },
		"no such volume":   func(s *corev1.PodSpec) { s.Volumes = s.Volumes[1:] },
		"an unused volume": func(s *corev1.PodSpec) {
			s.Volumes = append(s.Volumes, corev1.Volume{Name: "more", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
		},
		"hostPath": func(s *corev1.PodSpec) {
			s.Volumes[0].VolumeSource = corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/run"}}
		},
		"no sidecar":     func(s *corev1.PodSpec) { s.InitContainers[1].RestartPolicy = nil },
		"no probe":       func(s *corev1.PodSpec) { s.InitContainers[1].ReadinessProbe = nil },
		"no preparation": func(s *corev1.PodSpec) { s.InitContainers = s.InitContainers[1:] },
		"no time to end": func(s *corev1.PodSpec) { s.TerminationGracePeriodSeconds = &zero },
		"a foreign path": func(s *corev1.PodSpec) { s.InitContainers[1].Args[2] = "/etc/other/settings.yaml" },
		"an idle mount":  func(s *corev1.PodSpec) { s.Containers[0].VolumeMounts[0].MountPath = "/var/idle" },
		"a seen password": func(s *corev1.PodSpec) {
			s.Containers[0].VolumeMounts = append(s.Containers[0].VolumeMounts,
				corev1.VolumeMount{Name: "redis-password", MountPath: "/run/sockets/x", ReadOnly: true})
		},
	} {
		for _, p := range pods(t, documents(t)) {
			if p.name != "kubernetes/edge.yaml Deployment edge" {
				continue
			}
			if spoil(p.spec); len(p.faults()) == 0 {
				t.Errorf("%s: nobody sees it", what)
			}
		}
	}
}
