package ssf_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

type object = map[string]any

const (
	caepURI = "https://schemas.openid.net/secevent/caep/event-type/"
	riscURI = "https://schemas.openid.net/secevent/risc/event-type/"
	ssfURI  = "https://schemas.openid.net/secevent/ssf/event-type/"
	oktaURI = "https://schemas.okta.com/secevent/okta/event-type/"
)

var (
	rsaKey    = sync.OnceValue(func() *rsa.PrivateKey { return newRSA(2048) })
	otherRSA  = sync.OnceValue(func() *rsa.PrivateKey { return newRSA(2048) })
	weakRSA   = sync.OnceValue(func() *rsa.PrivateKey { return newRSA(1024) })
	audience  = "https://hooks.acme.example/ssf"
	pushToken = "push-token-of-the-test"
)

func newRSA(bits int) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return key
}

// transmitter is a small SSF 1.0 transmitter over HTTP: metadata, keys, streams, status, subjects, verification, push and poll.
type transmitter struct {
	t      testing.TB
	server *httptest.Server

	mu        sync.Mutex
	streams   map[string]object
	status    map[string]string
	subjects  []string
	token     string // the bearer token that counts now
	grants    int
	made      int
	deleted   int
	calls     []string
	queue     []string // jti of SETs to be polled, in order
	sets      map[string]string
	acked     map[string]bool
	refused   map[string]string // jti: err
	holdBack  bool              // verifications are queued and not sent
	states    []string
	wrong     func(path string, w http.ResponseWriter) bool // answers instead
	metadata  object                                        // what differs
	streamIss string
	redeliver bool // acknowledged SETs come again
}

func newTransmitter(t testing.TB) *transmitter {
	t.Helper()
	tr := &transmitter{t: t, streams: map[string]object{}, status: map[string]string{}, sets: map[string]string{},
		acked: map[string]bool{}, refused: map[string]string{}, metadata: object{}, token: "t1"}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/ssf-configuration/tenant", tr.serveMetadata)
	mux.HandleFunc("GET /jwks", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, 200, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: rsaKey().Public(), KeyID: "k1", Use: "sig", Algorithm: "RS256"}}})
	})
	mux.HandleFunc("POST /token", tr.serveToken)
	mux.HandleFunc("/stream", tr.authorized(tr.serveStream))
	mux.HandleFunc("GET /status", tr.authorized(func(w http.ResponseWriter, r *http.Request) {
		id := r.URL.Query().Get("stream_id")
		writeJSON(w, 200, object{"stream_id": id, "status": tr.status[id]})
	}))
	mux.HandleFunc("POST /status", tr.authorized(tr.serveStatus))
	mux.HandleFunc("POST /verify", tr.authorized(tr.serveVerify))
	for _, path := range []string{"/subject:add", "/subject:remove"} {
		mux.HandleFunc("POST "+path, tr.authorized(func(w http.ResponseWriter, r *http.Request) {
			raw, _ := io.ReadAll(r.Body)
			tr.subjects = append(tr.subjects, path+" "+string(raw))
			w.WriteHeader(http.StatusOK)
		}))
	}
	mux.HandleFunc("POST /poll", tr.authorized(tr.servePoll))
	tr.server = httptest.NewServer(mux)
	t.Cleanup(tr.server.Close)
	tr.streamIss = tr.issuer()
	return tr
}

func (tr *transmitter) issuer() string { return tr.server.URL + "/tenant" }

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}

func (tr *transmitter) serveMetadata(w http.ResponseWriter, _ *http.Request) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	base := tr.server.URL
	m := object{"spec_version": "1_0", "issuer": tr.issuer(), "jwks_uri": base + "/jwks",
		"delivery_methods_supported": []string{"urn:ietf:rfc:8935", "urn:ietf:rfc:8936"}, "configuration_endpoint": base + "/stream",
		"status_endpoint": base + "/status", "verification_endpoint": base + "/verify",
		"add_subject_endpoint": base + "/subject:add", "remove_subject_endpoint": base + "/subject:remove"}
	maps.Copy(m, tr.metadata)
	writeJSON(w, 200, m)
}

