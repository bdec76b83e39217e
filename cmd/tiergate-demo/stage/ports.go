package stage

import (
	"fmt"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/freeport"
)

// Ports are the addresses of one stage, host:port on loopback.
type Ports struct {
	Ingress, Contractors              string // Envoy's listeners
	Ingest                            string // the receiver
	ServeMetrics, IngestMetrics       string // probes and metrics
	Portal, Payroll, ContractorPortal string // upstreams
	Login                             string // the OpenID provider
	Approvals                         string // the receiver's listener for people
	Workloads, Authz                  string // Envoy's listener for workloads, and authz over mTLS: with an agent
}

// freePorts finds all that a stage needs. A stranger's process may take one before it is used; then that part says so when it
// starts.
func freePorts() (p Ports, err error) {
	for _, address := range []*string{
		&p.Ingress, &p.Contractors, &p.Ingest, &p.ServeMetrics, &p.IngestMetrics,
		&p.Portal, &p.Payroll, &p.ContractorPortal, &p.Login, &p.Workloads, &p.Authz, &p.Approvals,
	} {
		if *address, err = freeport.Address(); err != nil {
			return Ports{}, err
		}
	}
	return p, nil
}

// Listener returns the address of one of Envoy's listeners.
func (p Ports) Listener(name string) (string, error) {
	switch name {
	case "", ListenerIngress:
		return p.Ingress, nil
	case ListenerContracts:
		return p.Contractors, nil
	case ListenerWorkloads:
		return p.Workloads, nil
	}
	return "", fmt.Errorf("Envoy has no listener %q; use %s or %s", name, ListenerIngress, ListenerContracts)
}
