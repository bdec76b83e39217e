package defender_test

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/defender"
	"github.com/tiergate/tiergate/signals/sourcetest"
)

// What each machine says, alone and in the list.
func TestMachines(t *testing.T) {
	for _, file := range sourcetest.Files(t, "testdata/machine_*.json") {
		s := newAPI(t)
		id := s.add(t, sourcetest.Content(t, file))
		a, unreadable := adapter(t, s, nil)
		page, err := a.Page(t.Context(), "")
		if err != nil || len(*unreadable) > 0 {
			t.Fatalf("%s: %+v, %v, %v", file, page, *unreadable, err)
		}
		said := "gone\n"
		got, err := a.Device(t.Context(), strings.ToUpper(id))
		if err == nil {
			said = sourcetest.Text(t, got[0])
			if len(page.Observations) != 1 || sourcetest.Text(t, page.Observations[0]) != said {
				t.Errorf("%s: the list says something else: %+v", file, page)
			}
		} else if !errors.Is(err, source.ErrGone) || len(page.Observations) > 0 {
			t.Errorf("%s: %v, %+v", file, err, page)
		}
		sourcetest.Golden(t, file, said)
	}
}

// TestRisk: no risk is a word of a sensor that works, and of no other; a risk is one from whomever it comes.
func TestRisk(t *testing.T) {
	s := newAPI(t)
	a, _ := adapter(t, s, nil)
	for _, health := range []string{"Active", "Inactive", "ImpairedCommunication", "NoSensorData",
		"NoSensorDataImpairedCommunication", "Unknown", ""} {
		for risk, level := range map[string]string{"None": "unknown", "Informational": "low", "Low": "low", "Medium": "medium",
			"High": "high", "New": "unknown"} {
			for _, onboarding := range []string{"Onboarded", "CanBeOnboarded", "InsufficientInfo"} {
				s.set("/api/machines/ab12", `{"id":"ab12","lastSeen":"2026-11-20T08:00:00Z","healthStatus":"`+health+
					`","riskScore":"`+risk+`","onboardingStatus":"`+onboarding+`"}`)
				want := level
				if health == "Active" && onboarding == "Onboarded" && risk == "None" {
					want = "none"
				}
				got, err := a.Device(t.Context(), "ab12")
				if err != nil {
					t.Fatal(err)
				}
				said := map[string]signals.Value{}
				for _, fact := range got[0].Facts {
					said[fact.Attribute] = fact.Value
				}
				if said["threat_level"].String() != want {
					t.Errorf("%s, %s, %s: %s, want %s", health, risk, onboarding, said["threat_level"], want)
				}
				if good := health == "Active" && onboarding == "Onboarded"; (said["edr_healthy"] == signals.Bool(true)) != good {
					t.Errorf("%s, %s: healthy is %s", health, onboarding, said["edr_healthy"])
				}
			}
		}
	}
}

