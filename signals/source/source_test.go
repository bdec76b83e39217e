package source_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/signals/source"
)

func TestValidID(t *testing.T) {
	for _, id := range []string{"a", "msg_p5jXN8AQM9LWM0D4loKWxJek", "~!", strings.Repeat("x", source.MaxID)} {
		if !source.ValidID(id) {
			t.Errorf("%q is refused", id)
		}
	}
	for _, id := range []string{"", " ", "a b", "a\n", "a\x00", "é", "\x7f", strings.Repeat("x", source.MaxID+1)} {
		if source.ValidID(id) {
			t.Errorf("%q is taken", id)
		}
	}
}

func TestRefusalHasTwoTexts(t *testing.T) {
	inner := errors.New("the operator's text")
	var err error = &source.Refusal{Status: 401, Detail: "the sender's text", Reason: inner}
	if err.Error() != inner.Error() || !errors.Is(err, inner) {
		t.Errorf("the operator reads %q", err)
	}
	if err = (&source.Refusal{Detail: "the sender's text"}); err.Error() != "the sender's text" {
		t.Errorf("without a reason: %q", err)
	}
}
