package policy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/signals"
)

// TestNoFieldOfAVerdictIsUnexplained changes each field of a verdict that has them all, and those of all that stands in
// it: each change is to be read.
func TestNoFieldOfAVerdictIsUnexplained(t *testing.T) {
	t.Parallel()
	v := Verdict{
		Outcome: Deny, Reason: ReasonPosture, Detail: "d", Route: "r", Tier: "t", Policy: "p", Contact: "c",
		Unmet: []Unmet{aDemand("unmet")}, Noted: []Unmet{aDemand("noted")},
		Waived: []Waived{{Unmet: aDemand("waived"), By: WaivedByException, Name: "n", Until: noon}},
		Challenge: &Challenge{ACR: []string{"a"}, AMR: []string{"b"}, MaxAge: time.Hour,
			SVID: &SVIDChallenge{Audiences: []string{"c"}, MaxAge: time.Hour}},
		Monitored: &Monitored{Outcome: StepUp, Reason: ReasonStepUp}, Disputed: []string{"s"}, Upstream: "u",
		Evidence: EvidenceRequired, Recheck: time.Minute, Until: noon,
		Fallback: &FallbackOffer{Route: "f", URL: "https://fallback", Until: noon},
	}
	e := Explanation{At: noon, Verdict: v}
	before := e.Text()
	fields := 0
	each(t, reflect.ValueOf(&e.Verdict).Elem(), "Verdict", func(name string) {
		fields++
		if e.Text() == before {
			t.Errorf("%s is nowhere in the text", name)
		}
	})
	if fields < 40 || e.Text() != before {
		t.Errorf("%d fields were changed, and changed back: %t", fields, e.Text() == before)
	}
}

func aDemand(signal string) Unmet {
	return Unmet{Signal: signal, List: ListRequire, Status: StatusFailing, Detail: "detail of " + signal, Owner: "o", Contact: "oc",
		Fix: Fix{Text: "f", URL: "https://f"}}
}

// each changes one leaf after the other, and back.
func each(t *testing.T, v reflect.Value, name string, changed func(string)) {
	t.Helper()
	was := reflect.New(v.Type()).Elem()
	was.Set(v)
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "-changed")
	case reflect.Uint8:
		v.SetUint(v.Uint() ^ 1)
	case reflect.Int64:
		v.SetInt(v.Int() + int64(time.Minute))
	case reflect.Pointer:
		each(t, v.Elem(), name, changed)
		return
	case reflect.Slice:
		if v.Len() == 0 {
			t.Fatalf("%s is empty: give the verdict of this test one", name)
		}
		for i := range v.Len() {
			each(t, v.Index(i), name+"["+strconv.Itoa(i)+"]", changed)
		}
		return
	case reflect.Struct:
		if v.Type() != reflect.TypeFor[time.Time]() {
			for i := range v.NumField() {
				each(t, v.Field(i), name+"."+v.Type().Field(i).Name, changed)
			}
			return
		}
		v.Set(reflect.ValueOf(noon.Add(time.Hour)))
	default:
		t.Fatalf("%s is a %s, and this test cannot change one", name, v.Kind())
	}
	changed(name)
	v.Set(was)
}

// TestEveryReasonHasASentence reads the reasons from verdict.go.
func TestEveryReasonHasASentence(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "verdict.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Reason") {
			return true
		}
		literal, ok := spec.Values[0].(*ast.BasicLit)
		if !ok {
			t.Fatalf("%s has another form", spec.Names[0].Name)
		}
		found++
		word, _ := strconv.Unquote(literal.Value)
		if why := reasons[Reason(word)].why; len(why) < 20 || !strings.HasSuffix(why, ".") {
			t.Errorf("%s has no sentence: %q", spec.Names[0].Name, why)
		}
		return true
	})
	if found != len(reasons) || found < 20 {
		t.Errorf("%d reasons, %d sentences", found, len(reasons))
	}
	if got := (&Explanation{}).because("brand-new"); got != "The reason is brand-new." {
		t.Error(got)
	}
}

// TestNothingSecretIsExplained: queries, user information and the names of other people stay out; what a terminal acts
// on is shown as a number, and a long path does not fill the page.
func TestNothingSecretIsExplained(t *testing.T) {
	t.Parallel()
	in := ana()
	set(&in.Device, "enrolled_user", report("mdm", "enrolled_user", signals.Text("ben"), time.Hour))
	in.Request = Request{Method: "GET", Host: "ana:hunter2@app.acme.example", Path: "/\x1b[31m\u202ered/" +
		strings.Repeat("x", 5000) + "?token=hunter2"}
	in.Subject.Doubts = []identity.Doubt{{Code: identity.DoubtToken, Detail: "no\nGROUNDS\n\x00"}}
	for _, p := range []*Policy{privileged(t, nil), nil} {
		e := p.Explain(&in)
		page := e.Text()
		for _, secret := range []string{"hunter2", "ben", "\x1b", "\x00", "\u202e", strings.Repeat("x", 300), "no\nGROUNDS"} {
			if strings.Contains(page, secret) {
				t.Errorf("it says %q:\n%s", secret, page)
			}
		}
		if p != nil && !strings.Contains(page, `\u001b[31m\u202ered`) {
			t.Errorf("it hides what was asked for:\n%s", page)
		}
	}
	in = ana()
	set(&in.Device, "enrolled_user", report("mdm", "enrolled_user", signals.Text("ben"), time.Hour))
	p := privileged(t, func(s *Spec) {
		s.Baselines[0].Signals["edr-healthy"] = Signal{Expr: `device.enrolled_user != "" && device.edr_healthy`,
			MaxAge: 2 * time.Hour, Fix: Fix{Text: "Start the agent."}}
	})
	if e := p.Explain(&in); strings.Contains(e.Text(), "ben") || !strings.Contains(e.Text(), "enrolled_user somebody") {
		t.Errorf("whom the device is enrolled for is that person's affair:\n%s", e.Text())
	}
}

// TestSpokenDurations: as a person says them.
func TestSpokenDurations(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0 seconds", 1: "less than a second", time.Second: "1 second", -2 * time.Minute: "2 minutes",
		90 * time.Minute: "1 hour 30 minutes", 25*time.Hour + time.Second: "1 day 1 hour", 24*time.Hour + time.Minute: "1 day",
		time.Hour + 59*time.Minute + 59*time.Second: "1 hour 59 minutes", 40 * day: "40 days",
	} {
		if got := spoken(d); got != want {
			t.Errorf("%s is spoken as %q, want %q", d, got, want)
		}
	}
}
