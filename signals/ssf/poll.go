package ssf

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"
)

// pollRequest is RFC 8936 section 2.2.
type pollRequest struct {
	MaxEvents         *int                 `json:"maxEvents,omitempty"`
	ReturnImmediately bool                 `json:"returnImmediately"`
	Ack               []string             `json:"ack,omitempty"`
	Errors            map[string]pollError `json:"setErrs,omitempty"`
}

type pollError struct {
	Code        Code   `json:"err"`
	Description string `json:"description"`
}

// pollAnswer is RFC 8936 section 2.3.
type pollAnswer struct {
	SETs map[string]string `json:"sets"` // by jti
	More bool              `json:"moreAvailable"`
}

// kolideHeader is where Kolide wants its token (captured, and not RFC 8936).
const kolideHeader = "X-Kolide-Poll-Bearer-Token"

// verdicts are what is to be said of SETs with the next request; they are kept until a request has brought them over.
type verdicts struct {
	ack    []string
	errors map[string]pollError
}

func (v *verdicts) empty() bool { return len(v.ack) == 0 && len(v.errors) == 0 }

// poll asks for SETs until ctx ends or the transmitter fails. A SET is acknowledged with the next request, and only if it is
// durable; what could not be kept is neither acknowledged nor refused, so that it comes again.
func (m *Manager) poll(ctx context.Context, endpoint string) error {
	if endpoint == "" {
		return errors.New("the stream names no endpoint to poll; set poll.url")
	}
	var said verdicts
	for ctx.Err() == nil {
		answer, err := m.askForSETs(ctx, endpoint, said)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("polling: %w", err)
		}
		m.change(func(s *Status) { s.LastPoll, s.Fault = time.Now().Round(0).UTC(), "" })
		var left int
		said, left = m.keepAll(ctx, answer.SETs)
		if len(answer.SETs) > 0 {
			m.o.Told.Polled(len(said.ack), len(said.errors), left)
		}
		if left > 0 || said.empty() && !answer.More { // else at once: it waits for our word
			wait := m.o.Poll.Every
			if left > 0 {
				wait = max(wait, firstRetry)
			}
			if m.pause(ctx, wait) {
				m.look()
				return m.lastWord(ctx, endpoint, said)
			}
		}
	}
	return m.lastWord(context.WithoutCancel(ctx), endpoint, said)
}

// lastWord acknowledges what is durable, without asking for more; nothing is lost if it does not arrive.
func (m *Manager) lastWord(ctx context.Context, endpoint string, said verdicts) error {
	if said.empty() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	none := 0
	return m.send(ctx, endpoint, pollRequest{MaxEvents: &none, ReturnImmediately: true, Ack: said.ack, Errors: said.errors}, nil)
}

func (m *Manager) askForSETs(ctx context.Context, endpoint string, said verdicts) (pollAnswer, error) {
	var answer pollAnswer
	if m.o.Poll.Kolide {
		if !said.empty() {
			if err := m.send(ctx, endpoint, pollRequest{Ack: said.ack, Errors: said.errors, ReturnImmediately: true}, nil); err != nil {
				return answer, err
			}
		}
		err := m.client.do(ctx, call{method: http.MethodGet, url: endpoint, header: m.pollHeader(), anonymous: m.o.Poll.Token != "",
			within: pollWithin}, &answer)
		return answer, err
	}
	most := m.o.Poll.Max
	err := m.send(ctx, endpoint, pollRequest{MaxEvents: &most, ReturnImmediately: false, Ack: said.ack, Errors: said.errors}, &answer)
	return answer, err
}

func (m *Manager) send(ctx context.Context, endpoint string, body pollRequest, answer any) error {
	return m.client.do(ctx, call{method: http.MethodPost, url: endpoint, body: body, header: m.pollHeader(),
		anonymous: m.o.Poll.Token != "", within: pollWithin}, answer)
}

func (m *Manager) pollHeader() http.Header {
	if m.o.Poll.Token == "" {
		return nil
	}
	return http.Header{kolideHeader: {m.o.Poll.Token}}
}

// keepAll makes SETs durable, and tells how many could not be.
func (m *Manager) keepAll(ctx context.Context, sets map[string]string) (said verdicts, left int) {
	said.errors = map[string]pollError{}
	for _, id := range slices.Sorted(maps.Keys(sets)) {
		raw := []byte(sets[id])
		err := m.o.Keep(ctx, raw)
		fault, refused := errors.AsType[*Fault](err)
		switch {
		case err == nil:
			said.ack = append(said.ack, id)
		case refused:
			said.errors[id] = pollError{Code: fault.Code, Description: fault.Description()}
		default:
			left++
		}
	}
	return said, left
}
