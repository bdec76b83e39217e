package main

import (
	"net/http"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// Who speaks in the scenes of vendors and of Shared Signals.
const (
	theVendors  = "kandji, falcon"
	theProvider = "identity provider"
)

// bens is a request of ben's; what the portal is then told of him.
var (
	bens       = ask{as: "ben", host: stage.PortalHost, path: "/"}
	benAllowed = want{status: http.StatusOK, reason: "allowed", decided: yes, seen: map[string]string{
		"x-tiergate-subject": "corp/ben@acme.example", "x-tiergate-device": anyValue, "x-tiergate-tier": "internal",
		"x-tiergate-route": "portal", "x-tiergate-decision-id": anyValue,
	}}
)

func twoVendors() scene {
	diskOff := refusedFor(unmet{"disk-encrypted", "require", "failing", "endpoint"})
	apart := explain{serial: "C02BEN0002", of: "ben", attribute: "disk_encryption", signal: "disk-encrypted",
		says:   map[string]any{stage.SourceName: true, stage.KandjiName: true, stage.FalconName: false},
		status: "failing", disputed: true}
	return scene{"22. Kandji and CrowdStrike disagree about one Mac", []step{
		{theMDM, "reports ben-laptop in order", report{device: "ben-laptop", attributes: healthy, then: bens}, benAllowed},
		{theVendors, "are listed: FileVault is on for Kandji, off for Falcon", assess{encrypted: "no", then: bens}, diskOff},
		{theVerb, "get C02BEN0002: what each said, and why one", apart, want{}},
		{theVendors, "are listed again: Falcon finds it on", assess{encrypted: "yes", then: bens}, benAllowed},
	}}
}

func endedSession() scene {
	his := bens
	his.use = signedIn
	return scene{"23. The identity provider ends a session, and the next request is refused", []step{
		{benOnLaptop, "signs in with his password", signIn{as: "ben", then: bens}, benAllowed},
		{theProvider, "says session-revoked of ben", endSessions{as: "ben", then: his},
			want{status: http.StatusUnauthorized, reason: "session-revoked", decided: yes,
				challenge: `Bearer realm="tiergate", error="invalid_token"`}},
		{anaOnLaptop, "opens the portal, as before", portal, anaAllowed},
		{benOnLaptop, "signs in anew", signIn{as: "ben", then: bens}, benAllowed},
	}}
}
