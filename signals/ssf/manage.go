package ssf

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// The ways of delivery, as streams name them (SSF 1.0 section 6.1).
const (
	MethodPush = "urn:ietf:rfc:8935"
	MethodPoll = "urn:ietf:rfc:8936"
)

// metadata is a transmitter's configuration (SSF 1.0 section 7.1), what of it is used.
type metadata struct {
	Issuer          string   `json:"issuer"`
	JWKS            string   `json:"jwks_uri"`
	Methods         []string `json:"delivery_methods_supported"`
	Configuration   string   `json:"configuration_endpoint"`
	Status          string   `json:"status_endpoint"`
	AddSubject      string   `json:"add_subject_endpoint"`
	RemoveSubject   string   `json:"remove_subject_endpoint"`
	Verification    string   `json:"verification_endpoint"`
	CriticalMembers []string `json:"critical_subject_members"`
}

// config is a stream as its transmitter keeps it (SSF 1.0 section 8.1.1).
type config struct {
	ID        string        `json:"stream_id,omitempty"`
	Issuer    string        `json:"iss,omitempty"`
	Audience  stringOrMany  `json:"aud,omitempty"`
	Delivery  configDeliver `json:"delivery"`
	Supported []string      `json:"events_supported,omitempty"`
	Requested []string      `json:"events_requested,omitempty"`
	Delivered []string      `json:"events_delivered,omitempty"`
	// MinVerification is the seconds that must lie between two verifications.
	MinVerification float64 `json:"min_verification_interval,omitempty"`
	Description     string  `json:"description,omitempty"`
}

type configDeliver struct {
	Method        string `json:"method"`
	Endpoint      string `json:"endpoint_url,omitempty"`
	Authorization string `json:"authorization_header,omitempty"`
}

// stringOrMany is aud.
type stringOrMany []string

// UnmarshalJSON implements json.Unmarshaler.
func (s *stringOrMany) UnmarshalJSON(raw []byte) (err error) {
	*s, err = oneOrMore(raw)
	return err
}

// discover reads the metadata, and believes them only of the issuer that they are asked of.
func (c *client) discover(ctx context.Context) (metadata, error) {
	var m metadata
	err := c.do(ctx, call{method: http.MethodGet, url: c.metadata, anonymous: true}, &m)
	if err != nil {
		return m, fmt.Errorf("the transmitter's metadata: %w", err)
	}
	if m.Issuer != c.o.Issuer {
		return m, fmt.Errorf("the transmitter's metadata are of issuer %.200q, and the settings name %q; correct issuer, which is "+
			"compared byte for byte", m.Issuer, c.o.Issuer)
	}
	return m, nil
}

// errNoEndpoint is a transmitter that does not offer what is asked.
var errNoEndpoint = errors.New("the transmitter's metadata name no such endpoint")

func (c *client) manage(ctx context.Context, method, endpoint string, query url.Values, body, answer any) error {
	if endpoint == "" {
		return errNoEndpoint
	}
	return c.do(ctx, call{method: method, url: endpoint, query: query, body: body}, answer)
}

func byID(id string) url.Values { return url.Values{"stream_id": {id}} }

// list returns our streams; the transmitter answers with an array, and older ones with a single stream.
func (c *client) list(ctx context.Context, m metadata) ([]config, error) {
	var raw json.RawMessage
	err := c.manage(ctx, http.MethodGet, m.Configuration, nil, nil, &raw)
	if err != nil || len(raw) == 0 {
		return nil, err
	}
	var several []config
	if json.Unmarshal(raw, &several) == nil {
		return several, nil
	}
	var one config
	if err := json.Unmarshal(raw, &one); err != nil {
		return nil, errors.New("the list of streams does not have the shape of SSF 1.0")
	}
	return []config{one}, nil
}

func (c *client) read(ctx context.Context, m metadata, id string) (config, error) {
	var got config
	err := c.manage(ctx, http.MethodGet, m.Configuration, byID(id), nil, &got)
	if err == nil && got.ID != id {
		err = fmt.Errorf("the transmitter answers with stream %.80q, and was asked for %q", got.ID, id)
	}
	return got, err
}

func (c *client) create(ctx context.Context, m metadata, wanted config) (config, error) {
	var got config
	err := c.manage(ctx, http.MethodPost, m.Configuration, nil, wanted, &got)
	if err == nil && got.ID == "" {
		err = errors.New("the transmitter made a stream without an id")
	}
	return got, err
}

// update changes what is given and leaves the rest (PATCH, SSF 1.0 section 8.1.1.3). A transmitter that does not know how has
// the stream replaced (PUT, section 8.1.1.4): wanted is all that a receiver says of one.
func (c *client) update(ctx context.Context, m metadata, wanted config) (config, error) {
	var got config
	err := c.manage(ctx, http.MethodPatch, m.Configuration, nil, wanted, &got)
	if errors.Is(err, errNoMethod) {
		got = config{}
		err = c.manage(ctx, http.MethodPut, m.Configuration, nil, wanted, &got)
	}
	return got, err
}

func (c *client) delete(ctx context.Context, m metadata, id string) error {
	return c.manage(ctx, http.MethodDelete, m.Configuration, byID(id), nil, nil)
}

// streamStatus is enabled, paused or disabled, with the transmitter's reason (SSF 1.0 section 8.1.2).
type streamStatus struct {
	ID     string `json:"stream_id"`
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
}

func (c *client) status(ctx context.Context, m metadata, id string) (streamStatus, error) {
	var got streamStatus
	err := c.manage(ctx, http.MethodGet, m.Status, byID(id), nil, &got)
	return got, err
}

// setStatus asks for another status (SSF 1.0 section 8.1.2.2), and returns the one that there is then: a transmitter that answers
// without a body has only taken note (202).
func (c *client) setStatus(ctx context.Context, m metadata, wanted streamStatus) (streamStatus, error) {
	got := streamStatus{}
	if err := c.manage(ctx, http.MethodPost, m.Status, nil, wanted, &got); err != nil {
		return streamStatus{}, err
	}
	if got.Status == "" {
		return c.status(ctx, m, wanted.ID)
	}
	return got, nil
}

// verify has the transmitter send a verification event with the state (SSF 1.0 section 8.1.4).
func (c *client) verify(ctx context.Context, m metadata, id, state string) error {
	return c.manage(ctx, http.MethodPost, m.Verification, nil, map[string]string{"stream_id": id, "state": state}, nil)
}

// subject adds or removes a subject, which is JSON as sub_id has it (SSF 1.0 section 8.1.3).
func (c *client) subject(ctx context.Context, m metadata, id string, subject json.RawMessage, add bool) error {
	endpoint := m.RemoveSubject
	body := map[string]any{"stream_id": id, "subject": subject}
	if add {
		endpoint = m.AddSubject
	}
	return c.manage(ctx, http.MethodPost, endpoint, nil, body, nil)
}
