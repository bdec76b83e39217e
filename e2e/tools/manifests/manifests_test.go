// Package manifests checks examples/bring-your-own against the real types of Kubernetes and Istio. It stands in the tools'
// module, so that neither of them is a dependency of the product. What only shows when things run (settings, sockets,
// Envoy's own judgement) is checked in e2e.
package manifests

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	meshv1alpha1 "istio.io/api/mesh/v1alpha1"
	networkingv1alpha3 "istio.io/api/networking/v1alpha3"
	securityv1beta1 "istio.io/api/security/v1beta1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

const root = "../../../examples/bring-your-own"

// kinds are decoded strictly into the API's own types.
var kinds = map[string]func() any{
	"v1 ConfigMap": func() any { return &corev1.ConfigMap{} }, "v1 Service": func() any { return &corev1.Service{} },
	"v1 Namespace": func() any { return &corev1.Namespace{} }, "v1 ServiceAccount": func() any { return &corev1.ServiceAccount{} },
	"apps/v1 Deployment":                 func() any { return &appsv1.Deployment{} },
	"networking.k8s.io/v1 NetworkPolicy": func() any { return &networkingv1.NetworkPolicy{} },
}

// specs are the kinds whose spec is a message of Istio's.
var specs = map[string]func() proto.Message{
	"networking.istio.io/v1 ServiceEntry":      func() proto.Message { return &networkingv1alpha3.ServiceEntry{} },
	"networking.istio.io/v1alpha3 EnvoyFilter": func() proto.Message { return &networkingv1alpha3.EnvoyFilter{} },
	"security.istio.io/v1 AuthorizationPolicy": func() proto.Message { return &securityv1beta1.AuthorizationPolicy{} },
	"security.istio.io/v1 PeerAuthentication":  func() proto.Message { return &securityv1beta1.PeerAuthentication{} },
}

// document is one resource of a file, with its text.
type document struct {
	file, kind, name, namespace string
	text                        []byte
	value                       any // of kinds, specs or tables (a tree of maps)
}

func (d *document) String() string { return d.file + " " + d.kind + " " + d.name }

// documents decodes every YAML file; what nobody knows how to decode is a fault.
func documents(t *testing.T) []*document {
	t.Helper()
	files, err := filepath.Glob(root + "/*/*.yaml")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	var all []*document
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		short := strings.TrimPrefix(file, root+"/")
		if short == "istio/mesh.yaml" || short == "envoy/bootstrap.yaml" {
			continue // no resources
		}
		for text := range bytes.SplitSeq(content, []byte("\n---\n")) {
			d := &document{file: short, text: text}
			if err := d.decode(); err != nil {
				t.Errorf("%s: %v", d, err)
			}
			all = append(all, d)
		}
	}
	return all
}

func (d *document) decode() error {
	var head struct {
		metav1.TypeMeta
		Metadata metav1.ObjectMeta
	}
	if err := yaml.Unmarshal(d.text, &head); err != nil {
		return err
	}
	d.kind, d.name, d.namespace = head.Kind, head.Metadata.Name, head.Metadata.Namespace
	key := head.APIVersion + " " + head.Kind
	if d.name == "" && d.kind != "EnvoyGateway" {
		return fmt.Errorf("%q has no name", key)
	}
	if create := kinds[key]; create != nil {
		d.value = create()
		return yaml.UnmarshalStrict(d.text, d.value)
	}
	tree := map[string]any{}
	if err := yaml.UnmarshalStrict(d.text, &tree); err != nil {
		return err
	}
	if create := specs[key]; create != nil {
		raw, err := json.Marshal(tree["spec"])
		if err != nil {
			return err
		}
		message := create()
		d.value = message
		return protojson.Unmarshal(raw, message)
	}
	if tables[key] == nil {
		return fmt.Errorf("nobody knows %q", key)
	}
	d.value = tree
	return matches(tables[key], tree)
}

// find returns the one resource of a kind and name.
func find[T any](t *testing.T, all []*document, kind, name string) (found T) {
	t.Helper()
	count := 0
	for _, d := range all {
		if value, ok := d.value.(T); ok && d.kind == kind && d.name == name {
			found = value
			count++
		}
	}
	if count != 1 {
		t.Fatalf("there are %d of %s %s", count, kind, name)
	}
	return found
}

// TestEveryFileDecodes: strictly, so that a misspelt field, which an API server would drop, is a fault.
func TestEveryFileDecodes(t *testing.T) {
	for _, d := range documents(t) {
		if m, ok := d.value.(*corev1.ConfigMap); ok {
			for name, content := range m.Data {
				for _, secret := range []string{"PRIVATE KEY", "whsec_", "password:", "secret:", "token:"} {
					if strings.Contains(content, secret) {
						t.Errorf("%s: %s holds %q; secrets belong into Secrets", d, name, secret)
					}
				}
			}
		}
		if d.kind == "Secret" {
			t.Errorf("%s: a Secret in a file of the repository is no secret", d)
		}
	}
	for what, text := range map[string]string{
		"a misspelt field": "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {selectr: {app: edge}}",
		"a field twice":    "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {type: ClusterIP, type: NodePort}",
		"of Istio":         "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: a}\nspec: {actions: CUSTOM}",
		"of a table": "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: Backend\nmetadata: {name: tiergate, namespace: edge}\n" +
			"spec: {endpoints: [{unix: {paths: /run/sockets/pod/tiergate/authz.sock}}]}",
		"an unknown kind": "apiVersion: v1\nkind: Pod\nmetadata: {name: a}",
	} {
		if err := (&document{text: []byte(text)}).decode(); err == nil {
			t.Errorf("%s passes", what)
		}
	}
}