// The list is gone through to its end, which is a page without machines; a token that ends on the way is replaced.
func TestListing(t *testing.T) {
	s := newAPI(t)
	for _, file := range sourcetest.Files(t, "testdata/machine_*.json") {
		s.add(t, sourcetest.Content(t, file))
	}
	s.add(t, []byte(`{"id":"F1","lastSeen":"yesterday"}`))
	s.add(t, []byte(`{"id":"f2","riskScore":7}`))
	s.good = 3
	a, unreadable := adapter(t, s, func(o *defender.Options) { o.PageSize = 4 })
	var said []string
	pages := 0
	for cursor := ""; ; pages++ {
		page, err := a.Page(t.Context(), cursor)
		if err != nil || pages > 20 {
			t.Fatal(pages, err)
		}
		for _, o := range page.Observations {
			said = append(said, o.Aliases[0].Value)
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	// 11 machines and 2 that cannot be read, less the one that was merged into another.
	if len(said) != 12 || pages != 7 || s.tokens != 2 || strings.Join(*unreadable, " ") != "f1 f2" {
		t.Errorf("%d machines on %d pages, %d tokens, unreadable %v", len(said), pages, s.tokens, *unreadable)
	}
}

// Who was silent for too long is not listed, and gone when asked for; the limit does not move while pages are read.
func TestSeenWithin(t *testing.T) {
	s := newAPI(t)
	old := s.add(t, []byte(`{"id":"a1","lastSeen":"2026-11-01T00:00:00Z","riskScore":"High"}`))
	recent := s.add(t, []byte(`{"id":"a2","lastSeen":"2026-11-19T00:00:00Z"}`))
	s.add(t, []byte(`{"id":"a3","lastSeen":"2026-11-18T08:30:01Z"}`))
	s.add(t, []byte(`{"id":"a4","lastSeen":"2026-11-18T08:30:02Z"}`))
	at := now
	a, _ := adapter(t, s, func(o *defender.Options) {
		o.SeenWithin, o.Now = 48*time.Hour, func() time.Time { at = at.Add(time.Hour); return at.Add(-time.Hour) }
	})
	listed := 0
	for cursor := ""; ; {
		page, err := a.Page(t.Context(), cursor)
		if err != nil {
			t.Fatal(err)
		}
		listed += len(page.Observations)
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if listed != 3 || !strings.Contains(s.asked[1], "%24filter=lastSeen+gt+2026-11-18T08%3A30%3A00Z") ||
		strings.Count(strings.Join(s.asked, " "), "T08%3A30%3A00Z") != 3 {
		t.Errorf("%d machines; asked %q", listed, s.asked)
	}
	if _, err := a.Device(t.Context(), old); !errors.Is(err, source.ErrGone) {
		t.Error(err)
	}
	if got, err := a.Device(t.Context(), recent); err != nil || len(got) != 1 {
		t.Error(got, err)
	}
	all, _ := adapter(t, s, nil)
	if got, err := all.Device(t.Context(), old); err != nil || len(got) != 1 {
		t.Error(got, err)
	}
}

// A machine that may be a duplicate stands alone, unless the settings say otherwise.
func TestDuplicates(t *testing.T) {
	s := newAPI(t)
	id := s.add(t, sourcetest.Content(t, "testdata/machine_duplicate.json"))
	for join, names := range map[bool]int{false: 1, true: 2} {
		a, _ := adapter(t, s, func(o *defender.Options) { o.JoinDuplicates = join })
		if got, err := a.Device(t.Context(), id); err != nil || len(got[0].Aliases) != names {
			t.Errorf("%v: %+v, %v", join, got, err)
		}
	}
}

// What is no list ends the listing, and no machine is taken for gone.
func TestNoList(t *testing.T) {
	for _, answer := range []string{`{}`, `[]`, `{"value":null}`, `{"value":[{}]}`, `{"value":[7]}`, `{"value":[{"id":"../x"}]}`,
		`{"value":[],"Value":[]}`, `{"value":[`, "404", "410", "403", "https://elsewhere.example/"} {
		s := newAPI(t)
		s.set("/api/machines", answer)
		a, _ := adapter(t, s, nil)
		if page, err := a.Page(t.Context(), ""); err == nil || errors.Is(err, source.ErrGone) {
			t.Errorf("%s: %+v, %v", answer, page, err)
		}
	}
	for status, after := range map[string]time.Duration{"429": 7 * time.Second, "502": 7 * time.Second, "slow": time.Second} {
		s := newAPI(t)
		a, _ := adapter(t, s, nil)
		if _, err := a.Page(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		s.set("/api/machines", status)
		if status == "slow" {
			a, _ = hasty(t, s, time.Second, nil)
			s.mu.Lock()
			s.slow = true
			s.mu.Unlock()
		}
		_, err := a.Page(t.Context(), "")
		if busy, ok := errors.AsType[*source.Busy](err); !ok || busy.After > after || busy.After < after-time.Second/2 {
			t.Errorf("%s: %v", status, err)
		}
	}
	a, _ := adapter(t, newAPI(t), nil)
	for _, cursor := range []string{"x", "0/", "0/0", "0/-1", "/1", "-1/1", "1"} {
		if page, err := a.Page(t.Context(), cursor); err == nil {
			t.Errorf("%q is a place: %+v", cursor, page)
		}
	}
}

func TestMachineThatIsNotTheOne(t *testing.T) {
	s := newAPI(t)
	a, _ := adapter(t, s, nil)
	for _, answer := range []string{`{"id":"ab13"}`, `{}`, `[]`, `{"id":"ab12","lastSeen":"yesterday"}`, `{"id":7}`} {
		s.set("/api/machines/ab12", answer)
		if got, err := a.Device(t.Context(), "ab12"); err == nil || errors.Is(err, source.ErrGone) {
			t.Errorf("%s: %+v, %v", answer, got, err)
		}
	}
	if _, err := a.Device(t.Context(), "ab14"); !errors.Is(err, source.ErrGone) {
		t.Error(err)
	}
	for _, id := range []string{"", "x1", "../machines", "ab/12", strings.Repeat("a", 65)} {
		if got, err := a.Device(t.Context(), id); err == nil || errors.Is(err, source.ErrGone) {
			t.Errorf("%q: %+v, %v", id, got, err)
		}
		if alias, err := a.Alias(id); err == nil {
			t.Errorf("%q is %s", id, alias)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	client, err := source.NewClient(source.ClientOptions{Base: "https://api.securitycenter.microsoft.example"})
	if err != nil {
		t.Fatal(err)
	}
	for i, opts := range []defender.Options{{Name: "d"}, {Client: client}, {Name: "d", Client: client, PageSize: 10_001},
		{Name: "d", Client: client, PageSize: -1}, {Name: "d", Client: client, SeenWithin: time.Hour}} {
		if _, err := defender.New(opts); err == nil {
			t.Errorf("%d was taken: %+v", i, opts)
		}
	}
	if _, err := defender.New(defender.Options{Name: "d", Client: client}); err != nil {
		t.Error(err)
	}
}

// Nobody can send in Defender's name.
func TestNoDeliveries(t *testing.T) {
	a, _ := adapter(t, newAPI(t), nil)
	_, err := a.Authenticate(source.Delivery{Body: []byte(`{"value":[]}`)}, now)
	if refusal, ok := errors.AsType[*source.Refusal](err); !ok || refusal.Status != http.StatusUnauthorized {
		t.Error(err)
	}
}

// The recorded shapes, where they are there.
func TestSamples(t *testing.T) {
	files, ok := sourcetest.Samples(t, "defender")
	if !ok {
		return
	}
	var said strings.Builder
	for _, file := range files {
		s, raw := newAPI(t), string(sourcetest.Content(t, file))
		if !strings.Contains(raw, `"value"`) {
			raw = `{"value":[` + raw + `]}`
		}
		s.set("/api/machines", raw)
		a, unreadable := adapter(t, s, nil)
		page, err := a.Page(t.Context(), "")
		if err != nil || len(page.Observations) == 0 || len(*unreadable) > 0 {
			t.Errorf("%s: %+v, %v, %v", file, page, *unreadable, err)
		}
		fmt.Fprintf(&said, "== %s\n", filepath.Base(file))
		for _, o := range page.Observations {
			said.WriteString(sourcetest.Text(t, o))
		}
	}
	if text := said.String(); strings.Contains(text, "serial:") || strings.Contains(text, "22H2") {
		t.Errorf("it says what it cannot know:\n%s", text)
	}
	sourcetest.Golden(t, sourcetest.RecordedGolden, said.String())
}
