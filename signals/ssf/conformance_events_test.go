package ssf_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals/ssf"
)

// sentEvents are the members of each event as the plan's module supported-events sends them: those of the specifications' examples.
// An event that is not here is sent with none.
var sentEvents = map[string]object{
	caepURI + "session-revoked": {"initiating_entity": "policy", "reason_admin": object{"en": "Policy Violation: C076E822"},
		"reason_user": object{"en": "This device is no longer compliant.", "it": "Questo dispositivo non e piu conforme."}},
	caepURI + "token-claims-change": {"claims": object{"role": "ro-admin"}},
	caepURI + "credential-change": {"credential_type": "fido2-roaming", "change_type": "create",
		"fido2_aaguid": "accced6a-63f5-490a-9eea-e59bc1896cfc", "friendly_name": "Jane's USB authenticator", "initiating_entity": "user"},
	caepURI + "assurance-level-change": {"namespace": "NIST-AAL", "current_level": "nist-aal2", "previous_level": "nist-aal1",
		"change_direction": "increase", "initiating_entity": "user"},
	caepURI + "device-compliance-change": {"current_status": "not-compliant", "previous_status": "compliant", "initiating_entity": "policy"},
	caepURI + "session-established":      {"fp_ua": "abb0b6e7da81a42233f8f2b1a8ddb1b9a4c81611", "acr": "AAL2", "amr": []string{"otp"}},
	caepURI + "session-presented":        {"fp_ua": "abb0b6e7da81a42233f8f2b1a8ddb1b9a4c81611", "ext_id": "12345"},
	caepURI + "risk-level-change": {"current_level": "LOW", "previous_level": "HIGH", "principal": "USER",
		"risk_reason": "PASSWORD_FOUND_IN_DATA_BREACH"},
	riscURI + "account-disabled":      {"reason": "hijacking"},
	riscURI + "identifier-changed":    {"new-value": "new-valid"},
	riscURI + "credential-compromise": {"credential_type": "password"},
	oktaURI + "device-risk-change":    {"current_level": "low", "previous_level": "high"},
	oktaURI + "user-risk-change":      {"current_level": "low", "previous_level": "high"},
}

// supportedEvents: every event that the stream delivers is acknowledged, also one whose subject nothing can be done with.
func supportedEvents(t *testing.T, push bool) {
	w := newWorld(t, push)
	delivered := w.manager.Status().Delivered
	for _, event := range []string{"session-revoked", "credential-change", "device-compliance-change"} {
		if !strings.Contains(strings.Join(delivered, " "), caepURI+event) {
			t.Errorf("%s is not asked for", event)
		}
	}
	if len(delivered) != len(ssf.EventTypes()) || len(delivered) < 25 {
		t.Errorf("%d events are delivered", len(delivered))
	}
	for _, uri := range delivered {
		event := object{"event_timestamp": time.Now().Unix()}
		for name, value := range sentEvents[uri] {
			event[name] = value
		}
		w.mustTake(w.tr.set(uri, event, object{"format": "email", "email": "ana@acme.example"}))
	}
	for _, uri := range delivered {
		w.wait(uri, func() bool { return w.said(" "+uri) > 0 })
	}
	w.mustTake(w.tr.set("https://unknown.example/event", object{"x": 1}, object{"format": "of tomorrow"}))
	w.wait("the count", func() bool { return w.said("heard  https://unknown.example/event") == 1 })
}

func caepInterop(t *testing.T, push bool) {
	w := newWorld(t, push)
	device := object{"format": "complex", "device": object{"format": "opaque", "id": "7"}}
	for _, c := range []struct {
		event, subject object
		kind           string
	}{
		{event: object{}, subject: object{"format": "complex", "user": user("ana"), "session": object{"format": "opaque", "id": "s1"}},
			kind: "session-revoked"},
		{event: object{"credential_type": "password", "change_type": "update"}, subject: user("ana"), kind: "credential-change"},
		{event: object{"current_status": "not-compliant", "previous_status": "compliant"}, subject: device,
			kind: "device-compliance-change"},
	} {
		w.mustTake(w.tr.set(caepURI+c.kind, c.event, c.subject))
		w.heard(c.kind, 1)
	}
	long := time.Now().Add(-time.Hour)
	for session, want := range map[string]bool{"s1": true, "s2": false, "": true} {
		if _, revoked := w.table().Revoked("corp", "ana", session, "", long, long); revoked != want {
			t.Errorf("session %q: %v", session, revoked)
		}
	}
	w.wait("the fact", func() bool { return w.fact("config_compliance") == "noncompliant" })
}
