package outlets_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// verify is how a receiver checks a delivery, written from the specification and without our code: "" or what is wrong.
func verify(secret string, h http.Header, body []byte) string {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		return err.Error()
	}
	sent, err := strconv.ParseInt(h.Get("webhook-timestamp"), 10, 64)
	if err != nil || time.Since(time.Unix(sent, 0)).Abs() > 5*time.Minute {
		return "timestamp " + h.Get("webhook-timestamp")
	}
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write([]byte(h.Get("webhook-id") + "." + h.Get("webhook-timestamp") + "." + string(body)))
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	for _, one := range strings.Split(h.Get("webhook-signature"), " ") {
		if one == want {
			return ""
		}
	}
	return fmt.Sprintf("signature %s", h.Get("webhook-signature"))
}
