package manifests

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// anything is a value that a table does not prescribe.
const anything = "*"

// tables say which fields the custom resources of Envoy Gateway 1.9.1, Contour 1.33.8 and the Gateway API have here, and the
// values that matter: those modules are too large to be linked for a test. The files were decoded strictly into their
// types once, and translated by `egctl x translate`, when these tables were written.
var tables = map[string]map[string]string{
	"gateway.envoyproxy.io/v1alpha1 EnvoyGateway": {
		"gateway.controllerName": "gateway.envoyproxy.io/gatewayclass-controller", "provider.type": "Kubernetes",
		"extensionApis.enableBackend": "true", "extensionApis.enableEnvoyPatchPolicy": "true",
	},
	"gateway.envoyproxy.io/v1alpha1 EnvoyProxy": {
		"spec.provider.type": "Kubernetes", "spec.provider.kubernetes.envoyDeployment.replicas": anything,
		"spec.provider.kubernetes.envoyDeployment.pod.*":             anything, // decoded by envoyProxyPod
		"spec.provider.kubernetes.envoyDeployment.container.*":       anything,
		"spec.provider.kubernetes.envoyDeployment.initContainers[]*": anything,
	},
	"gateway.envoyproxy.io/v1alpha1 Backend": {"spec.endpoints[].unix.path": "/run/sockets/pod/tiergate/authz.sock"},
	"gateway.envoyproxy.io/v1alpha1 SecurityPolicy": {
		"spec.targetRefs[].group": "gateway.networking.k8s.io", "spec.targetRefs[].kind": "Gateway", "spec.targetRefs[].name": "edge",
		"spec.extAuth.grpc.backendRefs[].group": "gateway.envoyproxy.io", "spec.extAuth.grpc.backendRefs[].kind": "Backend",
		"spec.extAuth.grpc.backendRefs[].name": "tiergate",
		"spec.extAuth.timeout":                 "250ms", "spec.extAuth.failOpen": "false", "spec.extAuth.statusOnError": "503",
		"spec.extAuth.recomputeRoute": "false",
	},
	"gateway.envoyproxy.io/v1alpha1 ClientTrafficPolicy": {
		"spec.targetRefs[].group": "gateway.networking.k8s.io", "spec.targetRefs[].kind": "Gateway", "spec.targetRefs[].name": "edge",
		"spec.tls.clientValidation.caCertificateRefs[].group": "", "spec.tls.clientValidation.caCertificateRefs[].kind": "ConfigMap",
		"spec.tls.clientValidation.caCertificateRefs[].name": "clients-ca",
		"spec.path.escapedSlashesAction":                     "RejectRequest", "spec.path.disableMergeSlashes": "false",
		"spec.headers.withUnderscoresAction": "RejectRequest", "spec.headers.xForwardedClientCert.mode": "Sanitize",
		"spec.headers.earlyRequestHeaders.removeOnMatch[].type":  "Prefix",
		"spec.headers.earlyRequestHeaders.removeOnMatch[].value": "x-tiergate-",
	},
	"gateway.envoyproxy.io/v1alpha1 EnvoyPatchPolicy": {
		"spec.targetRef.group": "gateway.networking.k8s.io", "spec.targetRef.kind": "Gateway", "spec.targetRef.name": "edge",
		"spec.type": "JSONPatch", "spec.jsonPatches[].type": "type.googleapis.com/envoy.config.listener.v3.Listener",
		"spec.jsonPatches[].name": "edge/edge/https", "spec.jsonPatches[].operation.op": "add",
		"spec.jsonPatches[].operation.jsonPath": "..http_filters[?(@.name=='envoy.filters.http.ext_authz/securitypolicy/edge/tiergate')]" +
			".typed_config",
		"spec.jsonPatches[].operation.path": "include_peer_certificate|encode_raw_headers", "spec.jsonPatches[].operation.value": "true",
	},
	"gateway.networking.k8s.io/v1 GatewayClass": {
		"spec.controllerName": "gateway.envoyproxy.io/gatewayclass-controller", "spec.parametersRef.group": "gateway.envoyproxy.io",
		"spec.parametersRef.kind": "EnvoyProxy", "spec.parametersRef.name": "edge", "spec.parametersRef.namespace": "envoy-gateway-system",
	},
	"gateway.networking.k8s.io/v1 Gateway": {
		"spec.gatewayClassName": "edge", "spec.listeners[].name": "https", "spec.listeners[].port": "443",
		"spec.listeners[].protocol": "HTTPS", "spec.listeners[].hostname": anything, "spec.listeners[].tls.mode": "Terminate",
		"spec.listeners[].tls.certificateRefs[].name": "edge-tls",
	},
	"gateway.networking.k8s.io/v1 HTTPRoute": {
		"spec.parentRefs[].name": "edge", "spec.hostnames[]": anything, "spec.rules[].backendRefs[].name": anything,
		"spec.rules[].backendRefs[].port": anything,
	},
	"projectcontour.io/v1alpha1 ContourConfiguration": {
		"spec.envoy.clientCertificate.name": "envoy-client", "spec.envoy.clientCertificate.namespace": "projectcontour",
	},
	"projectcontour.io/v1alpha1 ExtensionService": {
		"spec.protocol": "h2", "spec.services[].name": "tiergate", "spec.services[].port": "9443",
		"spec.validation.caSecret": "tiergate-bridge-ca", "spec.validation.subjectName": "tiergate.tiergate.svc",
		"spec.timeoutPolicy.response": "250ms",
	},
	"projectcontour.io/v1 HTTPProxy": {
		"spec.virtualhost.fqdn": anything, "spec.virtualhost.tls.secretName": anything,
		"spec.virtualhost.tls.clientValidation.caSecret":         "clients-ca",
		"spec.virtualhost.authorization.extensionRef.apiVersion": "projectcontour.io/v1alpha1",
		"spec.virtualhost.authorization.extensionRef.namespace":  "tiergate",
		"spec.virtualhost.authorization.extensionRef.name":       "tiergate",
		"spec.virtualhost.authorization.responseTimeout":         "250ms",
		"spec.virtualhost.authorization.failOpen":                "false",
		"spec.routes[].conditions[].prefix":                      "/",
		"spec.routes[].services[].name":                          anything, "spec.routes[].services[].port": anything,
	},
}

