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

// newSender makes the secret that MDM and receiver share, and writes down what a later process needs to send.
func newSender(dir, ingest string, cast Cast) (*Sender, error) {
	s := &Sender{URL: ingest + "/v1/sources/" + SourceName, SecretFile: filepath.Join(dir, "secrets", SourceName+".whsec")}
	for _, d := range devices {
		device, err := cast.Device(d.Name)
		if err != nil {
			return nil, err
		}
		s.Devices = append(s.Devices, device)
	}
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	secret := "whsec_" + base64.StdEncoding.EncodeToString(key) + "\n"
	if err := os.WriteFile(s.SecretFile, []byte(secret), 0o600); err != nil {
		return nil, err
	}
	encoded, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, err
	}
	return s, os.WriteFile(filepath.Join(dir, senderFile), encoded, 0o600)
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
		observed := seen.UTC().Format(time.RFC3339Nano)
		all := map[string]any{"enrolled_user": d.User}
		maps.Copy(all, attributes)
		return json.Marshal(map[string]any{
			"type": "device.posture.updated", "timestamp": observed,
			"data": map[string]any{
				"device":      map[string]string{"serial": d.Serial, "certificate": d.Certificate},
				"observed_at": observed, "attributes": all,
			},
		})
	}
	return nil, fmt.Errorf("the MDM knows no laptop %q", device)
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
	secret, err := os.ReadFile(s.SecretFile)
	if err != nil {
		return Receipt{}, err
	}
	id, at := "msg_"+uuid.NewString(), time.Now()
	header, err := standard.Sign(strings.TrimSpace(string(secret)), id, at, body)
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
	began := time.Now()
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return Receipt{}, fmt.Errorf("send the webhook: %w", err)
	}
	answer, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return Receipt{}, fmt.Errorf("read the receiver's answer: %w", err)
	}
	return Receipt{ID: header.Get("webhook-id"), Status: response.StatusCode, Body: answer, Took: time.Since(began)}, nil
}
