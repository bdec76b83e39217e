package load

import (
	"math/bits"
	"time"
)

// histogram counts durations in buckets of 1/64 of a power of two: a quantile is right to 1.6 %. It takes no memory
// per value, so that a long run costs what a short one does.
type histogram struct {
	buckets [41 * stepsOfPower]int64 // up to 2^46 ns, 19 hours
	count   int64
	most    time.Duration
}

const stepsOfPower = 64

func (h *histogram) record(d time.Duration) {
	d = max(d, 0)
	h.buckets[min(bucketOf(d), len(h.buckets)-1)]++
	h.count++
	h.most = max(h.most, d)
}

// bucketOf counts nanoseconds one by one up to 64, then in 64 steps for each power of two.
func bucketOf(d time.Duration) int {
	n := uint64(d)
	power := bits.Len64(n) - 7
	if power <= 0 {
		return int(n)
	}
	return power*stepsOfPower + int(n>>power)
}

// upperEdge is the largest duration that a bucket holds.
func upperEdge(bucket int) time.Duration {
	if bucket < 2*stepsOfPower {
		return time.Duration(bucket)
	}
	power := bucket/stepsOfPower - 1
	return time.Duration(uint64(bucket-power*stepsOfPower+1)<<power - 1)
}

func (h *histogram) add(other *histogram) {
	for i, n := range other.buckets {
		h.buckets[i] += n
	}
	h.count += other.count
	h.most = max(h.most, other.most)
}

// quantile is the duration that a share q of all values does not exceed.
func (h *histogram) quantile(q float64) time.Duration {
	rank := int64(q * float64(h.count))
	for i, n := range h.buckets {
		if rank -= n; rank < 0 {
			return min(upperEdge(i), h.most)
		}
	}
	return h.most
}
