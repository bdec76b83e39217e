package findings

import (
	"time"

	"github.com/tiergate/tiergate/authz/policy"
)

// habits is what is usual for a type of identity: from when on something is a trouble unless a monitor says otherwise. How
// old credentials may become stands in policy.IdentityType.
type habits struct {
	unused time.Duration // a granted route
	unseen time.Duration // the identity itself
	places int           // from which one identity may call in a day
}

const days = 24 * time.Hour

// byType: workloads and agents have short-lived certificates and run in many places; keys and service accounts live long in
// few; a pipeline may rest for weeks. An agent's rights are looked at soonest, since what it does changes by itself.
var byType = map[policy.IdentityType]habits{
	policy.IdentityOfWorkload:       {unused: 90 * days, unseen: 30 * days, places: 50},
	policy.IdentityOfAgent:          {unused: 30 * days, unseen: 14 * days, places: 10},
	policy.IdentityOfPipeline:       {unused: 90 * days, unseen: 60 * days, places: 10},
	policy.IdentityOfServiceAccount: {unused: 90 * days, unseen: 60 * days, places: 10},
	policy.IdentityOfKey:            {unused: 90 * days, unseen: 90 * days, places: 3},
}

// habitsOf is that of a type; what is not known is taken for a workload.
func habitsOf(t policy.IdentityType) habits {
	if h, ok := byType[t]; ok {
		return h
	}
	return byType[policy.IdentityOfWorkload]
}
