package findings_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tiergate/tiergate/authz/findings"
	"github.com/tiergate/tiergate/authz/inventory"
	"github.com/tiergate/tiergate/signals"
)

// BenchmarkFindAndFollow looks at companies of which one device in 50 fails, with a case for each, and at workloads of which
// one in 20 has no owner.
func BenchmarkFindAndFollow(b *testing.B) {
	for _, size := range []struct{ devices, workloads int }{{5_000, 800}, {20_000, 800}, {100_000, 800}, {100_000, 16_000}} {
		b.Run(fmt.Sprintf("%d devices, %d workloads", size.devices, size.workloads), func(b *testing.B) {
			s := spec()
			for i := range size.workloads {
				if i%20 != 0 {
					id := s.Identities[0]
					id.Meta.Name, id.SPIFFEIDs = fmt.Sprintf("w%d", i), []string{fmt.Sprintf("spiffe://acme.example/ns/robots/w%d", i)}
					s.Identities = append(s.Identities, id)
				}
			}
			if size.workloads > 1000 { // documents that do not overlap are compared pairwise when a policy is compiled
				s.Identities = s.Identities[:1000]
			}
			v := viewOf(compile(b, s), noon)
			for i := range size.workloads {
				w := sorter(noon)
				w.ID = fmt.Sprintf("spiffe://acme.example/ns/robots/w%d", i)
				v.Sightings = append(v.Sightings, w)
			}
			all := make([]findings.DeviceView, 0, size.devices)
			for i, d := range fleet(size.devices, func(int) device { return healthy("") }) {
				if i%50 == 0 {
					d.facts["disk_encryption"] = signals.Bool(false)
				}
				all = append(all, d.view(v.Policy, noon))
			}
			v.Devices, v.Imported = seq(all), []inventory.Entry{}
			cases, _ := findings.Follow(nil, findings.Find(v), v)
			v.At = noon.Add(2 * time.Hour)
			b.ReportAllocs()
			b.ResetTimer()
			for b.Loop() {
				found := findings.Find(v)
				if changed, _ := findings.Follow(cases, found, v); len(changed) == 0 {
					b.Fatal("nothing changed")
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(size.devices), "ns/device")
		})
	}
}
