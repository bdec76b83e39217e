package policy_test

import (
	"testing"

	"pgregory.net/rapid"
)

// The properties as fuzz targets: the fuzzer steers what rapid draws.

func FuzzEvaluateNeverLoosens(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) {
		switch rapid.IntRange(0, 2).Draw(t, "what is added or taken") {
		case 0:
			aFailingSignalNeverLoosens(t)
		case 1:
			aDemandNeverLoosens(t)
		default:
			removingAFactNeverLoosensADenyUnless(t)
		}
	}))
}

func FuzzStoreCannotGrant(f *testing.F) { f.Fuzz(rapid.MakeFuzz(theStoreCannotGrantMore)) }

func FuzzExceptionTouchesNothingElse(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(anExceptionTouchesNothingElse))
}

func FuzzOrderNeverMatters(f *testing.F) { f.Fuzz(rapid.MakeFuzz(orderNeverMatters)) }

func FuzzEvaluateIsRepeatable(f *testing.F) { f.Fuzz(rapid.MakeFuzz(evaluationIsRepeatable)) }

func FuzzMonitorNeverWaivesMore(f *testing.F) { f.Fuzz(rapid.MakeFuzz(monitorNeverWaivesMore)) }

func FuzzCompiledAgreesWithReference(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(compiledAgreesWithReference))
}
