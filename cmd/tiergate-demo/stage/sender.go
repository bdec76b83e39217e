package stage

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/tiergate/tiergate/signals/source/standard"
)

// Sender reports posture as an MDM does: webhooks signed as Standard Webhooks demand. Its methods may be called
// concurrently.
type Sender struct {
	URL        string   `json:"url"`        // http://host:port/v1/sources/NAME
	SecretFile string   `json:"secretFile"` // holds whsec_…
	Devices    []Device `json:"devices"`

	mu       sync.Mutex
	observed time.Time // of the last report; the next one is later
}

// senderFile is where a stage keeps its Sender for `tiergate-demo webhook`.
const senderFile = "sender.json"

// newSender makes the Sender of the MDM, and writes down what a later process needs to send.
func newSender(dir, ingest string, cast Cast) (*Sender, error) {
	s, err := senderOf(dir, ingest, SourceName)
	if err != nil {
		return nil, err
	}
	for _, d := range devices {
		device, err := cast.Device(d.Name)
		if err != nil {
			return nil, err
		}
		s.Devices = append(s.Devices, device)
	}
	encoded, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, err
	}
	return s, os.WriteFile(filepath.Join(dir, senderFile), encoded, 0o600)
}

// senderOf makes the secret of a source, and a Sender that knows no device yet.
func senderOf(dir, ingest, source string) (*Sender, error) {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	s := &Sender{URL: ingest + "/v1/sources/" + source, SecretFile: filepath.Join(dir, "secrets", source+".whsec")}
	secret := "whsec_" + base64.StdEncoding.EncodeToString(key) + "\n"
	return s, os.WriteFile(s.SecretFile, []byte(secret), 0o600)
}

// OpenSender returns the Sender of a stage that is running.
func OpenSender(dir string) (*Sender, error) {
	raw, err := os.ReadFile(filepath.Join(dir, senderFile))
	if err != nil {
		return nil, fmt.Errorf("%s is no stage of a running demo: %w", dir, err)
	}
	s := &Sender{}
	if err := json.Unmarshal(raw, s); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, senderFile), err)
	}
	return s, nil
}

// Receipt is what the receiver said.
type Receipt struct {
	ID     string // webhook-id
	Status int    // 202: durable
	Body   []byte
	Took   time.Duration
}

// Report sends attributes of one laptop as seen now; a value of nil says that the MDM cannot tell. For whom the laptop is
// enrolled is sent along, unless the attributes say so themselves. An answer other than 202 is no error.
func (s *Sender) Report(ctx context.Context, device string, attributes map[string]any) (Receipt, error) {
	return s.ReportSeen(ctx, device, s.nextObserved(), attributes)
}

// ReportSeen is Report for what the MDM saw at another instant. Of two reports the one seen last counts.
func (s *Sender) ReportSeen(ctx context.Context, device string, seen time.Time, attributes map[string]any) (Receipt, error) {
	body, err := s.body(device, seen, attributes)
	if err != nil {
		return Receipt{}, err
	}
	return s.Send(ctx, body)
}

// Body returns the payload of a report of what is seen now.
func (s *Sender) Body(device string, attributes map[string]any) ([]byte, error) {
	return s.body(device, s.nextObserved(), attributes)
}

func (s *Sender) body(device string, seen time.Time, attributes map[string]any) ([]byte, error) {
	for _, d := range s.Devices {
		if d.Name != device {
			continue
		}
		return d.report(seen, attributes)
	}
	return nil, fmt.Errorf("the sender knows no laptop %q", device)
}

// report is what a sender that knows the laptop by these names says of it.
func (d Device) report(seen time.Time, attributes map[string]any) ([]byte, error) {
	observed := seen.UTC().Format(time.RFC3339Nano)
	names, all := map[string]string{"serial": d.Serial}, map[string]any{}
	for name, value := range map[string]string{"certificate": d.Certificate, "id": d.ID} {
		if value != "" {
			names[name] = value
		}
	}
	if d.User != "" {
		all["enrolled_user"] = d.User
	}
	maps.Copy(all, attributes)
	return json.Marshal(map[string]any{
		"type": "device.posture.updated", "timestamp": observed,
		"data": map[string]any{"device": names, "observed_at": observed, "attributes": all},
	})
}

// nextObserved is now, and later than every earlier report's, so that the last report is the newest.
func (s *Sender) nextObserved() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now().UTC()
	if !now.After(s.observed) {
		now = s.observed.Add(time.Microsecond)
	}
	s.observed = now
	return now
}

// Send signs a body and sends it under a fresh id.
func (s *Sender) Send(ctx context.Context, body []byte) (Receipt, error) {
	return s.SendAs(ctx, newDelivery(), body)
}

func newDelivery() string { return "msg_" + uuid.NewString() }

// SendAs signs a body anew and sends it under an id that may have been sent before, as a sender that retries does.
func (s *Sender) SendAs(ctx context.Context, id string, body []byte) (Receipt, error) {
	secret, err := os.ReadFile(s.SecretFile)
	if err != nil {
		return Receipt{}, err
	}
	header, err := standard.Sign(strings.TrimSpace(string(secret)), id, time.Now(), body)
	if err != nil {
		return Receipt{}, err
	}
	return s.Deliver(ctx, header, body)
}

// Deliver posts a body under headers that the caller made.
func (s *Sender) Deliver(ctx context.Context, header http.Header, body []byte) (Receipt, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, bytes.NewReader(body))
	if err != nil {
		return Receipt{}, err
	}
	request.Header = header.Clone()
	request.Header.Set("Content-Type", "application/json")
	return deliver(request, header.Get("webhook-id"))
}

// deliver sends a request over a connection of its own, as a sender that has been idle does.
func deliver(request *http.Request, id string) (Receipt, error) {
	began := time.Now()
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return Receipt{}, fmt.Errorf("send to the receiver: %w", err)
	}
	answer, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return Receipt{}, fmt.Errorf("read the receiver's answer: %w", err)
	}
	return Receipt{ID: id, Status: response.StatusCode, Body: answer, Took: time.Since(began)}, nil
}
