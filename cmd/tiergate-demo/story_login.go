package main

import (
	"net/http"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/oidc"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// aThief has what Ana sent, and a laptop that is not hers.
const aThief = "thief on ben-laptop"

var (
	// the console is as it is for whoever did not sign in as it wants it.
	console = ask{as: "ana", host: stage.PayrollHost, path: "/console/runs"}
	stepUp  = want{status: http.StatusUnauthorized, reason: "step-up", decided: yes,
		challenge: `Bearer realm="tiergate", error="insufficient_user_authentication", ` +
			`error_description="A stronger or fresher sign-in is required", acr_values="phr", max_age="900"`}
	onConsole = want{status: http.StatusOK, reason: "allowed", decided: yes, seen: map[string]string{
		"x-tiergate-subject": "corp/ana@acme.example", "x-tiergate-device": anyValue, "x-tiergate-tier": "privileged",
		"x-tiergate-route": "payroll-console", "x-tiergate-decision-id": anyValue,
	}}
	doubted = want{status: http.StatusUnauthorized, reason: "identity-doubted", decided: yes}
)

func realLogin() scene {
	with := console
	with.use = signedIn
	return scene{"10. Ana signs in at a real OpenID provider, and steps up as it is asked of her", []step{
		{anaOnLaptop, "signs in with her password", signIn{as: "ana", then: portal}, anaAllowed},
		{anaOnLaptop, "takes that token to payroll's console", with, stepUp},
		{anaOnLaptop, "signs in as the challenge says",
			signIn{as: "ana", method: oidc.ByKey, asChallenged: true, then: console}, onConsole},
	}}
}

func stolenToken() scene {
	stolen := ask{as: "ben", host: stage.PortalHost, path: portal.path, use: signedIn}
	replayed := stolen
	replayed.use = provenAgain
	hers, again := portal, portal
	hers.use, again.use = signedIn, proven
	return scene{"11. A stolen token is worth nothing on another device", []step{
		{anaOnLaptop, "signs in; her certificate binds the token",
			signIn{as: "ana", certificate: true, then: portal}, anaAllowed},
		{aThief, "sends that token", stolen, doubted},
		{anaOnLaptop, "opens the portal with it", hers, anaAllowed},
		{anaOnLaptop, "signs in; a DPoP key binds the token",
			signIn{as: "ana", key: true, then: portal}, anaAllowed},
		{aThief, "sends it with the same proof", replayed, doubted},
		{aThief, "sends that token without a proof", stolen, doubted},
		{anaOnLaptop, "opens the portal with a new proof", again, anaAllowed},
	}}
}
