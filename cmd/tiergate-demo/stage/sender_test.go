package stage

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestSignVector is the vector that Standard Webhooks publishes with its reference libraries.
func TestSignVector(t *testing.T) {
	header, err := Sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek",
		time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp": "1614265330",
		"webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
	} {
		if got := header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestSignRefuses(t *testing.T) {
	for _, secret := range []string{"", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_not base64!"} {
		if _, err := Sign(secret, "id", time.Now(), nil); err == nil {
			t.Errorf("signed with %q", secret)
		}
	}
}

// TestSignCoversEverything: another id, second, body or secret is another signature.
func TestSignCoversEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 24, 64).Draw(t, "key")
		secret := "whsec_" + base64.StdEncoding.EncodeToString(key)
		id, body := rapid.StringMatching(`msg_[a-z0-9]{1,20}`).Draw(t, "id"), rapid.SliceOf(rapid.Byte()).Draw(t, "body")
		at := time.Unix(rapid.Int64Range(1, 1<<33).Draw(t, "at"), 0)
		signature := func(secret, id string, at time.Time, body []byte) string {
			header, err := Sign(secret, id, at, body)
			if err != nil {
				t.Fatal(err)
			}
			return header.Get("webhook-signature")
		}
		have := signature(secret, id, at, body)
		key[0] ^= 1
		for name, other := range map[string]string{
			"id": signature(secret, id+"0", at, body), "time": signature(secret, id, at.Add(time.Second), body),
			"body":   signature(secret, id, at, append([]byte{0}, body...)),
			"secret": signature("whsec_"+base64.StdEncoding.EncodeToString(key), id, at, body),
		} {
			if other == have {
				t.Fatalf("the signature does not cover the %s", name)
			}
		}
	})
}

// receiver checks a delivery by hand, independently of Sign.
func receiver(t *testing.T, secretFile string, status int, bodies *[]string) *httptest.Server {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secret, err := os.ReadFile(secretFile)
		if err != nil {
			t.Error(err)
		}
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(strings.TrimSpace(string(secret)), "whsec_"))
		if err != nil || len(key) < 24 {
			t.Errorf("a secret of %d bytes: %v", len(key), err)
		}
		body, _ := io.ReadAll(r.Body)
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(r.Header.Get("Webhook-Id") + "." + r.Header.Get("Webhook-Timestamp") + "." + string(body)))
		want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
		if r.Header.Get("Webhook-Signature") != want || r.URL.Path != "/v1/sources/acme-mdm" || r.Method != http.MethodPost {
			t.Errorf("%s %s with signature %q", r.Method, r.URL.Path, r.Header.Get("Webhook-Signature"))
		}
		*bodies = append(*bodies, string(body))
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "said")
	}))
	t.Cleanup(server.Close)
	return server
}

func TestReport(t *testing.T) {
	s := newStage(t, StoreEmbedded)
	var bodies []string
	s.Sender.URL = receiver(t, s.Sender.SecretFile, http.StatusAccepted, &bodies).URL + "/v1/sources/" + SourceName
	var observed []time.Time
	for range 3 {
		receipt, err := s.Report(t.Context(), "ana-laptop", map[string]any{"disk_encryption": false, "edr_healthy": nil})
		if err != nil || receipt.Status != http.StatusAccepted || string(receipt.Body) != "said" || receipt.ID == "" {
			t.Fatalf("receipt %+v: %v", receipt, err)
		}
		var payload struct {
			Type string
			Data struct {
				Device     map[string]string
				ObservedAt time.Time `json:"observed_at"`
				Attributes map[string]any
			}
		}
		if err := json.Unmarshal([]byte(bodies[len(bodies)-1]), &payload); err != nil {
			t.Fatal(err)
		}
		edr, has := payload.Data.Attributes["edr_healthy"]
		if payload.Type != "device.posture.updated" || payload.Data.Attributes["disk_encryption"] != false || !has || edr != nil {
			t.Errorf("payload %+v", payload)
		}
		if payload.Data.Device["certificate"] != s.Cast.Pairs["ana-laptop"].Fingerprint() ||
			payload.Data.Device["serial"] != "C02ANA0001" {
			t.Errorf("device %v", payload.Data.Device)
		}
		observed = append(observed, payload.Data.ObservedAt)
	}
	if !observed[1].After(observed[0]) || !observed[2].After(observed[1]) {
		t.Errorf("a later report is not newer: %v", observed)
	}
	if _, err := s.Report(t.Context(), "nobodys-laptop", nil); err == nil {
		t.Error("reported a laptop that the MDM does not know")
	}
}

func TestSenderFaults(t *testing.T) {
	s := newStage(t, StoreEmbedded)
	if _, err := OpenSender(t.TempDir()); err == nil {
		t.Error("opened a directory that is no stage")
	}
	opened, err := OpenSender(s.Dir)
	if err != nil || opened.URL != s.Sender.URL || len(opened.Devices) != len(devices) {
		t.Fatalf("opened %+v: %v", opened, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := opened.Report(ctx, "ana-laptop", nil); err == nil {
		t.Error("a report reached nobody and is no error")
	}
	if err := os.Remove(opened.SecretFile); err != nil {
		t.Fatal(err)
	}
	if _, err := opened.Report(ctx, "ana-laptop", nil); err == nil {
		t.Error("sent without a secret")
	}
	if err := os.WriteFile(s.Path(senderFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenSender(s.Dir); err == nil {
		t.Error("opened what is no JSON")
	}
}
