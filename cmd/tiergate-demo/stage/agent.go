package stage

import (
	"os"
	"strings"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/agent"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/devca"
)

// With Options.Agent the SVIDs of all workloads come from an agent's Workload API, and rotate.
const (
	TiergateID        = "spiffe://acme.example/ns/edge/sa/tiergate"
	SecondEnvoyID     = "spiffe://acme.example/ns/edge/sa/envoy-2" // asks tiergate over TCP, from this process
	PartnerDomain     = "partner.example"
	PartnerID         = "spiffe://partner.example/ns/ci/sa/agent"
	AudienceRollout   = "rollout"   // what a workload may ask a JWT-SVID for, besides tiergate
	ListenerWorkloads = "workloads" // shows Envoy's SVID and admits workloads of TrustDomain alone
)

// newAgent makes the agent. It begins with the CA that has signed the certificates in files, so that those count too until
// that CA is withdrawn.
func (s *Stage) newAgent(events agent.Events) (err error) {
	bundle := devca.Bundle(s.Cast.Devices)
	if err := os.WriteFile(s.Path("pki", "devices-ca.pem"), bundle, 0o644); err != nil {
		return err
	}
	s.Agent, err = agent.New(agent.Options{
		Socket: s.Path("run", "agent.sock"), Identities: s.identities, Events: events,
		TrustDomains: map[string]*devca.CA{TrustDomain: s.Cast.Workloads, PartnerDomain: nil},
	})
	return err
}

// identities are those of the children by their process IDs, and of this process, which plays every client: the CI
// deployer, a reporter, a second Envoy, and a workload of a partner.
func (s *Stage) identities(c agent.Caller) []string {
	if c.PID == 0 { // of another PID namespace; and the process ID of a child that does not run
		return nil
	}
	if c.PID == os.Getpid() {
		return []string{workloads["deployer"], workloads["reporter"], SecondEnvoyID, PartnerID}
	}
	for process, id := range map[string]string{
		"serve": TiergateID, "envoy": EnvoyID, "portal": workloads["portal"], "payroll": workloads["payroll"],
		"contractor-portal": workloads["contractor-portal"],
	} {
		if c.PID == s.Processes.Pid(process) {
			return []string{id}
		}
	}
	return nil
}

// agentSubstitutions let tiergate and Envoy get their SVIDs, and the CAs of workloads, from the agent; and add listener
// workloads, and authz over TCP.
func (s *Stage) agentSubstitutions() []substitution {
	return []substitution{
		{"  trustDomains:\n    - name: acme.example\n      bundleFile: pki/workloads-ca.pem\n",
			"  workloadAPI: {socket: run/agent.sock}\n  jwtSVIDs: {audiences: [tiergate, " + AudienceRollout +
				"]}\n  trustDomains:\n    - name: acme.example\n"},
		{"pki/ingress-clients-ca.pem           # laptops of employees, and workloads\n",
			"pki/devices-ca.pem\n      clientTrustDomains: [acme.example]\n"},
		{"  client: {certFile: pki/envoy.pem, keyFile: pki/envoy.key}\n  upstreamCAFile: pki/workloads-ca.pem\n",
			strings.Join([]string{
				"    - name: " + ListenerWorkloads,
				"      address: " + s.Ports.Workloads,
				"      tls: {workloadAPI: true}",
				"      clientTrustDomains: [acme.example]",
				"  client: {workloadAPI: true}",
				"", "authz:", "  listen: {address: " + s.Ports.Authz + ", envoys: [" + SecondEnvoyID + "]}", "",
			}, "\n")},
	}
}
