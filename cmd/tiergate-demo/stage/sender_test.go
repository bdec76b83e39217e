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
)

// receiver checks a delivery by hand, independently of the code that signs.
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
