package redisstore

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/ingest"
)

// stranger can do in the store whatever a receiver's password lets do, and has no key. sick is a device with an alarm; well
// is one without.
type stranger struct {
	*wired
	sick, well             string // serial numbers
	sickDevice, wellDevice signals.DeviceID
	healthy                string // what was stored of the sick one before its alarm
}

// stored is what lies under the key of a value.
func (s *stranger) stored(t *testing.T, sp space, key string) string {
	t.Helper()
	text, _ := s.live.do(t, "GET", sp.valueKey(key)).(string)
	return text
}

// put writes a value and tells everybody, as the script of a receiver does.
func (s *stranger) put(t *testing.T, sp space, key, text string) {
	t.Helper()
	at := tag(shardOf(key))
	s.live.do(t, "SET", sp.valueKey(key), text)
	s.live.do(t, "ZADD", at+sp.index, 0, key)
	s.notice(t, sp, key)
}

func (s *stranger) notice(t *testing.T, sp space, key string) {
	t.Helper()
	changes := tag(shardOf(key)) + sp.changes
	last, err := s.live.raw.XRevRangeN(t.Context(), changes, "+", "-", 1).Result()
	if err != nil {
		t.Fatal(err)
	}
	before := "0-0"
	if len(last) > 0 {
		before = last[0].ID
	}
	s.live.do(t, "XADD", changes, "*", "k", key, "p", before)
}

func (s *stranger) remove(t *testing.T, sp space, key string) {
	t.Helper()
	s.live.do(t, "DEL", sp.valueKey(key))
	s.live.do(t, "ZREM", tag(shardOf(key))+sp.index, key)
	s.notice(t, sp, key)
}

