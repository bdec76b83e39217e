package identity

import (
	"strconv"
	"strings"
	"testing"
)

// TestMemoryIsBounded: however many certificates come, the memory holds at most its limit, and what is in use stays.
func TestMemoryIsBounded(t *testing.T) {
	const limit = 100
	m := NewMemory[string, verified](limit, strings.Clone)
	key := strconv.Itoa
	m.Put(key(0), verified{workload: "w0"})
	for i := 1; i <= 50*limit; i++ {
		id := SPIFFEID("w" + strconv.Itoa(i))
		m.Put(key(i), verified{workload: id})
		if got, ok := m.Get(key(i)); !ok || got.workload != id {
			t.Fatalf("%d is gone at once", i)
		}
		if got, ok := m.Get(key(0)); !ok || got.workload != "w0" {
			t.Fatalf("what is in use was forgotten after %d others", i)
		}
		if size := m.size(); size > limit {
			t.Fatalf("%d certificates are remembered; the limit is %d", size, limit)
		}
	}
	if _, ok := m.Get(key(1)); ok {
		t.Error("what nobody asked for is still there")
	}
}