func (tr *transmitter) serveToken(w http.ResponseWriter, r *http.Request) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	id, secret, _ := r.BasicAuth()
	if id != "me" || secret != "s3cret" || r.FormValue("grant_type") != "client_credentials" {
		writeJSON(w, 401, object{"error": "invalid_client"})
		return
	}
	tr.grants++
	writeJSON(w, 200, object{"access_token": tr.token, "token_type": "Bearer", "expires_in": 3600})
}

// authorized holds the lock while a request is served.
func (tr *transmitter) authorized(serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		tr.calls = append(tr.calls, r.Method+" "+r.URL.Path)
		if tr.wrong != nil && tr.wrong(r.URL.Path, w) {
			return
		}
		if r.Header.Get("Authorization") != "Bearer "+tr.token {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		serve(w, r)
	}
}

func (tr *transmitter) serveStream(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("stream_id")
	var body object
	_ = json.NewDecoder(r.Body).Decode(&body)
	if given, ok := body["stream_id"].(string); ok {
		id = given
	}
	stream, found := tr.streams[id]
	switch {
	case r.Method == http.MethodPost:
		tr.made++
		id = "stream-" + strings.Repeat("x", tr.made)
		stream = object{"stream_id": id, "iss": tr.streamIss, "aud": []string{audience, "https://other.example"}}
		tr.streams[id], tr.status[id] = tr.filled(stream, body), "enabled"
		writeJSON(w, http.StatusCreated, stream)
	case r.Method == http.MethodGet && id == "":
		writeJSON(w, 200, slices.Collect(maps.Values(tr.streams)))
	case !found:
		w.WriteHeader(http.StatusNotFound)
	case r.Method == http.MethodGet:
		writeJSON(w, 200, stream)
	case r.Method == http.MethodPut: // what is not said is none
		stream = object{"stream_id": id, "iss": stream["iss"], "aud": stream["aud"]}
		fallthrough
	case r.Method == http.MethodPatch:
		tr.streams[id] = tr.filled(stream, body)
		writeJSON(w, 200, stream)
	case r.Method == http.MethodDelete:
		delete(tr.streams, id)
		tr.deleted++
		w.WriteHeader(http.StatusNoContent)
	}
}

func (tr *transmitter) filled(stream, body object) object {
	maps.Copy(stream, body)
	delivery, _ := stream["delivery"].(object)
	if delivery["method"] == "urn:ietf:rfc:8936" {
		delivery["endpoint_url"] = tr.server.URL + "/poll"
	}
	stream["events_delivered"] = stream["events_requested"]
	return stream
}

