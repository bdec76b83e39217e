package standard_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/standard"
)

var now = time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)

func secretOf(b byte, size int) string {
	return "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(rune(b)), size)))
}

var (
	secretA = secretOf('a', 24)
	secretB = secretOf('b', 64)
)

func adapter(t testing.TB, secrets ...string) *standard.Adapter {
	t.Helper()
	a, err := standard.New(secrets)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func signed(t testing.TB, secret, id string, at time.Time, body string) source.Delivery {
	t.Helper()
	header, err := standard.Sign(secret, id, at, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return source.Delivery{Source: "mdm", Header: header, Body: []byte(body), Received: at}
}

func status(err error) int {
	if refusal, ok := errors.AsType[*source.Refusal](err); ok {
		return refusal.Status
	}
	return 0
}

func TestNewRefusesBadSecrets(t *testing.T) {
	for name, secret := range map[string]string{
		"empty":                "",
		"no prefix":            strings.TrimPrefix(secretA, "whsec_"),
		"the prefix of a key":  "whpk_" + strings.TrimPrefix(secretA, "whsec_"),
		"23 bytes":             secretOf('a', 23),
		"65 bytes":             secretOf('a', 65),
		"no padding":           strings.TrimRight(secretOf('a', 25), "="),
		"not base64":           "whsec_" + strings.Repeat("?", 32),
		"the other base64":     "whsec_" + strings.Repeat("-_", 16),
		"a line break, inside": secretA[:20] + " " + secretA[20:],
	} {
		_, err := standard.New([]string{secretB, secret})
		if err == nil || !strings.Contains(err.Error(), "secret 2 of 2") {
			t.Errorf("%s: %v", name, err)
		} else if len(secret) > 6 && strings.Contains(err.Error(), secret[6:]) {
			t.Errorf("%s: the error shows the secret: %v", name, err)
		}
		if _, err := standard.Sign(secret, "id", now, nil); err == nil {
			t.Errorf("%s: Sign took it", name)
		}
	}
	if _, err := standard.New(nil); err == nil {
		t.Error("no secret at all was taken")
	}
	adapter(t, secretA+"\n", secretB) // as files end
}

func TestAuthenticate(t *testing.T) {
	good := signed(t, secretA, "msg_1", now, `{"a":1}`)
	tests := []struct {
		name   string
		change func(d *source.Delivery)
		at     time.Time
		status int // 0: taken
	}{
		{"good", func(*source.Delivery) {}, now, 0},
		{"5 minutes old", func(*source.Delivery) {}, now.Add(5 * time.Minute), 0},
		{"5 minutes ahead", func(*source.Delivery) {}, now.Add(-5 * time.Minute), 0},
		{"a nanosecond too old", func(*source.Delivery) {}, now.Add(5*time.Minute + 1), 401},
		{"a nanosecond too far ahead", func(*source.Delivery) {}, now.Add(-5*time.Minute - 1), 401},
		{"another body", func(d *source.Delivery) { d.Body = []byte(`{"a":2}`) }, now, 401},
		{"a blank more", func(d *source.Delivery) { d.Body = []byte(`{"a":1} `) }, now, 401},
		{"another id", func(d *source.Delivery) { d.Header.Set(standard.HeaderID, "msg_2") }, now, 401},
		{"another time", func(d *source.Delivery) { d.Header.Set(standard.HeaderTimestamp, "1795161601") }, now, 401},
		{"no id", func(d *source.Delivery) { d.Header.Del(standard.HeaderID) }, now, 401},
		{"no time", func(d *source.Delivery) { d.Header.Del(standard.HeaderTimestamp) }, now, 401},
		{"no signature", func(d *source.Delivery) { d.Header.Del(standard.HeaderSignature) }, now, 401},
		{"an empty id", func(d *source.Delivery) { d.Header.Set(standard.HeaderID, "") }, now, 401},
		{"two ids", func(d *source.Delivery) { d.Header.Add(standard.HeaderID, "msg_1") }, now, 401},
		{"two times", func(d *source.Delivery) { d.Header.Add(standard.HeaderTimestamp, "1795161600") }, now, 401},
		{"two signatures", func(d *source.Delivery) { d.Header.Add(standard.HeaderSignature, "v1,x") }, now, 401},
		{"a list with others", func(d *source.Delivery) { inList(d, "v1a,AAAA v2,BBBB v1,CCCC %s v1,DDDD") }, now, 0},
		{"blanks in the list", func(d *source.Delivery) { inList(d, " %s  ") }, now, 0},
		{"without its version", func(d *source.Delivery) { inList(d, "x%s") }, now, 401},
		{"cut", func(d *source.Delivery) { set(d, func(s string) string { return s[:len(s)-1] }) }, now, 401},
		{"no padding", func(d *source.Delivery) { set(d, func(s string) string { return strings.TrimRight(s, "=") }) }, now, 401},
		{"longer", func(d *source.Delivery) { inList(d, "%s=") }, now, 401},
		{"as v1a", func(d *source.Delivery) { set(d, func(s string) string { return "v1a" + s[2:] }) }, now, 401},
		{"an empty v1", func(d *source.Delivery) { inList(d, "v1,") }, now, 401},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := good
			d.Header = good.Header.Clone()
			tt.change(&d)
			id, err := adapter(t, secretB, secretA).Authenticate(d, tt.at)
			if status(err) != tt.status || (err == nil) != (id == "msg_1") {
				t.Errorf("id %q, %v; want status %d", id, err, tt.status)
			}
			if refusal, ok := errors.AsType[*source.Refusal](err); ok && (refusal.Detail == "" || refusal.Challenge == "") {
				t.Errorf("the sender is not told what to do: %+v", refusal)
			}
		})
	}
}

