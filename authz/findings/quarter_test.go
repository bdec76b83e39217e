package findings_test

import (
	"fmt"
	"math/rand"
	"slices"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/authz/findings"
	"github.com/tiergate/tiergate/authz/inventory"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// injected is one trouble that the company has from one day to another.
type injected struct {
	key, team string
	from, to  int // days
	do        func(v *findings.View, devices map[string]device)
}

func injections() []injected {
	return []injected{
		{"drift|device d00001|disk", "endpoint", 1, 4, func(_ *findings.View, d map[string]device) {
			d["d00001"].facts["disk_encryption"] = signals.Bool(false)
		}},
		{"drift|device d00002|edr", "endpoint", 2, 9, func(_ *findings.View, d map[string]device) {
			d["d00002"].ages["edr_healthy"] = 5 * time.Hour
		}},
		{"alarm-uncleared|device d00003|clean", "secops", 3, 6, func(_ *findings.View, d map[string]device) { // an executive's
			x := d["d00003"]
			x.user = "boss"
			x.facts["compromised"] = signals.Bool(true)
			d["d00003"] = x
		}},
		{"drift|population ios|disk", "phones", 5, 8, func(_ *findings.View, d map[string]device) {
			for _, x := range d {
				if x.platform == "ios" {
					x.facts["disk_encryption"] = signals.Bool(false)
				}
			}
		}},
		{"contested-device|name serial:C00004", "endpoint", 2, 3, func(v *findings.View, _ map[string]device) {
			v.Contested[signals.Alias{Kind: signals.AliasSerial, Value: "C00004"}] = []signals.DeviceID{"d00004", "d00005"}
		}},
		{"conflict|device d00006|disk", "endpoint", 4, 12, func(_ *findings.View, d map[string]device) {
			d["d00006"].edr["disk_encryption"] = signals.Bool(true)
			d["d00006"].facts["ownership"] = signals.Text("corporate")
			d["d00006"].edr["ownership"] = signals.Text("byod")
		}},
		{"stale-device|device d00007|", "endpoint", 3, 20, func(_ *findings.View, d map[string]device) {
			d["d00007"] = d["d00007"].silent(15 * day)
		}},
		{"identity-unowned|spiffe://acme.example/ns/robots/ghost|", "secops", 6, 11, func(v *findings.View, _ map[string]device) {
			s := sorter(v.At)
			s.ID = "spiffe://acme.example/ns/robots/ghost"
			v.Sightings = append(v.Sightings, s)
		}},
		{"exception-abuse|exception e|renewed-to-bound", "secops", 7, 10, func(v *findings.View, _ map[string]device) {
			e := granted("e", noon.Add(7*day), noon.Add(10*day))
			e.Renews, e.Devices = "gone", []string{"C09999"}
			v.Exceptions = append(v.Exceptions, e)
		}},
		{"drift|envoy edge|", "iam", 8, 9, func(v *findings.View, _ map[string]device) {
			v.Envoys = append(v.Envoys, findings.EnvoyView{ID: "edge", Since: noon.Add(8 * day), Differences: []string{"route x"}})
		}},
		{"credential-age|import kubernetes/sorter|never-expires", "secops", 9, 14, func(v *findings.View, _ map[string]device) {
			v.Imported = append(v.Imported, inventory.Entry{System: "kubernetes", ID: "sorter", NeverExpires: true})
		}},
	}
}

// TestInjectedTroubleIsOneCase runs three weeks of a company of 60 devices, looked at each hour: every trouble that is put
// in becomes exactly one case, with the team that answers for it, and is closed when it is over; there are no others.
func TestInjectedTroubleIsOneCase(t *testing.T) {
	t.Parallel()
	p := compile(t, spec())
	kept := map[string]findings.Case{}
	opened, closed := map[string]int{}, map[string]int{}
	for at := noon; at.Before(noon.Add(21 * day)); at = at.Add(time.Hour) {
		v := companyAt(p, at)
		changed, told := findings.Follow(values(kept), findings.Find(v), v)
		for _, c := range changed {
			kept[c.ID] = c
		}
		for _, n := range told {
			key := string(n.Kind) + "|" + n.Subject + "|" + n.Detail
			switch n.What {
			case findings.ToldOpened:
				opened[key]++
			case findings.ToldClosed:
				closed[key]++
			case findings.ToldReopened:
				t.Errorf("%s: %s", key, n.Reason)
			}
		}
	}
	for _, x := range injections() {
		key := x.key
		if x.key == "conflict|device d00006|disk" {
			key = "conflict|device d00006|ownership"
		}
		c := kept[findings.IDOf(withDetail(key))]
		if opened[withDetail(key)] != 1 || closed[withDetail(key)] != 1 || c.Team != x.team || c.State != findings.Closed {
			t.Errorf("%s: opened %d, closed %d: %+v", key, opened[withDetail(key)], closed[withDetail(key)], c)
		}
		delete(opened, withDetail(key))
	}
	if len(opened) > 0 {
		t.Errorf("cases of what nobody put in: %v", opened)
	}
}

// withDetail ends a key that has no detail.
func withDetail(key string) string {
	bars := 0
	for _, r := range key {
		if r == '|' {
			bars++
		}
	}
	if bars == 1 {
		return key + "|"
	}
	return key
}

func values(kept map[string]findings.Case) []findings.Case {
	all := make([]findings.Case, 0, len(kept))
	for _, c := range kept {
		all = append(all, c)
	}
	return all
}

func companyAt(p *policy.Policy, at time.Time) *findings.View {
	return company(p, at, func(x injected) bool {
		return !at.Before(noon.Add(time.Duration(x.from)*day)) && at.Before(noon.Add(time.Duration(x.to)*day))
	})
}

// company is one with those troubles that are picked.
func company(p *policy.Policy, at time.Time, pick func(injected) bool) *findings.View {
	all := map[string]device{}
	for _, d := range fleet(60, func(i int) device {
		d := healthy("")
		if i >= 40 {
			d.platform = "ios"
		}
		return d
	}) {
		all[d.id] = d
	}
	v := viewOf(p, at)
	for _, x := range injections() {
		if pick(x) {
			x.do(v, all)
		}
	}
	devices := make([]findings.DeviceView, 0, len(all))
	for _, d := range all {
		devices = append(devices, d.view(p, at))
	}
	v.Devices = seq(devices)
	return v
}

// TestFindInAnyOrder: the order of what a view holds never matters.
func TestFindInAnyOrder(t *testing.T) {
	t.Parallel()
	p := compile(t, spec())
	var first string
	for range 20 {
		v := companyAt(p, noon.Add(8*day+time.Hour))
		rand.Shuffle(len(v.Sightings), func(i, j int) { v.Sightings[i], v.Sightings[j] = v.Sightings[j], v.Sightings[i] })
		got := fmt.Sprintf("%+v", findings.Find(v))
		if first == "" {
			first = got
		}
		if got != first {
			t.Fatalf("%s\n%s", first, got)
		}
	}
}

// TestNothingIsClosedByWhatIsUnknown takes the parts of a view away one by one: what each tells of neither opens nor closes.
func TestNothingIsClosedByWhatIsUnknown(t *testing.T) {
	t.Parallel()
	p := compile(t, spec())
	at := noon.Add(9*day + 2*time.Hour)
	full := func(at time.Time) *findings.View {
		v := company(p, at, func(injected) bool { return true })
		v.Use = []inventory.Use{use(at, nil, inventory.TierUse{Allowed: 200, ByException: 100})}
		v.Graces = []approvals.Grace{{Device: "d00007", Renewals: []approvals.Event{{At: at.Add(-14*day - 20*time.Hour), Step: approvals.StepApproved}}}}
		v.Sightings[0].Last, v.Sightings[0].Routes = at.Add(-31*day), nil
		for i := range 60 {
			v.Sightings[0].Places[fmt.Sprintf("10.0.%d.0/24", i)] = at
		}
		return v
	}
	kept := map[string]findings.Case{}
	for _, v := range []*findings.View{full(at.Add(-5 * time.Hour)), full(at)} {
		changed, _ := findings.Follow(values(kept), findings.Find(v), v)
		for _, c := range changed {
			kept[c.ID] = c
		}
	}
	cases, kinds := values(kept), map[findings.Kind]bool{}
	for _, c := range cases {
		if c.State == findings.Open {
			kinds[c.Finding.Kind] = true
		}
	}
	for _, kind := range []findings.Kind{findings.AlarmUncleared, findings.IdentityExcessive, findings.IdentityUnreviewed, findings.StaleDevice} {
		kinds[kind] = true // not put in, not yet for so long, or a part of another
	}
	if len(kinds) != len(findings.Kinds()) {
		t.Fatalf("%v", kinds)
	}
	for name, hide := range map[string]func(*findings.View){
		"policy":     func(v *findings.View) { v.Policy = nil },
		"devices":    func(v *findings.View) { v.Devices = nil },
		"heard":      func(v *findings.View) { v.Heard = nil },
		"contested":  func(v *findings.View) { v.Contested = nil },
		"exceptions": func(v *findings.View) { v.Exceptions = nil },
		"graces":     func(v *findings.View) { v.Graces = nil },
		"sightings":  func(v *findings.View) { v.Sightings = nil },
		"imported":   func(v *findings.View) { v.Imported = nil },
		"use":        func(v *findings.View) { v.Use = nil },
		"envoys":     func(v *findings.View) { v.Envoys = nil },
		"a device":   func(v *findings.View) { v.Unread = map[signals.DeviceID]bool{"d00002": true} },
		"kinds": func(v *findings.View) {
			v.Blind = map[findings.Kind]string{}
			for _, kind := range findings.Kinds() {
				v.Blind[kind] = "the store is away"
			}
		},
	} {
		last := cases
		for i := range 3 { // long enough to settle
			v := full(at.Add(time.Duration(i) * 20 * time.Minute))
			hide(v)
			changed, told := findings.Follow(last, findings.Find(v), v)
			for _, n := range told {
				if n.What != findings.ToldOpened { // what was still waiting
					t.Errorf("without %s: %+v", name, n)
				}
			}
			again := map[string]findings.Case{}
			for _, c := range append(slices.Clone(last), changed...) {
				again[c.ID] = c
			}
			last = values(again)
		}
	}
}
