package engine

import (
	"strings"
	"time"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/authz/inventory"
	"github.com/tiergate/tiergate/signals"
)

// uses is a sidecar's note of who uses a device: groups are in tokens, and nowhere else.
func (c *company) uses(m *machine) {
	user := identity.User{Issuer: "corp", Name: m.user, Groups: []string{"staff"}}
	if n, ok := strings.CutPrefix(m.user, "boss-"); ok && n >= "4" {
		user.Groups = append(user.Groups, "executives")
	}
	serial, _ := signals.NewAlias(signals.AliasSerial, m.serial)
	u := inventory.DeviceUse{Device: m.id, Audiences: map[string]time.Time{}}
	for _, name := range c.policy.AudiencesOf(&identity.Subject{User: &user, Device: serial}, c.policy.Assess(&m.posture)) {
		u.Audiences[name] = c.at
	}
	if c.attended[m.id] == nil {
		c.attended[m.id] = &inventory.DeviceUse{}
	}
	c.attended[m.id].Merge(&u)
}