func set(d *source.Delivery, change func(string) string) {
	d.Header.Set(standard.HeaderSignature, change(d.Header.Get(standard.HeaderSignature)))
}

func inList(d *source.Delivery, list string) {
	set(d, func(s string) string { return strings.Replace(list, "%s", s, 1) })
}

// A signed timestamp that is odd is refused even though the signature is right.
func TestAuthenticateRefusesOddTimestampsAndIDs(t *testing.T) {
	a := adapter(t, secretA)
	for _, timestamp := range []string{"+1795161600", " 1795161600", "1795161600.0", "1795161600000000", "x", "0x6B",
		"-1795161600", "١٧٩٥١٦١٦٠٠", ""} {
		d := signed(t, secretA, "msg_1", now, `{}`)
		d.Header.Set(standard.HeaderTimestamp, timestamp)
		if _, err := a.Authenticate(d, now); status(err) != http.StatusUnauthorized {
			t.Errorf("timestamp %q: %v", timestamp, err)
		}
	}
	for _, id := range []string{"a b", "a\tb", "é", strings.Repeat("x", 257)} {
		if _, err := a.Authenticate(signed(t, secretA, id, now, `{}`), now); status(err) != http.StatusUnauthorized {
			t.Errorf("id %q: %v", id, err)
		}
	}
}

// A rotation: both sign while both are configured; when the old secret goes, what it signed goes too.
func TestRotation(t *testing.T) {
	byOld, byNew := signed(t, secretA, "1", now, `{}`), signed(t, secretB, "1", now, `{}`)
	both := byOld
	both.Header = byOld.Header.Clone()
	inList(&both, byNew.Header.Get(standard.HeaderSignature)+" %s")
	for _, tt := range []struct {
		secrets        []string
		old, new, both bool
	}{
		{[]string{secretA}, true, false, true},
		{[]string{secretA, secretB}, true, true, true},
		{[]string{secretB}, false, true, true},
		{[]string{secretOf('c', 24)}, false, false, false},
	} {
		a := adapter(t, tt.secrets...)
		for name, c := range map[string]struct {
			d    source.Delivery
			want bool
		}{"old": {byOld, tt.old}, "new": {byNew, tt.new}, "both": {both, tt.both}} {
			if _, err := a.Authenticate(c.d, now); (err == nil) != c.want {
				t.Errorf("%d secrets, signed by %s: %v", len(tt.secrets), name, err)
			}
		}
	}
}

// A signature covers id.timestamp.body. No other split of the same bytes may pass.
func TestSignedBytesCannotBeSplitAnew(t *testing.T) {
	a := adapter(t, secretA)
	seconds := strconv.FormatInt(now.Unix(), 10)
	for _, body := range []string{`{"a":1.5}`, seconds + `.{"a":1}`, `1.5`} {
		for _, id := range []string{"msg", "msg." + seconds, "msg." + seconds + "." + seconds} {
			d := signed(t, secretA, id, now, body)
			whole := id + "." + seconds + "." + body
			taken := 0
			for i := range whole {
				for j := i + 1; j < len(whole); j++ {
					if whole[i] != '.' || whole[j] != '.' {
						continue
					}
					split := source.Delivery{Header: d.Header.Clone(), Body: []byte(whole[j+1:])}
					split.Header.Set(standard.HeaderID, whole[:i])
					split.Header.Set(standard.HeaderTimestamp, whole[i+1:j])
					if _, err := a.Authenticate(split, now); err == nil {
						taken++
					}
				}
			}
			if taken > 1 {
				t.Errorf("%q passes in %d splits", whole, taken)
			}
		}
	}
}