// TestIstio: the provider, the policy that uses it and the entry that it leads to fit together and are closed.
func TestIstio(t *testing.T) {
	content, err := os.ReadFile(root + "/istio/mesh.yaml")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := yaml.YAMLToJSONStrict(content)
	mesh := &meshv1alpha1.MeshConfig{}
	if err == nil {
		err = protojson.Unmarshal(raw, mesh)
	}
	if err != nil || len(mesh.GetExtensionProviders()) != 1 {
		t.Fatalf("mesh.yaml: %v", err)
	}
	provider, all := mesh.GetExtensionProviders()[0], documents(t)
	grpc := provider.GetEnvoyExtAuthzGrpc()
	if grpc.GetFailOpen() || grpc.GetStatusOnError() != "503" || !short(grpc.GetTimeout().AsDuration()) ||
		grpc.GetIncludeRequestBodyInCheck() != nil {
		t.Errorf("the provider: %v", grpc)
	}
	policy := find[*securityv1beta1.AuthorizationPolicy](t, all, "AuthorizationPolicy", "tiergate")
	if policy.GetAction() != securityv1beta1.AuthorizationPolicy_CUSTOM || policy.GetProvider().GetName() != provider.GetName() ||
		len(policy.GetRules()) != 1 || !proto.Equal(policy.GetRules()[0], &securityv1beta1.Rule{}) {
		t.Errorf("the policy does not ask %s about every request: %v", provider.GetName(), policy)
	}
	entry := find[*networkingv1alpha3.ServiceEntry](t, all, "ServiceEntry", "tiergate")
	if len(entry.GetHosts()) != 1 || grpc.GetService() != "istio-system/"+entry.GetHosts()[0] ||
		len(entry.GetPorts()) != 1 || entry.GetPorts()[0].GetNumber() != grpc.GetPort() || entry.GetPorts()[0].GetProtocol() != "GRPC" ||
		entry.GetResolution() != networkingv1alpha3.ServiceEntry_STATIC || len(entry.GetEndpoints()) != 1 ||
		!strings.HasPrefix(entry.GetEndpoints()[0].GetAddress(), "unix:///") || len(entry.GetEndpoints()[0].GetPorts()) != 0 {
		t.Errorf("the provider's service %s:%d and the entry do not fit: %v", grpc.GetService(), grpc.GetPort(), entry)
	}
	filter := find[*networkingv1alpha3.EnvoyFilter](t, all, "EnvoyFilter", "tiergate")
	if !maps.Equal(filter.GetWorkloadSelector().GetLabels(), policy.GetSelector().GetMatchLabels()) {
		t.Error("the patch and the policy select different workloads")
	}
	patch := filter.GetConfigPatches()[0].GetPatch()
	asked := patch.GetValue().GetFields()["typed_config"].GetStructValue().GetFields()
	if patch.GetOperation() != networkingv1alpha3.EnvoyFilter_Patch_MERGE || !asked["include_peer_certificate"].GetBoolValue() ||
		!asked["encode_raw_headers"].GetBoolValue() {
		t.Errorf("the patch does not send the certificate and raw headers: %v", patch)
	}
	peers := find[*securityv1beta1.PeerAuthentication](t, all, "PeerAuthentication", "payroll")
	if peers.GetMtls().GetMode() != securityv1beta1.PeerAuthentication_MutualTLS_STRICT {
		t.Error("a caller without a certificate is let in")
	}
}

// short is a time that a request may wait for its decision.
func short(d time.Duration) bool { return d > 0 && d <= time.Second }

// TestServices: what a Service or NetworkPolicy names exists in the pods that it selects.
func TestServices(t *testing.T) {
	all := documents(t)
	ports := func(namespace string, selector map[string]string) []string {
		var names []string
		for _, d := range all {
			deployment, ok := d.value.(*appsv1.Deployment)
			if !ok || d.namespace != namespace || len(selector) == 0 {
				continue
			}
			for key, value := range selector {
				if deployment.Spec.Template.Labels[key] != value {
					ok = false
				}
			}
			for _, c := range containers(&deployment.Spec.Template.Spec) {
				for _, p := range c.Ports {
					if ok {
						names = append(names, p.Name, fmt.Sprint(p.ContainerPort))
					}
				}
			}
		}
		return names
	}
	closed := false
	for _, d := range all {
		switch o := d.value.(type) {
		case *corev1.Service:
			for _, p := range o.Spec.Ports {
				if !slices.Contains(ports(d.namespace, o.Spec.Selector), p.TargetPort.String()) {
					t.Errorf("%s: no pod has the port %s", d, p.TargetPort.String())
				}
			}
		case *networkingv1.NetworkPolicy:
			closed = closed || len(o.Spec.PodSelector.MatchLabels) == 0 && len(o.Spec.PolicyTypes) == 2 &&
				len(o.Spec.Ingress)+len(o.Spec.Egress) == 0
			for _, rule := range o.Spec.Ingress {
				for _, p := range rule.Ports {
					if !slices.Contains(ports(d.namespace, o.Spec.PodSelector.MatchLabels), p.Port.String()) {
						t.Errorf("%s: no pod has the port %s", d, p.Port.String())
					}
				}
			}
		}
	}
	if !closed {
		t.Error("no NetworkPolicy closes what the others do not open")
	}
}
