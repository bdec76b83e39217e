package main

import (
	"net/http"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// Who speaks in the scenes of posture besides the MDM.
const (
	theEDR     = "acme-edr"
	theSources = "acme-mdm, acme-edr"
	theVerb    = "tiergate device"
)

// The flood: so many laptops, each reported by both sources, and so many kills amid it.
const (
	floodLaptops = 200
	floodKills   = 2
)

func disagreement() scene {
	const disk = "disk_encryption"
	says := func(encrypted bool) report {
		attributes := map[string]any{disk: encrypted, "edr_healthy": true, "compromised": false}
		return report{by: stage.EDRName, device: "ana-laptop", attributes: attributes, then: portal}
	}
	diskOff := refusedFor(unmet{"disk-encrypted", "require", "failing", "endpoint"})
	apart := explain{serial: "C02ANA0001", of: "ana", attribute: disk, signal: "disk-encrypted",
		says: map[string]any{stage.SourceName: true, stage.EDRName: false}, status: "failing", disputed: true}
	agreed := apart
	agreed.says, agreed.status, agreed.disputed = map[string]any{stage.SourceName: true, stage.EDRName: true}, "passing", false
	return scene{"16. Two sources disagree about one Mac, and tiergate shows both", []step{
		{theMDM, "reports ana-laptop in order", report{device: "ana-laptop", attributes: healthy, then: portal}, anaAllowed},
		{theEDR, "says the same Mac's disk is not encrypted", says(false), diskOff},
		{theVerb, "get C02ANA0001: what each said, and why one", apart, want{}},
		{theMDM, "says again that it is; the worse word counts", report{device: "ana-laptop", attributes: healthy, then: portal}, diskOff},
		{theEDR, "corrects itself", says(true), anaAllowed},
		{theVerb, "get C02ANA0001: they agree", agreed, want{}},
	}}
}

func flood() scene {
	back := portal
	back.until = soon
	return scene{"17. The receiver is killed in mid-flood, and nothing is missing", []step{
		{anaOnLaptop, "starts steady traffic", traffic{start: true}, want{}},
		{theSources, "report 200 new laptops, and retry until 202", inundate{laptops: floodLaptops, kills: floodKills}, want{}},
		{theVerb, "list: what was acknowledged is there", arrived{within: soon}, want{}},
		{anaOnLaptop, "opens the portal", back, want{status: http.StatusOK, reason: "allowed", decided: yes, seen: anaSeen}},
		{anaOnLaptop, "stops the traffic", traffic{beside: true}, want{nothingLost: true}},
	}}
}
