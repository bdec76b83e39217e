package world

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Ten tiers, eight signals, and a host whose routes all lie in one table.
const (
	tiers         = 10
	routesPerFile = 500

	// AskedRoute is the route of the asked request, AskedPath its path. Its pattern is a subtree, so that every route
	// of the host with a more exact pattern comes before it.
	AskedRoute   = "asked"
	askedPattern = "/teams/asked/**"
	AskedPath    = "/teams/asked/v2/items/42"
)

var signalNames = []string{"disk-encrypted", "edr-healthy", "firewall-on", "not-compromised", "screen-locks",
	"secure-boot", "managed", "supervised"}

const head = `apiVersion: tiergate.dev/v1alpha1
kind: Governance
metadata: {name: acme}
spec:
  accountable: {name: Head of Identity Posture, contact: identity-posture@acme.example}
  teams:
    iam:      {contact: iam@acme.example}
    endpoint: {contact: endpoint@acme.example}
    apps:     {contact: apps@acme.example}
---
apiVersion: tiergate.dev/v1alpha1
kind: Baseline
metadata: {name: laptops, owner: endpoint}
spec:
  platforms: [macos, windows]
  signals:
    disk-encrypted:  {expr: device.disk_encryption, maxAge: 26h, fix: {text: Turn on FileVault or BitLocker.}}
    edr-healthy:     {expr: device.edr_healthy, maxAge: 26h, fix: {text: Start the EDR agent.}}
    firewall-on:     {expr: device.firewall, maxAge: 26h, fix: {text: Turn on the firewall.}}
    not-compromised: {expr: "!device.compromised", maxAge: 26h, fix: {text: Hand the laptop in.}}
    screen-locks:    {expr: device.screen_lock, maxAge: 26h, fix: {text: Turn on the screen lock.}}
    secure-boot:     {expr: device.secure_boot, maxAge: 26h, fix: {text: Turn on secure boot.}}
    managed:         {expr: device.mdm_managed, maxAge: 26h, fix: {text: Enrol the laptop.}}
    supervised:      {expr: device.supervised, maxAge: 26h, fix: {text: Enrol the laptop.}}
---
apiVersion: tiergate.dev/v1alpha1
kind: Audience
metadata: {name: employees, owner: iam}
spec: {members: [{issuer: corp, group: staff}]}
---
apiVersion: tiergate.dev/v1alpha1
kind: Audience
metadata: {name: operators, owner: iam}
spec: {members: [{issuer: corp, group: operators}]}
---
apiVersion: tiergate.dev/v1alpha1
kind: Upstream
metadata: {name: app, owner: apps}
spec: {endpoints: ["127.0.0.1:9001"], plaintext: true}
`

// writePolicy writes a policy of n routes, the asked one included, as a team would: several documents in a file.
func writePolicy(dir string, n int) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "access.yaml"), []byte(head+tierDocuments()), 0o600); err != nil {
		return err
	}
	for from := 0; from < n; from += routesPerFile {
		var text strings.Builder
		for i := from; i < min(from+routesPerFile, n); i++ {
			text.WriteString(routeDocument(i, i == n/2))
		}
		name := filepath.Join(dir, fmt.Sprintf("routes-%02d.yaml", from/routesPerFile))
		if err := os.WriteFile(name, []byte(text.String()), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// tierDocuments are ten tiers, each over all eight signals: five required, two that deny, one that is advice.
func tierDocuments() string {
	var text strings.Builder
	for tier := range tiers {
		turned := make([]string, 0, len(signalNames))
		for i := range signalNames {
			turned = append(turned, signalNames[(i+tier)%len(signalNames)])
		}
		fmt.Fprintf(&text, "---\napiVersion: tiergate.dev/v1alpha1\nkind: Tier\nmetadata: {name: tier-%d, owner: iam}\n"+
			"spec: {identify: user+device, require: [%s], denyUnless: [%s], advise: [%s]}\n", tier,
			strings.Join(turned[:5], ", "), strings.Join(turned[5:7], ", "), turned[7])
	}
	return text.String()
}

// routeDocument is route i: exact paths, variables, single segments and subtrees in equal parts.
func routeDocument(i int, asked bool) string {
	name := fmt.Sprintf("app-%05d", i)
	ends := []string{"settings", "items/{item}", "*/view", "**"}
	path := fmt.Sprintf("/apps/%05d/%s", i, ends[i%len(ends)])
	if asked {
		name, path = AskedRoute, askedPattern
	}
	return fmt.Sprintf("---\napiVersion: tiergate.dev/v1alpha1\nkind: Route\nmetadata: {name: %s, owner: apps}\n"+
		"spec: {hosts: [%s], path: %q, methods: [GET, POST], tier: tier-%d, "+
		"audiences: [employees, operators], upstream: app}\n",
		name, Host, path, i%tiers)
}
