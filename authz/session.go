package authz

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
)

// maxSessionWords bounds what is remembered of one session: a token has one acr and at most 32 amr, and sessions change
// them seldom. A word too many is taken to have been there from the beginning.
const maxSessionWords = 64

// session is what is remembered of a session, as it stands in the store: when it, and each word that it proved, was first
// seen, in ns since 1970. The zero session has not been seen. One that others may read is not modified any more.
type session struct {
	First int64            `json:"first"`
	ACR   map[string]int64 `json:"acr,omitempty"`
	AMR   map[string]int64 `json:"amr,omitempty"`
}

// readSession reads what bytes wrote; nothing is the zero session. It is strict: what cannot be read is not taken for a
// session that is new.
func readSession(value []byte) (*session, error) {
	s := &session{}
	if len(value) == 0 {
		return s, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(value))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(s); err != nil {
		return nil, fmt.Errorf("what is stored of the session cannot be read; it was not written by this version: %w", err)
	}
	if decoder.More() {
		return nil, errors.New("what is stored of the session goes on after its end; it was not written by this version")
	}
	if s.First <= 0 || len(s.ACR)+len(s.AMR) > 2*maxSessionWords {
		return nil, fmt.Errorf("what is stored of the session says first seen at %d and has %d words", s.First, len(s.ACR)+len(s.AMR))
	}
	return s, nil
}

// bytes is the form in the store: maps are written in the order of their keys.
func (s *session) bytes() []byte {
	raw, err := json.Marshal(s)
	if err != nil {
		panic(err) // numbers and texts
	}
	return raw
}

// provenBy is until when what a token proves, which came at an instant, was proven at the latest: when it was issued.
func provenBy(user *identity.User, at time.Time) time.Time {
	if issued := user.Issued; !issued.IsZero() && issued.Before(at) {
		return issued
	}
	return at
}

// note takes in a token of the session that came at an instant.
func (s *session) note(user *identity.User, at time.Time) {
	ns := max(provenBy(user, at).UnixNano(), 1)
	if s.First == 0 || ns < s.First {
		s.First = ns
	}
	if user.ACR != "" {
		s.word(&s.ACR, user.ACR, ns)
	}
	for _, method := range user.AMR {
		s.word(&s.AMR, method, ns)
	}
}

func (s *session) word(words *map[string]int64, word string, ns int64) {
	was, known := (*words)[word]
	switch {
	case known && was <= ns, !known && len(s.ACR)+len(s.AMR) >= maxSessionWords:
		return
	case *words == nil:
		*words = map[string]int64{}
	}
	(*words)[word] = ns
}

// join takes in what is known elsewhere of the same session: of each instant the earlier.
func (s *session) join(other *session) {
	if s.First == 0 || other.First != 0 && other.First < s.First {
		s.First = other.First
	}
	for word, ns := range other.ACR {
		s.word(&s.ACR, word, ns)
	}
	for word, ns := range other.AMR {
		s.word(&s.AMR, word, ns)
	}
}

// of is when what a user's token says was first seen. What another process saw in our future, by a clock that is ahead, was
// seen now.
func (s *session) of(user *identity.User, at time.Time) *identity.FirstSeen {
	instant := func(ns int64) time.Time {
		if ns == 0 {
			ns = s.First // a word too many
		}
		return time.Unix(0, max(min(ns, at.UnixNano()), 1)).UTC()
	}
	seen := &identity.FirstSeen{Session: instant(s.First)}
	if user.ACR != "" {
		seen.ACR = instant(s.ACR[user.ACR])
	}
	for _, method := range user.AMR {
		seen.AMR = append(seen.AMR, instant(s.AMR[method]))
	}
	return seen
}
