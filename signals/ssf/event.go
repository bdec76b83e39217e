package ssf

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiergate/tiergate/signals/source"
)

// Kind is the type of an event, in the last segment of its URI.
type Kind string

// The events that are known. Each has an entry in kinds.
const (
	SessionRevoked         Kind = "session-revoked"
	TokenClaimsChange      Kind = "token-claims-change"
	CredentialChange       Kind = "credential-change" //nolint:gosec // an event, no credential
	AssuranceLevelChange   Kind = "assurance-level-change"
	DeviceComplianceChange Kind = "device-compliance-change"
	RiskLevelChange        Kind = "risk-level-change"
	SessionEstablished     Kind = "session-established"
	SessionPresented       Kind = "session-presented"
	AccountDisabled        Kind = "account-disabled"
	AccountEnabled         Kind = "account-enabled"
	AccountPurged          Kind = "account-purged"
	CredentialChangeNeeded Kind = "account-credential-change-required"
	CredentialCompromise   Kind = "credential-compromise" //nolint:gosec // an event, no credential
	IdentifierChanged      Kind = "identifier-changed"
	IdentifierRecycled     Kind = "identifier-recycled"
	OptIn                  Kind = "opt-in"
	OptOutInitiated        Kind = "opt-out-initiated"
	OptOutCancelled        Kind = "opt-out-cancelled"
	OptOutEffective        Kind = "opt-out-effective"
	RecoveryActivated      Kind = "recovery-activated"
	RecoveryChanged        Kind = "recovery-information-changed"
	SessionsRevoked        Kind = "sessions-revoked" // deprecated in RISC, still sent
	Verification           Kind = "verification"
	StreamUpdated          Kind = "stream-updated"
	DeviceRiskChange       Kind = "device-risk-change" // Okta's
	UserRiskChange         Kind = "user-risk-change"   // Okta's
	IPChange               Kind = "ip-change"          // Okta's
)

// prefix is the beginning of an event type's URI.
type prefix string

const (
	caep prefix = "https://schemas.openid.net/secevent/caep/event-type/"
	risc prefix = "https://schemas.openid.net/secevent/risc/event-type/"
	ssf  prefix = "https://schemas.openid.net/secevent/ssf/event-type/"
	okta prefix = "https://schemas.okta.com/secevent/okta/event-type/"
)

// kinds are the events by where their specification keeps them: CAEP 1.0 section 3, RISC 1.0 section 2, SSF 1.0 section 8, and
// Okta's "Receive security events" (SSF receiver API).
var kinds = map[prefix][]Kind{
	caep: {SessionRevoked, TokenClaimsChange, CredentialChange, AssuranceLevelChange, DeviceComplianceChange, RiskLevelChange,
		SessionEstablished, SessionPresented},
	risc: {AccountDisabled, AccountEnabled, AccountPurged, CredentialChangeNeeded, CredentialCompromise, IdentifierChanged,
		IdentifierRecycled, OptIn, OptOutInitiated, OptOutCancelled, OptOutEffective, RecoveryActivated, RecoveryChanged,
		SessionsRevoked},
	ssf:  {Verification, StreamUpdated},
	okta: {DeviceRiskChange, UserRiskChange, IPChange},
}

// kindOf knows a type by its whole URI.
func kindOf(uri string) (Kind, bool) {
	at := strings.LastIndexByte(uri, '/') + 1
	kind := Kind(uri[at:])
	return kind, slices.Contains(kinds[prefix(uri[:at])], kind)
}

// EventTypes are the URIs of the events that mean something here, as a stream is asked for them (events_requested). Those of
// the stream itself come without being asked for.
func EventTypes() []string {
	var all []string
	for _, from := range []prefix{caep, risc, okta} {
		for _, kind := range kinds[from] {
			all = append(all, string(from)+string(kind))
		}
	}
	return all
}

// Kinds are the names of all events, sorted.
func Kinds() []string {
	var all []string
	for _, some := range kinds {
		for _, kind := range some {
			all = append(all, string(kind))
		}
	}
	slices.Sort(all)
	return all
}

