package outlets

import (
	"net/http"
	"strconv"
	"testing"
	"time"
)

// TestVectors are that of the Standard Webhooks specification's own libraries (github.com/standard-webhooks/standard-webhooks,
// libraries/go/webhook_test.go, TestWebhookSign), and that which Svix, whose scheme became the specification, publishes for
// receivers that verify without a library (docs.svix.com/receiving/verifying-payloads/how-manual).
func TestVectors(t *testing.T) {
	for _, v := range []struct {
		secret, id, body, want string
		at                     int64
	}{
		{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", `{"test": 2432232314}`,
			"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", 1614265330},
		{"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", `{"email":"test@example.com","username":"test_user"}`,
			"v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=", 1649367553},
	} {
		s, err := newSigner([]string{v.secret})
		if err != nil {
			t.Fatal(err)
		}
		h := http.Header{}
		s.sign(h, v.id, time.Unix(v.at, 0), []byte(v.body))
		if h.Get("webhook-signature") != v.want || h.Get("webhook-id") != v.id || h.Get("webhook-timestamp") != strconv.FormatInt(v.at, 10) {
			t.Error(h)
		}
	}
}
