package main

import (
	"net/http"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/oidc"
	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

const (
	anasBrowser = "ana's browser"
	// loginLeft is what is left of the quarter of an hour for which the console takes a login, when scene 12 begins with one
	// that the provider takes to be old: enough to log in with. It is over in scene 15, while scenes in between go on.
	loginLeft = 5 * time.Second
	// loginAsked is where the console's route sends browsers, without what is signed.
	loginAsked = "https://apps.acme.example/step-up?acr_values=phr&max_age=900"
)

var (
	consolePage = stage.Errand{As: "ana", Host: stage.PayrollHost, Path: "/console/runs"}
	sentToLogIn = want{status: http.StatusFound, decided: yes}
)

// privilegedPage is what a browser gets of a privileged route: the login that its tier wants, and a page for who comes back
// without it, so that nobody goes round in circles.
func privilegedPage() scene {
	stays, weak, again := consolePage, consolePage, stage.Errand{As: "ana", Link: true}
	stays.Stay, weak.Login = true, oidc.Login{Method: oidc.ByPassword}
	again.Login = oidc.Login{Method: oidc.ByKey, Age: 15*time.Minute - loginLeft}
	return scene{"12. Payroll's console in a browser: the login that the tier wants, and back to the page", []step{
		{anasBrowser, "opens the console; another login is wanted", browse{Errand: stays, to: loginAsked}, sentToLogIn},
		{anasBrowser, "goes there; Ana types her password alone", browse{Errand: weak, sent: 1, logins: 1, page: cameBackWeak},
			want{status: http.StatusUnauthorized, decided: yes}},
		{anasBrowser, "follows the page's link; Ana uses her key", browse{Errand: again, sent: 1, logins: 1}, onConsole},
		{anasBrowser, "opens the console again", browse{Errand: consolePage}, onConsole},
	}}
}

func refusalPage() scene {
	open := stage.Errand{As: "ana", Host: stage.PortalHost, Path: portal.path}
	diskOff := refusedFor(unmet{"disk-encrypted", "require", "failing", "endpoint"})
	off := report{device: "ana-laptop", attributes: map[string]any{"disk_encryption": false}, then: portal}
	return scene{"13. Who is refused reads what to mend, and whom to ask", []step{
		{theMDM, "reports disk_encryption=false", off, diskOff},
		{anasBrowser, "opens the portal; this is the page", browse{Errand: open, page: needsAttention},
			want{status: http.StatusForbidden, decided: yes}},
		{theMDM, "reports ana-laptop in order", report{device: "ana-laptop", attributes: healthy, then: portal}, anaAllowed},
		{anasBrowser, "opens the portal", browse{Errand: open}, anaAllowed},
	}}
}

func staleLogin() scene {
	stays, fresh := consolePage, consolePage
	stays.Stay, fresh.Login = true, oidc.Login{Method: oidc.ByKey}
	return scene{"15. Ana's strong login is a quarter of an hour old by now, and is asked for again", []step{
		{anasBrowser, "opens the console, until another is wanted", browse{Errand: stays, to: loginAsked, until: soon}, sentToLogIn},
		{anasBrowser, "goes there; Ana uses her key again", browse{Errand: fresh, sent: 1, logins: 1}, onConsole},
		{anasBrowser, "opens the console again", browse{Errand: consolePage}, onConsole},
	}}
}

var (
	cameBackWeak = []string{
		"Stronger sign-in needed",
		"This route asks for a stronger or fresher sign-in. Sign in again as it asks, then repeat the request.",
		"You came back from signing in",
		"The sign-in that came is not the one that was asked for, so you are not sent there again automatically.",
		"Asked for: kind (acr): phr",
		"Asked for: not longer ago than: 15m",
		"What came: kind (acr): nothing",
		"What came: method (amr): pwd",
		"What came: signed in at: *",
		"Sign in once more, another way",
		"If you need help, ask: iam@acme.example",
		"Give the number of this decision when you ask for help.",
		"Decision: *",
		"Reason: step-up",
		"Protection level: privileged",
	}
	needsAttention = []string{
		"Device needs attention",
		"This device does not meet what is asked for here. Each point below says what to do.",
		"What to do",
		"disk-encrypted",
		"This check fails.",
		"Turn on FileVault or BitLocker.",
		"Instructions: https://it.acme.example/disk",
		"Responsible: endpoint, endpoint@acme.example",
		"If you need help, ask: iam@acme.example",
		"Give the number of this decision when you ask for help.",
		"Decision: *",
		"Reason: posture",
		"Protection level: internal",
	}
)
