package main

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals/ingest"
	"github.com/tiergate/tiergate/signals/source"
)

// planted begins every secret that this file plants, so that it is found wherever it ends up.
const planted = "PLANTED"

// shown is all that was kept or said, by where.
type shown map[string]string

var encoded = regexp.MustCompile(`[A-Za-z0-9+/_-]{16,}={0,2}`)

// leaks are the places where one of the secrets stands: as it is, or inside of what base64 hides.
func (s shown) leaks(secrets []string) []string {
	var found []string
	for place, text := range s {
		texts := []string{text}
		for depth := 0; depth < len(texts) && depth < 10_000; depth++ {
			for _, run := range encoded.FindAllString(texts[depth], -1) {
				for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
					if raw, err := e.DecodeString(strings.TrimRight(run, "=")); err == nil {
						texts = append(texts, string(raw))
					}
				}
			}
		}
		for _, secret := range secrets {
			if slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(text, secret) }) {
				found = append(found, fmt.Sprintf("%s: %.300s", place, text))
				break
			}
		}
	}
	slices.Sort(found)
	return found
}

// TestNoCredentialIsKept: deliveries to every type of source, authentic and not, with secrets wherever a sender can put one; then
// nothing that the receiver ever wrote, said or logged has any of them.
func TestNoCredentialIsKept(t *testing.T) {
	t.Parallel()
	nobody := httptest.NewServer(http.NotFoundHandler())
	defer nobody.Close()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	settings := credentialSettings(t, nobody.URL, key)
	o, log := observerInto(t)
	rig := openReceiver(t, everySource(t, settings, o), o.ingest())
	said, secrets := shown{}, []string{planted}
	send := func(what, path string, header http.Header, body string, want int) {
		t.Helper()
		all := http.Header{"Cookie": {"session=" + planted}, "X-Api-Key": {planted + "-not-asked-for"}, "Proxy-Authorization": {"Bearer " + planted},
			"Referer": {"https://mdm.example/?token=" + planted}}
		maps.Copy(all, header)
		answer := rig.post(t, path, all, body)
		text, _ := io.ReadAll(answer.Body)
		if answer.StatusCode != want {
			t.Errorf("%s is answered %d %s, not %d", what, answer.StatusCode, text, want)
		}
		said["the answer to "+what] = fmt.Sprint(answer.Header, string(text))
	}
	accepted := []string{"ssf"}
	for _, s := range senders() {
		secret, guess, path := secretOf(s.kind), planted+"-guess-0123456789abcdef0123456789", "/v1/sources/"+s.kind
		if s.prepare == nil {
			send(s.kind+" in the name of a vendor that sends nothing", path+"?secret="+guess, byHeaderOf("Authorization", "Bearer "+guess), `{"a":1}`, 401)
			continue
		}
		body := `{"event":"of nobody"}`
		if s.kind == "osquery" {
			send("osquery that enrols with a guess", path, nil, `{"enroll_secret":"`+guess+`","host_details":{"system_info":{"hardware_serial":"C02X"}}}`, 401)
			nodeKey := enrolled(t, rig, path, secret)
			secrets = append(secrets, nodeKey[strings.Index(nodeKey, ".")+1:])
			body = fmt.Sprintf(`{"node_key":%q,"log_type":"result","data":[{"name":"pack_x","decorations":{"a":%q},"snapshot":[{"secret":%q}]},7]}`, nodeKey, nodeKey, secret)
		} else if s.body != nil {
			body = s.body(secret)
		}
		segment, header := s.prepare(secret, body)
		for _, values := range header {
			if len(values[0]) > 30 {
				secrets = append(secrets, values[0])
			}
		}
		query := ""
		if segment == "" {
			query = "?token=" + guess + "&secret=" + guess
		}
		send(s.kind, path+segment+query, header, body, http.StatusAccepted)
		accepted = append(accepted, s.kind)
		send(s.kind+" again", path+segment+query, header, body, http.StatusAccepted)
		if s.kind == "osquery" || s.kind == "intune" { // whose secret is in the body
			send(s.kind+" with a broken body", path, header, body[:len(body)-1]+`,"event":"`+secret+`","event":"`+guess+`"}`,
				map[string]int{"osquery": 400, "intune": 401}[s.kind])
			continue
		}
		segment, header = s.prepare(guess, body)
		send(s.kind+" of somebody else", path+segment+query, header, body, http.StatusUnauthorized)
	}
	sendSETs(t, key, send)
	rig.awaitDealt(t)
	rig.gather(t, said)
	for _, kind := range accepted {
		if _, found := said["dead letter of "+kind]; !found {
			t.Errorf("the delivery of %s is no dead letter", kind)
		}
	}
	said["the metrics"] = exposition(t, o)
	said["the log"] = log.String()
	for _, leak := range said.leaks(secrets) {
		t.Error(leak)
	}
	if !strings.Contains(said["the log"], "dead letter") || !strings.Contains(said["the log"], "delivery refused") {
		t.Error("the log says nothing")
	}
}

