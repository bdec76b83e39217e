package authz

import (
	"encoding/json"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
)

// problemUnmet is one demand in the body of a problem.
type problemUnmet struct {
	Signal  string        `json:"signal"`
	List    policy.List   `json:"list"`
	Status  policy.Status `json:"status"`
	Owner   string        `json:"owner"`
	Contact string        `json:"contact,omitempty"`
	Fix     policy.Fix    `json:"fix,omitzero"`
}

// problemBody is application/problem+json (RFC 9457, section 3.1) with members of ours (section 3.2).
type problemBody struct {
	Type     string         `json:"type"`
	Title    string         `json:"title"`
	Status   int            `json:"status"`
	Detail   string         `json:"detail,omitempty"`
	Reason   policy.Reason  `json:"reason,omitempty"`
	Decision string         `json:"decisionId"`
	Tier     string         `json:"tier,omitempty"`
	Contact  string         `json:"contact,omitempty"`
	Unmet    []problemUnmet `json:"unmet,omitempty"`
	Fallback *problemWayOut `json:"fallback,omitempty"`
}

// problemWayOut is where one may go whose device cannot comply, and the instant at which that is over.
type problemWayOut struct {
	URL   string    `json:"url"`
	Until time.Time `json:"until"`
}

// problem tells an application what to mend and whom to ask; what each source said stays with the operator.
func (r *refusal) problem(t *told) {
	body := problemBody{Type: "about:blank", Title: t.title, Status: t.status, Detail: t.detail, Reason: t.reason,
		Decision: t.id, Tier: t.tier, Contact: t.contact}
	if t.reason != "" {
		body.Type = "https://tiergate.dev/problems/" + string(t.reason)
	}
	for i := range t.unmet {
		u := &t.unmet[i]
		body.Unmet = append(body.Unmet, problemUnmet{u.Signal, u.List, u.Status, u.Owner, u.Contact, u.Fix})
	}
	if f := t.fallback; f != nil {
		body.Fallback = &problemWayOut{f.URL, f.Until}
	}
	raw, err := json.Marshal(body)
	if err != nil { // texts and a number cannot fail
		raw = []byte(`{"type":"about:blank"}`)
	}
	r.body = string(raw) + "\n"
	r.negotiated("application/problem+json", t)
}
