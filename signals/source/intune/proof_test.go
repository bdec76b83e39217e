package intune_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/intune"
)

// TestValidationTokens: where there are any, each must be good, of change and of lifecycle notifications. 202 without an id:
// Graph is told that all is well, and nothing counts.
func TestValidationTokens(t *testing.T) {
	believes := func(o *intune.Options) {
		o.Token = func(token string, at time.Time) error {
			switch {
			case !at.Equal(now):
				return fmt.Errorf("asked for %s", at)
			case token == "later":
				return fmt.Errorf("%w: down", intune.ErrNotNow)
			case token != "good":
				return errors.New("it is not Microsoft's")
			}
			return nil
		}
	}
	change, lifecycle := `"resource":"users/5d3c2b1a-0000-4041-8041-00000000000a"`, `"lifecycleEvent":"missed"`
	for _, tt := range []struct {
		tokens string // the member validationTokens; "": there is none
		change func(*intune.Options)
		want   int // of the refusal; 0: taken
		why    string
	}{
		{`["good"]`, believes, 0, ""}, {`["good","good"]`, believes, 0, ""},
		{"", believes, 0, ""}, {"null", believes, 0, ""}, {"[]", believes, 0, ""}, {"", nil, 0, ""}, {"null", nil, 0, ""},
		{`["good"]`, nil, 202, "intune.validation"},
		{`["bad"]`, believes, 202, "token 0: it is not Microsoft's"}, {`["good","bad"]`, believes, 202, "token 1"},
		{`[null]`, believes, 202, "appRoleAssignmentRequired"}, {`["good",null]`, believes, 202, "token 1 is null"},
		{`[""]`, believes, 202, "token 0"}, {`["later"]`, believes, 503, "not at hand"}, {`["bad","later"]`, believes, 202, "token 0"},
		{`["good"` + strings.Repeat(`,"good"`, 16) + `]`, believes, 202, "17 validation tokens"},
		{`"good"`, believes, 401, ""}, {`[1]`, believes, 401, ""}, {`{"0":"good"}`, believes, 401, ""},
	} {
		for _, about := range []string{change, lifecycle} {
			body := `{"value":[{"clientState":"` + state + `",` + about + `}]`
			if tt.tokens != "" {
				body += `,"validationTokens":` + tt.tokens
			}
			a, _ := adapter(t, newGraph(t), tt.change)
			d := source.Delivery{Source: "intune", Body: []byte(body + "}"), Received: now, Header: http.Header{}}
			id, err := a.Authenticate(d, now)
			refusal, refused := errors.AsType[*source.Refusal](err)
			if tt.want == 0 && (err != nil || !source.ValidID(id)) ||
				tt.want != 0 && (!refused || refusal.Status != tt.want || id != "" || !strings.Contains(err.Error(), tt.why)) {
				t.Errorf("%s, %s: %q, %+v", about, tt.tokens, id, err)
			}
		}
	}
	// A token helps no notification whose client state is wrong.
	a, _ := adapter(t, newGraph(t), believes)
	body := `{"value":[{"clientState":"guessed",` + change + `}],"validationTokens":["good"]}`
	if id, err := a.Authenticate(source.Delivery{Body: []byte(body), Header: http.Header{}}, now); err == nil {
		t.Errorf("taken as %s", id)
	}
}
