package policy

import (
	"fmt"
	"slices"
	"time"
)

// login checks what a tier, or an entry of it for an audience, wants of a login or of a JWT-SVID.
func (l *tierLists) login(field string, d *StepUpDemand) {
	asks := len(d.ACR)+len(d.AMR) > 0 || d.MaxAge != 0
	switch workload := l.tier.Identify == IdentifyWorkload; {
	case workload && d.SVID == nil || workload && asks:
		l.fault(field, "a workload has no login to step up",
			"svid: {maxAge: 5m, audience: NAME} alone, or identify: user or user+device")
	case !workload && d.SVID != nil:
		l.fault(field+".svid", "a user shows a login and no JWT-SVID", "set acr, amr or maxAge, or identify: workload")
	case workload:
	case !asks:
		l.fault(field, "stepUp asks for no login", "set acr, amr or maxAge")
	case d.MaxAge != 0 && d.MaxAge < time.Second:
		l.fault(field+".maxAge", fmt.Sprintf("no login is as fresh as %s", written(d.MaxAge)), "write 1s or more")
	}
	switch d.When {
	case "", StepUpAlways:
	case StepUpSignals:
		if len(d.Signals) == 0 {
			l.fault(field+".when", "when: signals, and no signal is named", "signals: [NAME], or when: always")
		}
	default:
		l.fault(field+".when", fmt.Sprintf("when is %q", d.When), "write always or signals")
	}
	l.words(field+".acr", d.ACR)
	l.words(field+".amr", d.AMR)
	if d.SVID != nil {
		l.svid(field+".svid", d.SVID)
	}
}

func (l *tierLists) svid(field string, d *SVIDDemand) {
	if d.MaxAge < time.Second {
		l.fault(field+".maxAge", fmt.Sprintf("no JWT-SVID is as fresh as %s", written(d.MaxAge)), "write 1s or more")
	}
	switch known := l.c.world.SVIDAudiences; {
	case d.Audience == "":
		l.fault(field+".audience", "svid names no audience", "write the aud that the workload asks its JWT-SVID for")
	case !isChallengeWord(d.Audience):
		l.fault(field+".audience", fmt.Sprintf("%q cannot be sent in a challenge", d.Audience),
			"use visible ASCII without blanks, quotes and backslashes")
	case known != nil && len(known) == 0:
		l.fault(field, "the settings take no JWT-SVID, so this tier would refuse everything", "set identity.jwtSVIDs in the settings")
	case known != nil && !slices.Contains(known, d.Audience):
		l.c.unknown(KindTier, l.tier.Meta.Name, field+".audience",
			fmt.Sprintf("the settings take no JWT-SVID for audience %q", d.Audience), d.Audience, known,
			"add it to identity.jwtSVIDs.audiences")
	}
}

// words checks the values of a challenge: they are sent to clients, separated by blanks, in a quoted string.
func (l *tierLists) words(field string, words []string) {
	for i, word := range words {
		at := fmt.Sprintf("%s[%d]", field, i)
		if !isChallengeWord(word) {
			l.fault(at, fmt.Sprintf("%q cannot be sent in a challenge", word), "use visible ASCII without blanks, quotes and backslashes")
		}
		if slices.Contains(words[:i], word) {
			l.fault(at, fmt.Sprintf("%q is listed twice", word), "remove one")
		}
	}
}

func isChallengeWord(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}
