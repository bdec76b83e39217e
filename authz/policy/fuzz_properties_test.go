package policy_test

import (
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// The properties as fuzz targets: the fuzzer steers what rapid draws.

// fuzz lets each byte of the fuzzer's text be one draw, and gives it texts to begin with that are long enough for a
// policy and a request: of a shorter one, nothing comes. Each must come to its end, or the target would test nothing.
// The fuzzer's own shortening of texts costs it most of its time here; -fuzzminimizetime=1x spares it.
func fuzz(f *testing.F, p property) {
	first := map[string]bool{}
	for seed := range byte(4) {
		text := make([]byte, 4<<10)
		_, _ = rand.NewChaCha8([32]byte{seed}).Read(text) // never fails
		f.Add(text)
		first[string(text)] = true
	}
	ended := false
	run := rapid.MakeFuzz(func(t *rapid.T) {
		p(t, 1)
		ended = true
	})
	f.Fuzz(func(t *testing.T, text []byte) {
		ended = false
		defer func() { // deferred, because a text that is too short skips the test
			if first[string(text)] && !ended && !t.Failed() {
				t.Error("a text to begin with is too short for a policy and a request")
			}
		}()
		draws := make([]byte, 0, 8*len(text))
		for _, b := range text {
			draws = append(draws, b, b, b, b, b, b, b, b) // rapid reads a draw from 64 bits
		}
		run(t, draws)
	})
}

func FuzzEvaluateNeverLoosens(f *testing.F) {
	fuzz(f, func(t *rapid.T, requests int) {
		rapid.SampledFrom([]property{
			aFailingSignalNeverLoosens, aDemandNeverLoosens, removingAFactNeverLoosensADenyUnless,
		}).Draw(t, "property")(t, requests)
	})
}

func FuzzStoreCannotGrant(f *testing.F) { fuzz(f, theStoreCannotGrantMore) }

func FuzzExceptionTouchesNothingElse(f *testing.F) { fuzz(f, anExceptionTouchesNothingElse) }

func FuzzOrderNeverMatters(f *testing.F) { fuzz(f, orderNeverMatters) }

func FuzzEvaluateIsRepeatable(f *testing.F) { fuzz(f, evaluationIsRepeatable) }

func FuzzMonitorNeverWaivesMore(f *testing.F) { fuzz(f, monitorNeverWaivesMore) }

func FuzzCompiledAgreesWithReference(f *testing.F) { fuzz(f, compiledAgreesWithReference) }