// matches holds a resource to its table: no field that the table lacks, no field of the table missing, the values given.
func matches(table map[string]string, tree map[string]any) error {
	var faults []error
	seen := map[string]map[string]bool{}
	leaves("", tree, func(path, value string) {
		if slices.Contains([]string{"apiVersion", "kind", "metadata.name", "metadata.namespace"}, path) {
			return
		}
		entry := entryOf(table, path)
		if entry == "" {
			faults = append(faults, fmt.Errorf("the API has no field %s, or the table lacks it", path))
			return
		}
		if seen[entry] == nil {
			seen[entry] = map[string]bool{}
		}
		seen[entry][value] = true
		if want := table[entry]; want != anything && !slices.Contains(strings.Split(want, "|"), value) {
			faults = append(faults, fmt.Errorf("%s is %q; it must be %q", path, value, want))
		}
	})
	for _, entry := range slices.Sorted(maps.Keys(table)) {
		if want := strings.Split(table[entry], "|"); len(seen[entry]) < len(want) {
			faults = append(faults, fmt.Errorf("%s is not written, or not as %q", entry, table[entry]))
		}
	}
	return errors.Join(faults...)
}

func entryOf(table map[string]string, path string) string {
	if _, ok := table[path]; ok {
		return path
	}
	for entry := range table {
		if prefix, ok := strings.CutSuffix(entry, "*"); ok && strings.HasPrefix(path, prefix) {
			return entry
		}
	}
	return ""
}

// leaves calls found for every scalar with its path; [] stands for every index.
func leaves(path string, node any, found func(path, value string)) {
	switch n := node.(type) {
	case map[string]any:
		for name, value := range n {
			leaves(strings.TrimPrefix(path+"."+name, "."), value, found)
		}
	case []any:
		for _, value := range n {
			leaves(path+"[]", value, found)
		}
	default:
		found(path, fmt.Sprint(n))
	}
}

// envoyProxyPod is the pod that an EnvoyProxy adds tiergate to, strictly: Envoy Gateway writes the container `envoy`, and runs
// it as user 65532.
func envoyProxyPod(d *document) (*corev1.PodSpec, error) {
	var proxy struct {
		Spec struct {
			Provider struct {
				Kubernetes struct {
					EnvoyDeployment struct {
						Replicas  int `json:"replicas"`
						Container struct {
							VolumeMounts []corev1.VolumeMount `json:"volumeMounts"`
						} `json:"container"`
						Pod struct {
							SecurityContext *corev1.PodSecurityContext `json:"securityContext"`
							Volumes         []corev1.Volume            `json:"volumes"`
						} `json:"pod"`
						InitContainers []corev1.Container `json:"initContainers"`
					} `json:"envoyDeployment"`
				} `json:"kubernetes"`
				Type string `json:"type"`
			} `json:"provider"`
		} `json:"spec"`
		Kind       string            `json:"kind"`
		APIVersion string            `json:"apiVersion"`
		Metadata   map[string]string `json:"metadata"`
	}
	if err := yaml.UnmarshalStrict(d.text, &proxy); err != nil {
		return nil, err
	}
	deployment := proxy.Spec.Provider.Kubernetes.EnvoyDeployment
	user, never := int64(65532), false
	envoy := *deployment.InitContainers[0].DeepCopy()
	envoy.Name, envoy.Image, envoy.Command, envoy.VolumeMounts = "envoy", "envoyproxy/envoy", nil, deployment.Container.VolumeMounts
	envoy.SecurityContext.RunAsUser = &user
	return &corev1.PodSpec{
		SecurityContext: deployment.Pod.SecurityContext, Volumes: deployment.Pod.Volumes, InitContainers: deployment.InitContainers,
		Containers: []corev1.Container{envoy}, AutomountServiceAccountToken: &never, // Envoy Gateway's own
	}, nil
}

// TestTablesAreStrict: a table that lets everything pass would be none.
func TestTablesAreStrict(t *testing.T) {
	good := func() map[string]any {
		return map[string]any{"spec": map[string]any{"endpoints": []any{
			map[string]any{"unix": map[string]any{"path": "/run/sockets/pod/tiergate/authz.sock"}}}}}
	}
	table := tables["gateway.envoyproxy.io/v1alpha1 Backend"]
	if err := matches(table, good()); err != nil {
		t.Error(err)
	}
	more, other, less := good(), good(), good()
	more["spec"].(map[string]any)["fallback"] = true
	other["spec"].(map[string]any)["endpoints"] = []any{map[string]any{"unix": map[string]any{"path": "/tmp/authz.sock"}}}
	less["spec"] = map[string]any{}
	for _, tree := range []map[string]any{more, other, less} {
		if matches(table, tree) == nil {
			t.Errorf("%v passes", tree)
		}
	}
}