func TestAmbiguousBodiesAreRefusedThoughSigned(t *testing.T) {
	for _, body := range []string{``, `[]`, `7`, `null`, `"{}"`, `{}{}`, `{"a":1,"A":2}`, "{\"a\":\"\xff\"}", "\ufeff{}", `{"a":1`} {
		_, err := adapter(t, secretA).Authenticate(signed(t, secretA, "1", now, body), now)
		refusal, ok := errors.AsType[*source.Refusal](err)
		if !ok || refusal.Status != http.StatusBadRequest || refusal.Reason == nil {
			t.Errorf("%q: %v", body, err)
		}
	}
	// Who did not sign is told nothing of the body.
	d := signed(t, secretA, "1", now, `{}`)
	d.Body = []byte(`{"a":1,"A":2}`)
	if _, err := adapter(t, secretA).Authenticate(d, now); status(err) != http.StatusUnauthorized {
		t.Errorf("a forged, ambiguous body: %v", err)
	}
}

// vector is a delivery as another implementation signed it.
type vector struct {
	Secret  string            `json:"secret"`
	Headers map[string]string `json:"headers"`
}

func readVector(t *testing.T, path string) (vector, source.Delivery) {
	t.Helper()
	var v vector
	raw, err := os.ReadFile(strings.TrimSuffix(path, ".json") + ".headers.json")
	if err == nil {
		err = json.Unmarshal(raw, &v)
	}
	body, bodyErr := os.ReadFile(path)
	if err := errors.Join(err, bodyErr); err != nil {
		t.Fatal(err)
	}
	d := source.Delivery{Source: "mdm", Header: http.Header{}, Body: body}
	for name, value := range v.Headers {
		d.Header.Set(name, value)
	}
	return v, d
}

func sentAt(t *testing.T, d source.Delivery) time.Time {
	t.Helper()
	seconds, err := strconv.ParseInt(d.Header.Get(standard.HeaderTimestamp), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Unix(seconds, 0)
}

// The vector in testdata was signed by Python's hmac, not by this package.
func TestVectorOfAnotherImplementation(t *testing.T) {
	v, d := readVector(t, "testdata/vector.json")
	if id, err := adapter(t, v.Secret).Authenticate(d, sentAt(t, d)); err != nil || id != v.Headers[standard.HeaderID] {
		t.Errorf("id %q, %v", id, err)
	}
	if _, err := adapter(t, secretA).Authenticate(d, sentAt(t, d)); status(err) != http.StatusUnauthorized {
		t.Errorf("another secret: %v", err)
	}
}

// The published deliveries, where the folder with them lies beside the repository.
func TestPublishedSamples(t *testing.T) {
	dir := filepath.Join(moduleRoot(t), "..", "shared", "samples", "standard_webhooks")
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err == nil && len(files) == 0 {
		t.Fatalf("%s is there and has no deliveries", dir)
	}
	for _, path := range files {
		if strings.HasSuffix(path, ".headers.json") {
			continue
		}
		body, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		a := adapter(t, secretA)
		if _, err := a.Authenticate(signed(t, secretA, "1", now, string(body)), now); err != nil {
			t.Errorf("%s, signed by us: %v", path, err)
		}
		if observations, err := a.Observe(source.Delivery{Source: "mdm", Body: body}); err == nil {
			t.Errorf("%s is no posture and was read as %+v", path, observations)
		}
		if _, err := os.Stat(strings.TrimSuffix(path, ".json") + ".headers.json"); err != nil {
			continue
		}
		v, d := readVector(t, path)
		if v.Secret == "" { // its secret was never published: only a forger's view
			if _, err := a.Authenticate(d, sentAt(t, d)); status(err) != http.StatusUnauthorized {
				t.Errorf("%s: %v", path, err)
			}
			continue
		}
		if id, err := adapter(t, v.Secret).Authenticate(d, sentAt(t, d)); err != nil || id != v.Headers[standard.HeaderID] {
			t.Errorf("%s: id %q, %v", path, id, err)
		}
	}
}

func moduleRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if filepath.Dir(dir) == dir {
			t.Fatal("no go.mod above the working directory")
		}
		dir = filepath.Dir(dir)
	}
}
