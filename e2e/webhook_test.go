package e2e_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
	"github.com/tiergate/tiergate/signals/source/standard"
)

// TestWebhooksThatAreRefused: each with its status and a problem document, none with an effect on any decision.
func TestWebhooksThatAreRefused(t *testing.T) {
	t.Parallel()
	s := theCompany(t)
	sick, err := s.Sender.Body("ana-laptop", map[string]any{"disk_encryption": false})
	if err != nil {
		t.Fatal(err)
	}
	secret, err := os.ReadFile(s.Sender.SecretFile)
	if err != nil {
		t.Fatal(err)
	}
	signed := func(id string, at time.Time, body []byte) http.Header {
		header, err := standard.Sign(strings.TrimSpace(string(secret)), id, at, body)
		if err != nil {
			t.Fatal(err)
		}
		return header
	}
	altered := bytes.Replace(sick, []byte("false"), []byte("true "), 1)
	twice := bytes.Replace(sick, []byte(`"disk_encryption":false`), []byte(`"disk_encryption":true,"Disk_encryption":false`), 1)
	if bytes.Equal(twice, sick) || bytes.Equal(altered, sick) {
		t.Fatalf("the body is not what this test thinks: %s", sick)
	}
	for name, c := range map[string]struct {
		header http.Header
		body   []byte
		status int
	}{
		"unsigned":                 {http.Header{}, sick, 401},
		"signed for another body":  {signed("m1", time.Now(), sick), altered, 401},
		"signed long ago":          {signed("m2", time.Now().Add(-time.Hour), sick), sick, 401},
		"signed in the future":     {signed("m3", time.Now().Add(time.Hour), sick), sick, 401},
		"two keys that fold alike": {signed("m4", time.Now(), twice), twice, 400},
		"trailing data":            {signed("m5", time.Now(), append(sick, '{')), append(sick, '{'), 400},
		"no JSON":                  {signed("m6", time.Now(), []byte("hello")), []byte("hello"), 400},
		"not UTF-8":                {signed("m7", time.Now(), []byte("{\"type\":\"\xff\"}")), []byte("{\"type\":\"\xff\"}"), 400},
		"two megabytes":            {http.Header{}, bytes.Repeat([]byte(" "), 2<<20), 413},
	} {
		receipt, err := s.Sender.Deliver(soon(t, 10*time.Second), c.header, c.body)
		if err != nil {
			// The receiver does not read the rest of what is too large, so the sender may find the connection closed.
			if c.status != http.StatusRequestEntityTooLarge {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		var problem struct {
			Status int    `json:"status"`
			Title  string `json:"title"`
			Detail string `json:"detail"`
		}
		if err := json.Unmarshal(receipt.Body, &problem); err != nil || receipt.Status != c.status || problem.Status != c.status ||
			problem.Title == "" || problem.Detail == "" {
			t.Errorf("%s: %d %s", name, receipt.Status, receipt.Body)
		}
	}
	time.Sleep(200 * time.Millisecond) // many times what an accepted report needs
	if answer := s.Ask(soon(t, 10*time.Second), stage.Request{As: "ana", Host: stage.PortalHost}); answer.Status != http.StatusOK {
		t.Errorf("a refused webhook changed the answer to %d %s", answer.Status, answer.Reason())
	}
}

// TestRepeatedAndLateWebhooks: the same delivery again is acknowledged again and applied once; an older observation that
// comes later changes nothing.
func TestRepeatedAndLateWebhooks(t *testing.T) {
	t.Parallel()
	s := aCompany(t, stage.StoreRedis)
	late, err := s.Sender.Body("ana-laptop", map[string]any{"disk_encryption": false})
	if err != nil {
		t.Fatal(err)
	}
	var body map[string]any
	if err := json.Unmarshal(late, &body); err != nil {
		t.Fatal(err)
	}
	body["data"].(map[string]any)["observed_at"] = time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	if late, err = json.Marshal(body); err != nil {
		t.Fatal(err)
	}
	secret, err := os.ReadFile(s.Sender.SecretFile)
	if err != nil {
		t.Fatal(err)
	}
	header, err := standard.Sign(strings.TrimSpace(string(secret)), "late-1", time.Now(), late)
	if err != nil {
		t.Fatal(err)
	}
	for accepted, tries := 0, 0; accepted < 3; tries++ {
		receipt, err := s.Sender.Deliver(soon(t, 10*time.Second), header, late)
		switch {
		case err == nil && receipt.Status == http.StatusAccepted:
			accepted++
		case err == nil && receipt.Status == http.StatusServiceUnavailable && tries < 20: // "come again": a sender does
			time.Sleep(100 * time.Millisecond)
		default:
			t.Fatalf("a repeated delivery: %d %v", receipt.Status, err)
		}
	}
	time.Sleep(200 * time.Millisecond)
	if answer := s.Ask(soon(t, 10*time.Second), stage.Request{As: "ana", Host: stage.PortalHost}); answer.Status != http.StatusOK {
		t.Errorf("an hour-old observation overruled a newer one: %d %s", answer.Status, answer.Reason())
	}
}
