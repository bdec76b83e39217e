package main

import (
	"net/http"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// scene is one part of the story.
type scene struct {
	title string
	steps []step
}

// step is one thing that somebody does, and what must come of it.
type step struct {
	who, what string
	do        action
	want      want
}

// healthy is what the MDM says of a laptop in order.
var healthy = map[string]any{
	"platform": "macos", "os_version": "15.6.1", "disk_encryption": true, "edr_healthy": true, "firewall": true, "compromised": false,
}

// soon bounds how long a change may take to show.
const soon = 10 * time.Second

// anyValue stands for one value, whichever.
const anyValue = "*"

// Who speaks in the lines of the story.
const (
	anaOnLaptop  = "ana on ana-laptop"
	benOnLaptop  = "ben on ben-laptop"
	cleoOnLaptop = "cleo on cleo-laptop"
	doraOnLaptop = "dora on dora-laptop"
	theMDM       = "acme-mdm"
	iam          = "iam"
)

var (
	portal  = ask{as: "ana", host: stage.PortalHost, path: "/reports?year=2026"}
	payroll = ask{as: "deployer", host: stage.PayrollHost, path: "/admin/runs"}

	// anaSeen is what the portal must have been told, each header exactly once.
	anaSeen = map[string]string{
		"x-tiergate-subject": "corp/ana@acme.example", "x-tiergate-device": anyValue, "x-tiergate-tier": "internal",
		"x-tiergate-route": "portal", "x-tiergate-decision-id": anyValue,
	}
	anaAllowed = want{status: http.StatusOK, reason: "allowed", decided: yes, seen: anaSeen}

	// byEnvoy is an answer that nobody but Envoy gave.
	byEnvoy = func(status int) want { return want{status: status, decided: no} }
	refused = func(reason string) want { return want{status: http.StatusForbidden, reason: reason, decided: yes} }
)

// story is the whole play. What it tells is data: `-exit` compares every answer with it.
func story() []scene {
	return []scene{healthyLaptop(), unencryptedLaptop(), betweenWorkloads(), contractors(), brokenPolicy(), killedServe(),
		exceptions(), silentLaptop(), strongerLogin(), realLogin(), stolenToken(), privilegedPage(), refusalPage(), rotation(),
		staleLogin(), disagreement(), flood(), lintScene(), openConnections(), judgedChange(), wrongPolicy(),
		twoVendors(), endedSession(), twoPeople(), whatIsFound()}
}

func healthyLaptop() scene {
	forged := portal
	forged.header = http.Header{
		"x-tiergate-subject":     {"corp/root@acme.example", "corp/admin@acme.example"},
		"x-tiergate-device":      {"forged"},
		"x-tiergate-tier":        {"workload"},
		"x-tiergate-decision-id": {"forged"},
	}
	forged1 := forged
	forged1.http1 = true
	return scene{"1. An employee on a healthy laptop opens an internal app", []step{
		{anaOnLaptop, "before the MDM has reported the laptop", portal, refused("device-unknown")},
		{theMDM, "reports ana-laptop in order", report{device: "ana-laptop", attributes: healthy, then: portal}, anaAllowed},
		{anaOnLaptop, "opens the portal", portal, anaAllowed},
		{anaOnLaptop, "sends forged x-tiergate-* headers", forged, anaAllowed},
		{anaOnLaptop, "sends them over HTTP/1.1", forged1, anaAllowed},
		{anaOnLaptop, "comes without a token", ask{as: "ana", host: stage.PortalHost, path: "/", noToken: true},
			want{status: http.StatusUnauthorized, reason: "identity-missing", decided: yes}},
	}}
}

func unencryptedLaptop() scene {
	diskOff, diskOn := map[string]any{"disk_encryption": false}, map[string]any{"disk_encryption": true}
	off := want{status: http.StatusForbidden, reason: "posture", decided: yes, unmet: []unmet{
		{"disk-encrypted", "require", "failing", "endpoint"},
	}}
	worse := off
	worse.unmet = []unmet{
		{"disk-encrypted", "require", "failing", "endpoint"},
		{"edr-healthy", "require", "unknown", "endpoint"},
		{"not-compromised", "denyUnless", "failing", "endpoint"},
	}
	sick := map[string]any{"disk_encryption": false, "edr_healthy": nil, "compromised": true}
	return scene{"2. The MDM reports that disk encryption is off; a second webhook heals it", []step{
		{theMDM, "reports disk_encryption=false", report{device: "ana-laptop", attributes: diskOff, then: portal}, off},
		{anaOnLaptop, "opens the portal", portal, off},
		{theMDM, "reports disk_encryption=true", report{device: "ana-laptop", attributes: diskOn, then: portal}, anaAllowed},
		{anaOnLaptop, "opens the portal", portal, anaAllowed},
		{theMDM, "reports three faults at once", report{device: "ana-laptop", attributes: sick, then: portal}, worse},
		{theMDM, "reports ana-laptop in order", report{device: "ana-laptop", attributes: healthy, then: portal}, anaAllowed},
	}}
}

func betweenWorkloads() scene {
	outside := payroll
	outside.as = "reporter"
	elsewhere := ask{as: "deployer", host: stage.PayrollHost, path: "/salaries"}
	wrongApp := ask{as: "deployer", host: stage.PortalHost, path: "/"}
	return scene{"3. A workload with an SVID calls another's admin API", []step{
		{"ci deployer", "lists payroll runs", payroll, want{status: http.StatusOK, reason: "allowed", decided: yes,
			seen: map[string]string{
				"x-tiergate-subject": "spiffe://acme.example/ns/ci/sa/deployer", "x-tiergate-tier": "workload",
				"x-tiergate-route": "payroll-admin", "x-tiergate-decision-id": anyValue,
			}, unseen: []string{"x-tiergate-device"}}},
		{"batch reporter", "tries the same, outside the audience", outside, refused("audience")},
		{"ci deployer", "tries a path that no route serves", elsewhere, byEnvoy(http.StatusNotFound)},
		{"ci deployer", "tries the employees' portal", wrongApp,
			want{status: http.StatusUnauthorized, reason: "identity-missing", decided: yes}},
	}}
}

func contractors() scene {
	app := ask{as: "cleo", listener: stage.ListenerContracts, host: stage.ContractorHost, path: "/tasks"}
	elsewhere := ask{as: "cleo", listener: stage.ListenerContracts, host: stage.PortalHost, path: "/"}
	borrowed := ask{as: "cleo-borrowing", host: stage.PortalHost, path: "/"}
	return scene{"4. A contractor stays where contractors belong", []step{
		{cleoOnLaptop, "opens the contractors' app", app, want{status: http.StatusOK, reason: "allowed", decided: yes,
			seen: map[string]string{
				"x-tiergate-subject": "corp/cleo@partner.example", "x-tiergate-tier": "contractor",
				"x-tiergate-route": "contractor-portal", "x-tiergate-decision-id": anyValue,
			}}},
		{cleoOnLaptop, "looks for the employees' app there", elsewhere, byEnvoy(http.StatusNotFound)},
		{"cleo on ana-laptop", "tries the portal, in staff as well", borrowed, refused("isolated")},
	}}
}

func brokenPolicy() scene {
	post := portal
	post.method = http.MethodPost
	post.until = soon
	refusedPost := post
	refusedPost.until = 0
	return scene{"5. The policy is broken while traffic flows, and mended", []step{
		{anaOnLaptop, "starts steady traffic", traffic{start: true}, want{}},
		{anaOnLaptop, "posts, which the route does not list", refusedPost, refused("method")},
		{"workplace", "saves a route with a tier that does not exist",
			edit{"access/routes.yaml", "tier: internal", "tier: internl", "internl"}, want{}},
		{"admin socket", "shows the fault", fault{within: soon}, want{faultAtEdit: true}},
		{anaOnLaptop, "opens the portal under the last good policy", portal, anaAllowed},
		{"workplace", "mends it and lets the portal take POST",
			edit{"access/routes.yaml", "methods: [GET]\n  tier: internl", "methods: [GET, POST]\n  tier: internal", ""}, want{}},
		{"admin socket", "shows the new policy", newDigest{within: soon}, want{}},
		{anaOnLaptop, "posts, which is in force now", post, anaAllowed},
		{anaOnLaptop, "stops the traffic", traffic{}, want{nothingLost: true}},
	}}
}

func killedServe() scene {
	bens := ask{as: "ben", host: stage.PortalHost, path: "/"}
	noEDR := map[string]any{
		"platform": "windows", "disk_encryption": true, "edr_healthy": false, "firewall": true, "compromised": false,
	}
	refusedBen := want{status: http.StatusForbidden, reason: "posture", decided: yes, unmet: []unmet{
		{"edr-healthy", "require", "failing", "endpoint"},
	}}
	dead, back, bensBack := portal, portal, bens
	dead.until, back.until, bensBack.until = soon, soon, soon
	return scene{"6. tiergate serve is killed, and comes back", []step{
		{theMDM, "reports ben-laptop without EDR", report{device: "ben-laptop", attributes: noEDR, then: bens}, refusedBen},
		{"demo", "kills tiergate serve", kill{"serve"}, want{}},
		{anaOnLaptop, "opens the portal", dead, byEnvoy(http.StatusServiceUnavailable)},
		{"demo", "starts tiergate serve again", restart{"serve"}, want{}},
		{anaOnLaptop, "opens the portal; the facts are remembered", back, anaAllowed},
		{benOnLaptop, "opens the portal; so are his", bensBack, refusedBen},
	}}
}