// TestCredentialsOfEveryType: the types above are all that there are.
func TestCredentialsOfEveryType(t *testing.T) {
	t.Parallel()
	var types []string
	full, err := os.ReadFile("../../config/testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, sources, _ := strings.Cut(string(full), "\nsources:\n")
	sources, _, _ = strings.Cut(sources, "\nssf:\n")
	for _, m := range regexp.MustCompile(`(?m)^(?:    |  - \{name: .*, )type: ([a-z-]+)`).FindAllStringSubmatch(sources, -1) {
		types = append(types, m[1])
	}
	for _, kind := range types {
		if !slices.ContainsFunc(senders(), func(s sender) bool { return s.kind == kind }) {
			t.Errorf("nothing is planted at a source of type %s", kind)
		}
	}
	if len(types) < len(senders()) {
		t.Errorf("full.yaml has %d sources: %v", len(types), types)
	}
}

func byHeaderOf(name, value string) http.Header { return http.Header{name: {value}} }

// observerInto is an observer that logs everything into a buffer.
func observerInto(t *testing.T) (*observer, *logBuffer) {
	t.Helper()
	o, err := newObserver(config.Log{Level: "debug", Format: "json"})
	if err != nil {
		t.Fatal(err)
	}
	log := &logBuffer{}
	o.log = zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(log), zapcore.DebugLevel))
	return o, log
}

// everySource makes the sources and transmitters of settings.
func everySource(t *testing.T, settings *config.Settings, o *observer) []ingest.Source {
	t.Helper()
	sources, err := newSources(settings, o.ingest().Inventory.NotApplied)
	if err != nil {
		t.Fatal(err)
	}
	o.experimental(sources)
	shared, err := newTransmitters(settings, o)
	if err != nil {
		t.Fatal(err)
	}
	return append(sources, shared.sources...)
}

// enrolled is the node key that a device is given.
func enrolled(t *testing.T, rig *openedReceiver, path, secret string) string {
	t.Helper()
	answer := rig.post(t, path, nil, `{"enroll_secret":"`+secret+`","host_details":{"system_info":{"hardware_serial":"C02OSQUERY01"}}}`)
	var told struct {
		Key string `json:"node_key"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&told); err != nil || !strings.Contains(told.Key, ".") {
		t.Fatal(told, err)
	}
	_ = answer.Body.Close()
	return told.Key
}

// gather adds what the receiver keeps, and ever kept.
func (r *openedReceiver) gather(t *testing.T, said shown) {
	t.Helper()
	text := func(value any) string {
		raw, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	for _, letter := range r.letters(t) {
		said["dead letter of "+letter.Source] = text(letter) + string(letter.Body)
	}
	statuses, err := r.Sources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	said["source list"] = text(statuses)
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	for i, record := range r.store.written {
		said[fmt.Sprintf("record %d, %s %s", i, record.Kind, record.Key)] = record.Key + " " + string(record.Value)
	}
	said["the postures"] = text(r.store.devices)
}

// exposition is what a scraper reads.
func exposition(t *testing.T, o *observer) string {
	t.Helper()
	w := httptest.NewRecorder()
	o.metrics().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	return w.Body.String()
}

// TestNoCredentialInFaults: a vendor that says back whatever it was sent, in every way that a vendor can fail, has no fault of ours
// repeat it.
func TestNoCredentialInFaults(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for what, fail := range map[string]func(w http.ResponseWriter, all string){
		"401": func(w http.ResponseWriter, _ string) { w.WriteHeader(http.StatusUnauthorized) },
		"400": func(w http.ResponseWriter, _ string) { w.WriteHeader(http.StatusBadRequest) },
		"500": func(w http.ResponseWriter, _ string) { w.WriteHeader(http.StatusInternalServerError) },
		"429": func(w http.ResponseWriter, _ string) {
			w.Header().Set("Retry-After", planted)
			w.WriteHeader(http.StatusTooManyRequests)
		},
		"no JSON":       func(http.ResponseWriter, string) {},
		"another shape": func(w http.ResponseWriter, all string) { _ = json.NewEncoder(w).Encode(map[string]string{"was": all}) },
		"a list":        func(w http.ResponseWriter, all string) { _ = json.NewEncoder(w).Encode([]string{all}) },
		"a redirect": func(w http.ResponseWriter, all string) {
			w.Header().Set("Location", "https://elsewhere.example/"+base64.RawURLEncoding.EncodeToString([]byte(all)))
			w.WriteHeader(http.StatusFound)
		},
		"a link": func(w http.ResponseWriter, all string) {
			link := "https://elsewhere.example/?" + base64.RawURLEncoding.EncodeToString([]byte(all))
			w.Header().Set("Link", "<"+link+`>; rel="next"`)
			_ = json.NewEncoder(w).Encode(map[string]any{"value": []any{}, "@odata.nextLink": link, "next": link})
		},
	} {
		for _, login := range []bool{false, true} { // whether it fails at the login already
			t.Run(fmt.Sprintf("%s, login %t", what, login), func(t *testing.T) {
				t.Parallel()
				vendor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					body, _ := io.ReadAll(r.Body)
					if strings.HasSuffix(r.URL.Path, "/token") && !login {
						fmt.Fprintf(w, `{"access_token":%q,"expires_in":3600}`, planted+"-access-token")
						return
					}
					all := fmt.Sprint(r.Header, r.URL, string(body))
					fail(w, all)
					_, _ = io.WriteString(w, all)
				}))
				defer vendor.Close()
				settings := credentialSettings(t, vendor.URL, key)
				o, log := observerInto(t)
				said, asked := shown{}, 0
				for _, s := range everySource(t, settings, o) {
					inventory, ok := s.Adapter.(source.Inventory)
					if !ok {
						continue
					}
					asked++
					page, err := inventory.Page(t.Context(), "")
					_, of := inventory.Device(t.Context(), "17")
					said[s.Name] = fmt.Sprint(page, err, of)
				}
				said["the log"] = log.String()
				for _, leak := range said.leaks([]string{planted}) {
					t.Error(leak)
				}
				if asked < 9 {
					t.Errorf("only %d vendors were asked", asked)
				}
			})
		}
	}
}