// serveStatus has the receiver change the status.
func (tr *transmitter) serveStatus(w http.ResponseWriter, r *http.Request) {
	var body struct {
		ID     string `json:"stream_id"`
		Status string `json:"status"`
		Reason string `json:"reason"`
	}
	_ = json.NewDecoder(r.Body).Decode(&body)
	if _, found := tr.streams[body.ID]; !found {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	tr.status[body.ID] = body.Status
	writeJSON(w, 200, object{"stream_id": body.ID, "status": body.Status, "reason": body.Reason})
}

func (tr *transmitter) serveVerify(w http.ResponseWriter, r *http.Request) {
	var body struct {
		ID    string `json:"stream_id"`
		State string `json:"state"`
	}
	_ = json.NewDecoder(r.Body).Decode(&body)
	tr.states = append(tr.states, body.State)
	w.WriteHeader(http.StatusNoContent)
	if tr.holdBack {
		return
	}
	set := tr.sign(tr.verification(body.ID, body.State))
	if tr.polled(body.ID) {
		tr.enqueue(set)
		return
	}
	go tr.push(body.ID, set)
}

func (tr *transmitter) polled(id string) bool {
	delivery, _ := tr.streams[id]["delivery"].(object)
	return delivery["method"] == "urn:ietf:rfc:8936"
}

// verification is a verification event; state "" is left out, as when nobody asked.
func (tr *transmitter) verification(id, state string) object {
	event := object{}
	if state != "" {
		event["state"] = state
	}
	return tr.set(ssfURI+"verification", event, object{"format": "opaque", "id": id})
}

// set are the claims of a good SET.
func (tr *transmitter) set(uri string, event, subject object) object {
	claims := object{"iss": tr.issuer(), "aud": audience, "iat": time.Now().Unix(), "jti": rand.Text(),
		"events": object{uri: event}}
	if subject != nil {
		claims["sub_id"] = subject
	}
	return claims
}

func (tr *transmitter) sign(claims object) string { return signAs(rsaKey(), jose.RS256, nil, claims) }

// signAs signs claims with header members in place of the usual ones; nil takes one away.
func signAs(key any, algorithm jose.SignatureAlgorithm, header, claims object) string {
	options := (&jose.SignerOptions{}).WithType("secevent+jwt").WithHeader("kid", "k1")
	for name, value := range header {
		if value == nil {
			delete(options.ExtraHeaders, jose.HeaderKey(name))
			continue
		}
		options.WithHeader(jose.HeaderKey(name), value)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, options)
	if err != nil {
		panic(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		panic(err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return compact
}

// push sends a SET to where the stream is pushed; the answer's err is that of RFC 8935.
func (tr *transmitter) push(id, set string) (status int, code string) {
	tr.mu.Lock()
	delivery, _ := tr.streams[id]["delivery"].(object)
	endpoint, _ := delivery["endpoint_url"].(string)
	authorization, _ := delivery["authorization_header"].(string)
	tr.mu.Unlock()
	req, err := http.NewRequestWithContext(tr.t.Context(), http.MethodPost, endpoint, strings.NewReader(set))
	if err != nil {
		return 0, err.Error()
	}
	req.Header.Set("Content-Type", "application/secevent+jwt")
	req.Header.Set("Accept", "application/json")
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	response, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	raw, _ := io.ReadAll(response.Body)
	if response.StatusCode == http.StatusAccepted {
		if len(raw) > 0 {
			tr.t.Errorf("202 with the body %q", raw)
		}
		return response.StatusCode, ""
	}
	var answer struct{ Err, Description string }
	if response.StatusCode == http.StatusBadRequest && (json.Unmarshal(raw, &answer) != nil || answer.Description == "" ||
		response.Header.Get("Content-Type") != "application/json" || response.Header.Get("Content-Language") == "") {
		tr.t.Errorf("%d with %q, %v is no answer of RFC 8935", response.StatusCode, raw, response.Header)
	}
	return response.StatusCode, answer.Err
}

// enqueue is called with the lock held.
func (tr *transmitter) enqueue(set string) string {
	id := jtiOf(set)
	tr.sets[id] = set
	tr.queue = append(tr.queue, id)
	return id
}

func jtiOf(set string) string {
	parts := strings.Split(set, ".")
	var claims struct{ Jti string }
	if len(parts) > 1 {
		_ = json.Unmarshal(decode(parts[1]), &claims)
	}
	if claims.Jti == "" {
		return "broken-" + rand.Text()
	}
	return claims.Jti
}

func (tr *transmitter) servePoll(w http.ResponseWriter, r *http.Request) {
	var body struct {
		MaxEvents         *int                         `json:"maxEvents"`
		ReturnImmediately bool                         `json:"returnImmediately"`
		Ack               []string                     `json:"ack"`
		SetErrs           map[string]map[string]string `json:"setErrs"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		tr.t.Errorf("poll: %v", err)
	}
	for _, id := range body.Ack {
		tr.acked[id] = true
		if !tr.redeliver {
			delete(tr.sets, id)
		}
		tr.redeliver = false
	}
	for id, e := range body.SetErrs {
		tr.refused[id] = e["err"]
		delete(tr.sets, id)
	}
	most := 3
	if body.MaxEvents != nil {
		most = min(most, *body.MaxEvents)
	}
	answer, more := map[string]string{}, false
	for _, id := range tr.queue {
		set, waiting := tr.sets[id]
		switch {
		case !waiting:
		case len(answer) < most:
			answer[id] = set
		default:
			more = true
		}
	}
	tr.queue = slices.DeleteFunc(tr.queue, func(id string) bool { _, waiting := tr.sets[id]; return !waiting })
	writeJSON(w, 200, object{"sets": answer, "moreAvailable": more})
}
