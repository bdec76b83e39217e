package load

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestHistogramAgainstSorting: every quantile is that of the sorted values, to the width of a bucket.
func TestHistogramAgainstSorting(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		a, b := &histogram{}, &histogram{}
		var all []time.Duration
		for i := range 5_000 {
			d := time.Duration(random.ExpFloat64() * float64(time.Millisecond))
			all = append(all, d)
			if i%2 == 0 {
				a.record(d)
			} else {
				b.record(d)
			}
		}
		a.add(b)
		slices.Sort(all)
		for _, q := range []float64{0, 0.5, 0.99, 0.999} {
			want, got := all[int(q*float64(len(all)))], a.quantile(q)
			if got < want || float64(got) > float64(want)*1.017+1 {
				t.Errorf("quantile %v is %v, of the sorted values %v", q, got, want)
			}
		}
		if a.count != 5_000 || a.most != all[len(all)-1] || a.quantile(1) != a.most {
			t.Errorf("%d values, most %v", a.count, a.most)
		}
	}
}

// TestBucketsJoin: no duration falls between two buckets, and none is above its bucket's edge.
func TestBucketsJoin(t *testing.T) {
	t.Parallel()
	for bucket := range 39 * stepsOfPower {
		if edge := upperEdge(bucket); bucketOf(edge) != bucket || bucketOf(edge+1) != bucket+1 {
			t.Fatalf("bucket %d ends at %d, which is in %d; the next is in %d", bucket, edge, bucketOf(edge), bucketOf(edge+1))
		}
	}
	h := &histogram{}
	h.record(-1)
	h.record(1 << 62)
	if h.count != 2 || h.most != 1<<62 || h.quantile(0) != 0 {
		t.Errorf("the ends are not counted: %d, %v", h.count, h.most)
	}
}