// rewritten is the sick device's posture after a change, under the revision that follows.
func (s *stranger) rewritten(t *testing.T, change func(p *signals.Posture)) string {
	t.Helper()
	p, err := decodePosture(string(s.sickDevice), s.stored(t, postures, string(s.sickDevice)))
	if err != nil {
		t.Fatal(err)
	}
	p.Revision++
	change(&p)
	text, err := encodePosture(p)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// calm says of every fact what a healthy device's would.
func calm(p *signals.Posture) {
	for i := range p.Facts {
		p.Facts[i].Value = signals.Bool(p.Facts[i].Attribute != "compromised")
		p.Facts[i].Observed = p.Facts[i].Observed.Add(time.Second)
	}
}

func (s *stranger) claim() (sp space, key string) {
	return recordsOf(ingest.KindAlias), serialOf(s.sick).String()
}

// attack is what the stranger does; the sender of reports goes on beside it. told begins what must be told of it.
type attack struct {
	do   func(t *testing.T, s *stranger)
	told func(s *stranger) string
}

func ofDevice(word string) func(*stranger) string {
	return func(s *stranger) string { return word + " " + string(s.sickDevice) }
}

// news is an honest report that does not speak of the alarm.
func (s *stranger) news(t *testing.T) {
	t.Helper()
	s.post(t, "news-"+s.sick, hook(s.sick, `{"firewall":true,"disk_encryption":true}`))
}

func postureAttacks() map[string]attack {
	forge := func(change func(s *stranger, p *signals.Posture)) func(*testing.T, *stranger) {
		return func(t *testing.T, s *stranger) {
			s.put(t, postures, string(s.sickDevice), s.rewritten(t, func(p *signals.Posture) { change(s, p) }))
		}
	}
	return map[string]attack{
		"forged facts":              {forge(func(_ *stranger, p *signals.Posture) { calm(p) }), ofDevice("corrupt")},
		"forged, at its revision":   {forge(func(_ *stranger, p *signals.Posture) { calm(p); p.Revision-- }), ofDevice("corrupt")},
		"forged, and nobody signed": {forge(func(_ *stranger, p *signals.Posture) { calm(p); p.Seal = nil }), ofDevice("corrupt")},
		"the alarm taken out":       {forge(func(_ *stranger, p *signals.Posture) { p.Facts = p.Facts[1:] }), ofDevice("corrupt")},
		"signed anew, alone":        {forge(func(_ *stranger, p *signals.Posture) { p.Revision += 10 }), ofDevice("corrupt")},
		"forged, then a report": {func(t *testing.T, s *stranger) {
			s.put(t, postures, string(s.sickDevice), s.rewritten(t, calm))
			s.news(t)
		}, func(s *stranger) string {
			return "dead news-" + s.sick + " what the store has of this device is not believed"
		}},
		"rolled back": {func(t *testing.T, s *stranger) {
			s.put(t, postures, string(s.sickDevice), s.healthy)
		}, ofDevice("regressed")},
		"rolled back, then a report": {func(t *testing.T, s *stranger) {
			s.put(t, postures, string(s.sickDevice), s.healthy)
			s.news(t)
		}, ofDevice("forgetful")},
		"rolled back under a new revision": {func(t *testing.T, s *stranger) {
			head, body, _ := strings.Cut(s.healthy, "\n")
			fields := strings.Fields(head)
			s.put(t, postures, string(s.sickDevice), strings.ReplaceAll(head+"\n"+body, fields[1], fields[1][:len(fields[1])-1]+"9999"))
		}, ofDevice("corrupt")},
		"deleted": {func(t *testing.T, s *stranger) {
			s.remove(t, postures, string(s.sickDevice))
		}, ofDevice("gone")},
		"deleted, then a report": {func(t *testing.T, s *stranger) {
			s.remove(t, postures, string(s.sickDevice))
			until(t, "gone", func() bool { return s.heard("gone " + string(s.sickDevice)) })
			s.news(t)
		}, ofDevice("forgetful")},
		"deleted with its name, then a report": {func(t *testing.T, s *stranger) {
			s.remove(t, postures, string(s.sickDevice))
			sp, key := s.claim()
			s.remove(t, sp, key)
			until(t, "gone", func() bool { return s.heard("gone " + string(s.sickDevice)) })
			s.news(t)
		}, func(s *stranger) string { return "contested " + serialOf(s.sick).String() }},
		"another device's record": {func(t *testing.T, s *stranger) {
			s.put(t, postures, string(s.sickDevice), s.stored(t, postures, string(s.wellDevice)))
		}, ofDevice("corrupt")},
		"another device's record, renamed": {func(t *testing.T, s *stranger) {
			s.put(t, postures, string(s.sickDevice), strings.ReplaceAll(strings.ReplaceAll(s.stored(t, postures, string(s.wellDevice)),
				string(s.wellDevice), string(s.sickDevice)), s.well, s.sick))
		}, ofDevice("corrupt")},
	}
}

func recordAttacks() map[string]attack {
	dead := func(s *stranger) string {
		return "dead news-" + s.sick + " what the store has of this device is not believed"
	}
	return map[string]attack{
		"a forged claim of its name": {func(t *testing.T, s *stranger) {
			sp, key := s.claim()
			s.put(t, sp, key, encode(value{revision: 1 << 60, body: string(s.wellDevice)}))
			s.news(t)
		}, dead},
		"another claim under its name": {func(t *testing.T, s *stranger) {
			sp, key := s.claim()
			s.put(t, sp, key, s.stored(t, sp, serialOf(s.well).String()))
			s.news(t)
		}, dead},
		"its claim under another revision": {func(t *testing.T, s *stranger) {
			sp, key := s.claim()
			_, body, _ := strings.Cut(s.stored(t, sp, key), "\n")
			s.put(t, sp, key, encode(value{revision: 1 << 60, body: body}))
			s.news(t)
		}, dead},
		"a forged inbox entry": {func(t *testing.T, s *stranger) {
			at := time.Now().UTC()
			entry, err := json.Marshal(map[string]any{"source": "mdm", "id": "news-" + s.sick, "received": at,
				"contentType": "application/json", "body": []byte(hook(s.sick, `{"compromised":false}`))})
			if err != nil {
				t.Fatal(err)
			}
			s.put(t, recordsOf(ingest.KindInbox), "mdm/news-"+s.sick, encode(value{revision: 1 << 50, body: string(entry)}))
			s.news(t)
		}, func(s *stranger) string { return "dead news-" + s.sick + " the inbox entry cannot be read" }},
		"a delivery that is said to be dealt with": {func(t *testing.T, s *stranger) {
			s.report(t, "well-"+s.sick, s.sick, `{"compromised":false}`)
			until(t, "the all-clear", func() bool { return s.allowed(t, s.sick) })
			s.put(t, recordsOf(ingest.KindDelivery), "mdm/again-"+s.sick, encode(value{revision: 1 << 50, body: `{"digest":""}`}))
			s.report(t, "again-"+s.sick, s.sick, `{"compromised":true}`)
			until(t, "the alarm", func() bool { return !s.allowed(t, s.sick) })
		}, func(s *stranger) string { return "distrusted delivery mdm/again-" + s.sick }},
		"a dead letter's place taken": {func(t *testing.T, s *stranger) {
			s.put(t, recordsOf(ingest.KindDeadLetter), "mdm/news-"+s.sick, encode(value{revision: 1 << 50, body: "{}"}))
			sp, key := s.claim()
			s.put(t, sp, key, encode(value{revision: 1 << 60, body: string(s.wellDevice)}))
			s.news(t)
		}, dead},
	}
}

// prepare makes both devices known, and the alarm.
func prepare(t *testing.T, w *wired, name string) *stranger {
	t.Helper()
	name = strings.ToUpper(strings.NewReplacer(" ", "", ",", "", "'", "").Replace(name))
	s := &stranger{wired: w, sick: "S" + name, well: "W" + name}
	for _, serial := range []string{s.sick, s.well} {
		w.report(t, "first-"+serial, serial, `{"disk_encryption":true,"compromised":false,"firewall":true}`)
		until(t, serial+" is let in", func() bool { return w.allowed(t, serial) })
	}
	s.sickDevice, s.wellDevice = w.device(t, s.sick), w.device(t, s.well)
	s.healthy = s.stored(t, postures, string(s.sickDevice))
	w.report(t, "alarm-"+s.sick, s.sick, `{"compromised":true}`)
	until(t, "the alarm", func() bool { return !w.allowed(t, s.sick) })
	return s
}

// TestAStrangerInTheStore: who can write to Valkey as a receiver does, and is none, gets no device in, and each attempt is
// noticed.
func TestAStrangerInTheStore(t *testing.T) {
	w := newWired(t, true)
	attacks := postureAttacks()
	for name, a := range recordAttacks() {
		attacks[name] = a
	}
	wrong, noticed := 0, 0
	for name, a := range attacks {
		t.Run(name, func(t *testing.T) {
			s := prepare(t, w, name)
			a.do(t, s)
			for deadline := time.Now().Add(time.Minute); a.told != nil && !w.heard(a.told(s)); time.Sleep(2 * time.Millisecond) {
				if w.allowed(t, s.sick) {
					wrong++
					t.Fatal("it was let in")
				}
				if time.Now().After(deadline) {
					t.Fatalf("nobody was told %q: %q", a.told(s), w.told)
				}
			}
			noticed++
			for until := time.Now().Add(100 * time.Millisecond); time.Now().Before(until); time.Sleep(2 * time.Millisecond) {
				if w.allowed(t, s.sick) {
					wrong++
					t.Fatal("it was let in, later")
				}
			}
			if !w.allowed(t, s.well) {
				t.Error("and another device is not let in any more")
			}
		})
	}
	left := 0
	until(t, "nothing waits in the inbox", func() bool {
		left = 0
		_, err := w.raw.EachRecord(t.Context(), ingest.KindInbox, func(signals.Record) error { left++; return nil })
		return err == nil && left == 0
	})
	t.Logf("%d attacks, %d noticed, %d wrong allows", len(attacks), noticed, wrong)
}

// TestAStrangerInAnUnsealedStore is why: without seals the first of them succeeds.
func TestAStrangerInAnUnsealedStore(t *testing.T) {
	w := newWired(t, false)
	s := prepare(t, w, "unsealed")
	postureAttacks()["forged facts"].do(t, s)
	until(t, "it is let in", func() bool { return w.allowed(t, s.sick) })
	if http.StatusAccepted != s.post(t, "news", hook(s.sick, `{"firewall":true}`)) {
		t.Error("the receiver goes on from it")
	}
}
