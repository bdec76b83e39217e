package policy

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tiergate/tiergate/signals"
)

// TestDocumentOrderNeverMatters shuffles every list of documents: same digest, same table, same verdict.
func TestDocumentOrderNeverMatters(t *testing.T) {
	t.Parallel()
	want := compileSample(t, nil)
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 0))
		got := compileSample(t, func(s *Spec) {
			r.Shuffle(len(s.Tiers), reflect.Swapper(s.Tiers))
			r.Shuffle(len(s.Audiences), reflect.Swapper(s.Audiences))
			r.Shuffle(len(s.Upstreams), reflect.Swapper(s.Upstreams))
			r.Shuffle(len(s.Routes), reflect.Swapper(s.Routes))
		})
		if got.Digest() != want.Digest() || got.Table().Digest() != want.Table().Digest() {
			t.Fatalf("seed %d: another digest", seed)
		}
		in := employee()
		if v := got.Evaluate(&in); v.Outcome != Allow {
			t.Fatalf("seed %d: %+v", seed, v)
		}
	}
}

// TestOnlyWhatARouteSaysChangesItsDigest: a tier edit must rewrite nothing at Envoy.
func TestOnlyWhatARouteSaysChangesItsDigest(t *testing.T) {
	t.Parallel()
	base := compileSample(t, nil)
	tier := compileSample(t, func(s *Spec) { s.Tiers[0].Require = s.Tiers[0].Require[:1] })
	if tier.Table().Digest() != base.Table().Digest() || tier.Digest() == base.Digest() {
		t.Error("a tier edit: table and policy digests are wrong")
	}
	route := compileSample(t, func(s *Spec) { s.Routes[0].Path = "/x/**" })
	if route.Table().Digest() == base.Table().Digest() {
		t.Error("a route edit does not change the table's digest")
	}
}

// anyFact draws facts of the attributes that the sample tier looks at, from all sources, fresh and stale.
func anyFact(t *rapid.T, label string) signals.Fact {
	attribute := rapid.SampledFrom([]string{"disk_encryption", "edr_healthy", "compromised", "firewall"}).Draw(t, label+" attribute")
	value := rapid.SampledFrom([]signals.Value{signals.Bool(true), signals.Bool(false), signals.Unknown}).Draw(t, label+" value")
	age := time.Duration(rapid.Int64Range(0, int64(60*time.Hour)).Draw(t, label+" age"))
	return report(rapid.SampledFrom([]string{"mdm", "edr", "stranger"}).Draw(t, label+" source"), attribute, value, age)
}

func anyInput(t *rapid.T) (Input, []signals.Fact) {
	in := employee()
	facts := []signals.Fact{report("mdm", "platform", signals.Text("macos"), time.Hour)}
	for i := range rapid.IntRange(0, 12).Draw(t, "facts") {
		facts = append(facts, anyFact(t, fmt.Sprintf("fact %d", i)))
	}
	in.Device.Posture = postureOf(facts...)
	return in, facts
}

// TestRepeatable: byte for byte the same verdict, with the assessment made ahead and without.
func TestRepeatable(t *testing.T) {
	t.Parallel()
	p, again := compileSample(t, nil), compileSample(t, nil)
	rapid.Check(t, func(t *rapid.T) {
		in, _ := anyInput(t)
		first := p.Evaluate(&in)
		in.Device.Assessment = p.Assess(in.Device.Posture)
		if ahead := p.Evaluate(&in); !reflect.DeepEqual(first, ahead) {
			t.Fatalf("ahead %+v\nnow   %+v", ahead, first)
		}
		posture := in.Device.Posture
		for _, assessment := range []*Assessment{nil, p.Assess(posture), again.Assess(posture)} {
			in.Device.Posture, in.Device.Packed, in.Device.Assessment = nil, signals.Pack(posture), assessment
			if packed := p.Evaluate(&in); !reflect.DeepEqual(first, packed) {
				t.Fatalf("packed %+v\nnow    %+v", packed, first)
			}
		}
		in.Device.Posture, in.Device.Packed, in.Device.Assessment = posture, nil, nil
		if other := again.Evaluate(&in); !reflect.DeepEqual(first, other) {
			t.Fatalf("another compilation of the same policy: %+v, %+v", other, first)
		}
	})
}

