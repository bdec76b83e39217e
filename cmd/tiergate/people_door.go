package main

import (
	"context"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/tiergate/tiergate/authz/approvals"
)

// callerKey finds who sent a request in its context.
type callerKey struct{}

// callerOf is who the door let in.
func callerOf(req *http.Request) (approvals.Caller, error) {
	who, ok := req.Context().Value(callerKey{}).(approvals.Caller)
	if !ok {
		return approvals.Caller{}, errors.New("nobody was asked who they are")
	}
	return who, nil
}

// door lets those in who are known. Browsers are refused, whatever they bring along: a page could have one send what its
// user's certificate then stands for (cross-site request forgery), so what only browsers send, or could send without being
// asked for leave (a body that is not JSON), is not taken.
func (p *people) door(inside http.Handler) http.Handler {
	rates := newRates(p.settings.Rate, p.now)
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if !rates.take(req.RemoteAddr) {
			w.Header().Set("Retry-After", "1")
			refuseProblem(w, http.StatusTooManyRequests, "this address sends more requests than ingest.approvals.rate allows")
			return
		}
		if status, why := unwanted(req); why != "" {
			p.told(false, "", why)
			refuseProblem(w, status, why)
			return
		}
		who, err := p.caller(req)
		if err != nil {
			p.told(false, "", err.Error())
			p.challenge(w, req, err)
			return
		}
		p.told(true, who.String(), "")
		req.Body = http.MaxBytesReader(w, req.Body, maxOrder)
		inside.ServeHTTP(w, req.WithContext(context.WithValue(req.Context(), callerKey{}, who)))
	})
}

// browserOnly are headers that nobody sends but browsers (Fetch, sections 3.1 and 3.2; Fetch Metadata Request Headers).
var browserOnly = []string{"Origin", "Cookie", "Sec-Fetch-Site", "Sec-Fetch-Mode"}

// unwanted says why a request is not looked at; empty: it is.
func unwanted(req *http.Request) (status int, why string) {
	for _, name := range browserOnly {
		if _, there := req.Header[name]; there {
			return http.StatusForbidden, "a browser sent this (" + name + "); use tiergate's own verbs with --server"
		}
	}
	switch req.Method {
	case http.MethodGet:
		return 0, ""
	case http.MethodPost:
	default:
		return http.StatusMethodNotAllowed, "only GET and POST are served here"
	}
	kind, _, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" || len(req.Header["Content-Type"]) != 1 {
		return http.StatusUnsupportedMediaType, "send Content-Type: application/json"
	}
	return 0, ""
}

// refuseProblem answers with problem details (RFC 9457). The member error is for tiergate's own verbs, which read it
// everywhere.
func refuseProblem(w http.ResponseWriter, status int, detail string) {
	raw, err := json.Marshal(map[string]any{"type": "about:blank", "title": http.StatusText(status), "status": status,
		"detail": detail, "error": detail})
	if err != nil {
		status = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = w.Write(append(raw, '\n')) // the reader went away; there is nobody to tell
}

// challenge refuses who is not known, and says how they could be (RFC 9110, section 11.6.1; RFC 6750, section 3). What was
// wrong with a token is told: it holds no secret, and who approves has to know that it is a token's age or audience. Where no
// token counts there is no challenge that could be met, and the answer is 403.
func (p *people) challenge(w http.ResponseWriter, req *http.Request, err error) {
	if p.tokens == nil {
		refuseProblem(w, http.StatusForbidden, err.Error())
		return
	}
	text := `Bearer realm="tiergate approvals"`
	if req.Header.Get("Authorization") != "" {
		text += `, error="invalid_token"`
	}
	w.Header().Set("WWW-Authenticate", text)
	refuseProblem(w, http.StatusUnauthorized, err.Error())
}

// maxRates bounds the addresses whose rate is kept.
const maxRates = 4096

// rates bounds the requests of each address (of IPv6, each /64): a bucket of three seconds' worth.
type rates struct {
	perSecond float64
	now       func() time.Time

	mu  sync.Mutex
	all map[netip.Prefix]*bucket
}

type bucket struct {
	left float64
	at   time.Time
}

func newRates(perSecond int, now func() time.Time) *rates {
	return &rates{perSecond: float64(perSecond), now: now, all: map[netip.Prefix]*bucket{}}
}

// take tells whether one more request of a peer may be looked at.
func (r *rates) take(remote string) bool {
	from := prefixOf(remote)
	r.mu.Lock()
	defer r.mu.Unlock()
	now, most := r.now(), 3*r.perSecond
	b := r.all[from]
	if b == nil {
		if len(r.all) >= maxRates {
			r.forget(now, most)
		}
		if len(r.all) >= maxRates { // so many at once share what nobody has
			return false
		}
		b = &bucket{left: most, at: now}
		r.all[from] = b
	}
	b.left = min(most, b.left+r.perSecond*now.Sub(b.at).Seconds())
	b.at = now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}

// forget drops the buckets that are full again.
func (r *rates) forget(now time.Time, most float64) {
	for from, b := range r.all {
		if b.left+r.perSecond*now.Sub(b.at).Seconds() >= most {
			delete(r.all, from)
		}
	}
}

// prefixOf is where a peer is; the zero Prefix where that cannot be told.
func prefixOf(remote string) netip.Prefix {
	address, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	ip, bits := address.Addr().Unmap().WithZone(""), 32
	if ip.Is6() {
		bits = 64
	}
	prefix, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}
