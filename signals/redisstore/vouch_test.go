package redisstore

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// TestVouch switches a store on that was unsealed until now: everything in it counts afterwards, under later revisions, and a
// second time there is nothing to do. What a lost key has signed is signed anew, not twice.
func TestVouch(t *testing.T) {
	t.Parallel()
	live := serve(t)
	raw, ctx := live.open(t, nil), t.Context()
	ours, lost := newKey(t), newKey(t)
	if err := raw.PutPosture(ctx, small("bare", 5), 0); err != nil {
		t.Fatal(err)
	}
	if err := raw.PutRecord(ctx, signals.Record{Kind: "alias", Key: "serial:C02", Revision: 3, Value: []byte("bare")}, 0); err != nil {
		t.Fatal(err)
	}
	expires := time.Now().Add(time.Hour).Round(time.Millisecond).UTC()
	for i, sealer := range []*signals.Sealer{ours, lost} {
		s := signals.Sealed(raw, sealer, sealer.Checker())
		name := []string{"ours", "lost"}[i]
		if err := s.PutPosture(ctx, small(name, 7), 0); err != nil {
			t.Fatal(err)
		}
		if err := s.PutRecord(ctx, signals.Record{Kind: "alias", Key: name, Revision: 4, Expires: expires, Value: []byte(name)}, 0); err != nil {
			t.Fatal(err)
		}
	}
	live.do(t, "SET", postures.valueKey("broken"), "9 what?")
	live.do(t, "ZADD", tag(shardOf("broken"))+"postures", 0, "broken")
	live.do(t, "SET", recordsOf("alias").valueKey("broken"), "9 what?")
	live.do(t, "ZADD", tag(shardOf("broken"))+"records:alias", 0, "broken")

	now := time.Now()
	vouch := func(sign bool, open int) {
		t.Helper()
		v, err := signals.Vouch(ctx, raw, ours, ours.Checker(), []string{"alias", "none"}, now, sign)
		sealed := map[string]int{"posture": 3 - open, "alias": 3 - open}
		if err != nil || v.Unsealed["posture"] != open || v.Unsealed["alias"] != open || !maps.Equal(v.Sealed, sealed) ||
			len(v.Names) != 2*open || len(v.Unreadable) != 2 || len(v.Changed) > 0 {
			t.Errorf("%+v, %v", v, err)
		}
	}
	vouch(false, 2)
	vouch(true, 2)
	vouch(true, 0)
	s := signals.Sealed(raw, ours, ours.Checker())
	for _, name := range []string{"bare", "lost", "ours"} {
		p, err := s.Posture(ctx, signals.DeviceID(name))
		if moved := p.Revision > 7; err != nil || moved == (name == "ours") {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	for key, want := range map[string]string{"serial:C02": "bare", "lost": "lost", "ours": "ours"} {
		r, err := s.Record(ctx, "alias", key)
		if err != nil || string(r.Value) != want || want != "bare" && !r.Expires.Equal(expires) {
			t.Errorf("%s: %+v, %v", key, r, err)
		}
	}
}

// late is a store into which a receiver writes between the walk and the signature.
type late struct {
	signals.Store
	posture bool
}

func (l *late) PutPosture(ctx context.Context, p signals.Posture, expected signals.Revision) error {
	other := p
	other.Revision--
	if l.posture {
		_ = l.Store.PutPosture(ctx, other, expected)
	}
	return l.Store.PutPosture(ctx, p, expected)
}

// TestVouchMeetsAReceiver: what was written meanwhile is not overwritten; and a store that fails is said.
func TestVouchMeetsAReceiver(t *testing.T) {
	t.Parallel()
	live := serve(t)
	raw, key := live.open(t, nil), newKey(t)
	if err := raw.PutPosture(t.Context(), small("a", 5), 0); err != nil {
		t.Fatal(err)
	}
	v, err := signals.Vouch(t.Context(), &late{raw, true}, key, key.Checker(), nil, time.Now(), true)
	if err != nil || len(v.Changed) != 1 {
		t.Errorf("%+v, %v", v, err)
	}
	live.kill()
	if _, err := signals.Vouch(t.Context(), raw, key, key.Checker(), nil, time.Now(), true); err == nil {
		t.Error("a store that is away was looked through")
	}
}
