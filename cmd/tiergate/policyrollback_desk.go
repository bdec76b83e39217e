package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tiergate/tiergate/cmd/tiergate/admin"
)

const (
	maxReasonBytes = 1000
	maxTicketBytes = 200
	maxOrderBytes  = 16 << 10
	// orderWithin bounds an order: the policy may be changing just now, and Envoy be asked about it.
	orderWithin = 55 * time.Second
	// recordWithin is how long the answer waits for the evidence.
	recordWithin = 3 * time.Second
)

// What an answer says of the record of a change.
const (
	recordKept  = "on record"
	recordWaits = "not on record yet: the evidence file is not written just now"
	recordLost  = "not on record: the evidence file cannot be written"
	recordNone  = "not on record: no decisions are recorded (evidence.file)"
)

// wordsFault says what is wrong with a reason or ticket. They are printed and logged, and must stay in their line.
func wordsFault(what, text string, most int) error {
	switch {
	case len(text) > most:
		return fmt.Errorf("the %s has %d bytes; write at most %d", what, len(text), most)
	case !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("the %s has characters that cannot be printed: write one line of text", what)
	}
	return nil
}

func orderFault(o *admin.PolicyOrder) error {
	if err := wordsFault("reason", o.Reason, maxReasonBytes); err != nil {
		return err
	}
	return wordsFault("ticket", o.Ticket, maxTicketBytes)
}

// showPolicies serves the history and takes orders.
func (r *reloader) showPolicies(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/policy/history", func(w http.ResponseWriter, _ *http.Request) {
		admin.Answer(w, http.StatusOK, r.history.list(r.policyStatus().Digest))
	})
	mux.HandleFunc("POST /v1/policy/rollback", func(w http.ResponseWriter, req *http.Request) { r.order(w, req, false) })
	mux.HandleFunc("POST /v1/policy/release", func(w http.ResponseWriter, req *http.Request) { r.order(w, req, true) })
}

// order passes an order to run and answers with what came of it.
func (r *reloader) order(w http.ResponseWriter, req *http.Request, release bool) {
	o := &policyOrder{release: release, answer: make(chan policyAnswer, 1)}
	decoder := json.NewDecoder(http.MaxBytesReader(w, req.Body, maxOrderBytes))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&o.PolicyOrder)
	if err == nil {
		err = orderFault(&o.PolicyOrder)
	}
	switch {
	case err != nil:
	case release && o.Digest != "":
		err = errors.New("a release names no digest")
	case !release && strings.TrimSpace(o.Reason) == "":
		err = errors.New("say why: a rollback needs a reason")
	}
	if err != nil {
		admin.Refuse(w, http.StatusBadRequest, "the order is not understood: "+err.Error())
		return
	}
	var known bool
	if o.by, known = admin.Peer(req.Context()); !known {
		admin.Refuse(w, http.StatusForbidden, "the kernel does not say who asks, and a change of the policy needs a name; "+
			"ask over the admin socket")
		return
	}
	// Asking Envoy takes longer than other answers may.
	_ = admin.Grant(w, orderWithin+recordWithin+time.Second)
	ctx, cancel := context.WithTimeout(req.Context(), orderWithin)
	defer cancel()
	select {
	case r.orders <- o:
	case <-ctx.Done():
		admin.Refuse(w, http.StatusServiceUnavailable, "nothing was changed: a change of the policy is under way; ask again")
		return
	}
	select {
	case answer := <-o.answer:
		r.settle(w, answer)
	case <-ctx.Done():
		admin.Refuse(w, http.StatusGatewayTimeout, "it takes long, and may still come into force: see `tiergate policy history`")
	}
}

// settle answers once it is clear whether the change is on record.
func (r *reloader) settle(w http.ResponseWriter, answer policyAnswer) {
	if answer.err != nil {
		admin.Refuse(w, http.StatusConflict, answer.err.Error())
		return
	}
	answer.move.Record = recordNone
	if receipt := answer.receipt; receipt != nil {
		answer.move.Record = recordWaits
		select {
		case <-receipt.Done():
			answer.move.Record = recordLost
			if receipt.Kept() {
				answer.move.Record = recordKept
			}
		case <-time.After(recordWithin):
		}
	}
	admin.Answer(w, http.StatusOK, answer.move)
}
