package policydiff

import (
	"hash/maphash"
	"sync"

	"github.com/tiergate/tiergate/authz/policy"
)

// rememberedDevices is for how many states of devices a Judge keeps what the policies make of them, about 1 KiB each. The
// same device asks many times before it reports again.
const rememberedDevices = 1 << 16

// Judge judges recorded inputs under two policies. It is safe for concurrent use.
type Judge struct {
	older, newer *policy.Policy
	seed         maphash.Seed

	mu   sync.Mutex
	made map[uint64]assessments // by the content of a posture
}

type assessments struct{ older, newer *policy.Assessment }

// NewJudge compares two compiled policies.
func NewJudge(older, newer *policy.Policy) *Judge {
	return &Judge{older: older, newer: newer, seed: maphash.MakeSeed(), made: map[uint64]assessments{}}
}

// assess finds what the policies make of a device's posture, or makes it. None: it has no posture, or is a fault, which the
// evaluation will meet again.
func (j *Judge) assess(d *policy.Device) (made assessments) {
	if d.Posture == nil {
		return made
	}
	key := j.key(d)
	j.mu.Lock()
	made, ok := j.made[key]
	j.mu.Unlock()
	if ok {
		return made
	}
	defer func() {
		if recover() != nil {
			made = assessments{}
		}
	}()
	made = assessments{j.older.Assess(d.Posture), j.newer.Assess(d.Posture)}
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.made) >= rememberedDevices {
		for some := range j.made {
			delete(j.made, some)
			break
		}
	}
	j.made[key] = made
	return made
}

// key hashes all that an assessment looks at: a revision alone is only as good as whoever wrote the record.
func (j *Judge) key(d *policy.Device) uint64 {
	var h maphash.Hash
	h.SetSeed(j.seed)
	maphash.WriteComparable(&h, d.Posture.Device)
	maphash.WriteComparable(&h, d.Posture.Revision)
	for i := range d.Posture.Facts {
		maphash.WriteComparable(&h, d.Posture.Facts[i])
	}
	return h.Sum64()
}

func evaluate(p *policy.Policy, in policy.Input, made *policy.Assessment) (v policy.Verdict) {
	defer func() {
		if recover() != nil {
			v = policy.Verdict{Reason: policy.ReasonInternal}
		}
	}()
	in.Device.Assessment = made
	return p.Evaluate(&in)
}