// TestAFailingFactNeverLoosens: news that is bad, from any source, can only make an outcome smaller or leave it.
func TestAFailingFactNeverLoosens(t *testing.T) {
	t.Parallel()
	p := compileSample(t, nil)
	bad := map[string]signals.Value{
		"disk_encryption": signals.Bool(false), "edr_healthy": signals.Bool(false), "compromised": signals.Bool(true),
	}
	rapid.Check(t, func(t *rapid.T) {
		in, facts := anyInput(t)
		before := p.Evaluate(&in).Outcome
		attribute := rapid.SampledFrom([]string{"disk_encryption", "edr_healthy", "compromised"}).Draw(t, "bad attribute")
		source := rapid.SampledFrom([]string{"mdm", "edr", "stranger"}).Draw(t, "bad source")
		in.Device.Posture = postureOf(append(facts, report(source, attribute, bad[attribute], 0))...)
		if after := p.Evaluate(&in).Outcome; after > before {
			t.Fatalf("%s says %s is bad, and %s became %s", source, attribute, before, after)
		}
	})
}

// TestADemandNeverLoosens: a signal more in a tier can only refuse more.
func TestADemandNeverLoosens(t *testing.T) {
	t.Parallel()
	base := compileSample(t, func(s *Spec) { s.Tiers[0].Advise = nil })
	tightened := []*Policy{
		compileSample(t, func(s *Spec) {
			s.Tiers[0].Require, s.Tiers[0].Advise = append(s.Tiers[0].Require, Demand{Signal: "firewall-on"}), nil
		}),
		compileSample(t, func(s *Spec) {
			s.Tiers[0].DenyUnless, s.Tiers[0].Advise = append(s.Tiers[0].DenyUnless, DenyUnless{Signal: "firewall-on"}), nil
		}),
		compileSample(t, func(s *Spec) { s.Tiers[0].DenyUnless[0].OnUnknown, s.Tiers[0].Advise = OnUnknownDeny, nil }),
	}
	rapid.Check(t, func(t *rapid.T) {
		in, _ := anyInput(t)
		before := base.Evaluate(&in).Outcome
		for i, p := range tightened {
			if after := p.Evaluate(&in).Outcome; after > before {
				t.Fatalf("tightening %d: %s became %s", i, before, after)
			}
		}
	})
}

// TestTimeAloneNeverLoosens: with no news from the one source, a later instant never allows what an earlier one refused.
// (Of two sources that disagree, the failing one may age out first; then the fresh one counts, as DESIGN says.)
func TestTimeAloneNeverLoosens(t *testing.T) {
	t.Parallel()
	p := compileSample(t, func(s *Spec) { s.Tiers[0].DenyUnless[0].OnUnknown = OnUnknownDeny })
	rapid.Check(t, func(t *rapid.T) {
		in, facts := anyInput(t)
		for i := range facts {
			facts[i].Source = "mdm"
		}
		in.Device.Posture = postureOf(facts...)
		in.Subject.Certificate.NotAfter, in.Subject.User.Token.NotAfter = noon.Add(1000*time.Hour), noon.Add(1000*time.Hour)
		before := p.Evaluate(&in)
		in.At = noon.Add(time.Duration(rapid.Int64Range(0, int64(500*time.Hour)).Draw(t, "later")))
		after := p.Evaluate(&in)
		if after.Outcome > before.Outcome {
			t.Fatalf("waiting turned %+v into an allow", before.Unmet)
		}
	})
}

func BenchmarkEvaluate(b *testing.B) {
	p := compileSample(b, nil)
	in := employee()
	in.Device.Assessment = p.Assess(in.Device.Posture)
	b.ReportAllocs()
	for b.Loop() {
		if v := p.Evaluate(&in); v.Outcome != Allow {
			b.Fatal(v)
		}
	}
}

func BenchmarkAssess(b *testing.B) {
	p := compileSample(b, nil)
	posture := postureOf(healthyFacts()...)
	b.ReportAllocs()
	for b.Loop() {
		p.Assess(posture)
	}
}