// Event is one SET in our words.
type Event struct {
	Kind     Kind      `json:"kind"` // empty: a type that is not known; URI says which
	URI      string    `json:"uri"`
	ID       string    `json:"id"`     // the jti
	Stream   string    `json:"stream"` // by its name in the settings
	Issuer   string    `json:"issuer"` // the transmitter
	At       time.Time `json:"at"`     // when it happened: event_timestamp, else toe, else iat
	Received time.Time `json:"received,omitzero"`
	Subject  Subject   `json:"subject,omitzero"`
	// Status is the new status of device-compliance-change (compliant, not-compliant) and stream-updated (enabled, paused,
	// disabled).
	Status    string `json:"status,omitempty"`
	Level     string `json:"level,omitempty"`     // the current_level, as it was sent
	Principal string `json:"principal,omitempty"` // of risk-level-change: USER, DEVICE, SESSION, TENANT, ORG_UNIT, GROUP
	// Change is change_type of credential-change (create, revoke, update, delete) and change_direction of
	// assurance-level-change (increase, decrease).
	Change     string `json:"change,omitempty"`
	Credential string `json:"credential,omitempty"` // credential_type
	Namespace  string `json:"namespace,omitempty"`  // of assurance-level-change
	State      string `json:"state,omitempty"`      // of verification; empty: nobody asked
	Initiator  string `json:"initiator,omitempty"`  // initiating_entity: admin, user, policy, system
	Reason     string `json:"reason,omitempty"`     // reason_admin in English if it is there, else reason or risk_reason
}

// demanded are the members without which an event says nothing.
var demanded = map[Kind][]string{
	DeviceComplianceChange: {"current_status"}, RiskLevelChange: {"principal", "current_level"},
	AssuranceLevelChange: {"namespace", "current_level"}, CredentialChange: {"credential_type", "change_type"},
	DeviceRiskChange: {"current_level"}, UserRiskChange: {"current_level"}, StreamUpdated: {"status"},
}

// event reads what a SET says. inEvent takes the subject from the event where there is no sub_id. The error is a *Fault. Of a
// type that is not known only the type is told.
func (s *set) toEvent(inEvent bool) (Event, error) {
	e := Event{URI: s.uri, ID: s.id, Issuer: s.issuer, At: s.issued}
	if !s.occurred.IsZero() {
		e.At = s.occurred
	}
	kind, known := kindOf(s.uri)
	if !known {
		return e, nil
	}
	e.Kind = kind
	if err := s.readMembers(&e); err != nil {
		return Event{}, &Fault{Code: InvalidRequest, Reason: fmt.Errorf("the %s event: %w", kind, err)}
	}
	subject, old := s.subject, false
	if subject == nil && inEvent {
		subject, old = s.event["subject"], true
	}
	if subject == nil {
		return Event{}, fault(InvalidRequest, "the SET has no sub_id; if this transmitter puts the subject into the event, set "+
			"subjectInEvent")
	}
	var err error
	if e.Subject, err = ReadSubject(subject, old); err != nil {
		return Event{}, &Fault{Code: InvalidRequest, Reason: err}
	}
	return e, nil
}

func (s *set) readMembers(e *Event) error {
	var status, current, change, direction, reason, risk string
	for name, into := range map[string]*string{"current_status": &current, "status": &status, "current_level": &e.Level,
		"principal": &e.Principal, "change_type": &change, "change_direction": &direction, "credential_type": &e.Credential,
		"namespace": &e.Namespace, "state": &e.State, "initiating_entity": &e.Initiator, "reason": &reason,
		"risk_reason": &risk} {
		value, _, err := text(s.event, name)
		if err != nil {
			return err
		}
		if len(value) > maxMember || control(value) {
			return fmt.Errorf("%s has control bytes or more than %d bytes", name, maxMember)
		}
		*into = value
	}
	for _, name := range demanded[e.Kind] {
		if value, _, _ := text(s.event, name); value == "" {
			return fmt.Errorf("it has no %s", name)
		}
	}
	switch e.Kind {
	case DeviceComplianceChange:
		e.Status = current
	case StreamUpdated:
		e.Status = status
	case AssuranceLevelChange:
		e.Change = direction
	default:
		e.Change = change
	}
	e.Reason = short(firstOf(reasonOf(s.event["reason_admin"]), reason, risk))
	raw, there := s.event["event_timestamp"]
	if !there {
		return nil
	}
	at, err := source.Instant(raw)
	if err != nil || at.IsZero() {
		return errors.New("its event_timestamp is no time")
	}
	e.At = at
	return nil
}

// reasonOf reads a language map (CAEP 1.0 section 2), or a plain text as some senders have it.
func reasonOf(raw json.RawMessage) string {
	var plain string
	if json.Unmarshal(raw, &plain) == nil {
		return plain
	}
	var byLanguage map[string]string
	if json.Unmarshal(raw, &byLanguage) != nil || len(byLanguage) == 0 {
		return ""
	}
	best := ""
	for language := range byLanguage {
		english := language == "en" || strings.HasPrefix(language, "en-")
		bestEnglish := best == "en" || strings.HasPrefix(best, "en-")
		if best == "" || english && !bestEnglish || english == bestEnglish && language < best {
			best = language
		}
	}
	return byLanguage[best]
}

func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

// short makes a text one that may stand in a log and a record.
func short(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r == '�' {
			return ' '
		}
		return r
	}, s)
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:200], "")
	}
	return s
}
