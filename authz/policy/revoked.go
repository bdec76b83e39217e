package policy

import (
	"strings"
	"unique"

	"github.com/tiergate/tiergate/authz/identity"
	"github.com/tiergate/tiergate/signals"
)

// certificateStatus is the attribute by which a source tells what became of a device's certificate.
const certificateStatus = "certificate_status"

// withdrawn is what the sources say against the device's certificate; the zero Handle: nothing. Each source's last
// known word counts, whatever its age and whether or not it can still tell: only a newer "valid" from that source ends
// it.
func withdrawn(view view) unique.Handle[string] {
	var said []string
	for i := range view.posture.Facts {
		f := &view.posture.Facts[i]
		if f.Attribute != certificateStatus || !f.Value.Known() || !view.may(f.Source, certificateStatus) {
			continue
		}
		if status, _ := f.Value.AsText(); status != "valid" {
			said = append(said, f.Source+" reports the device's certificate as "+status)
		}
	}
	if said == nil {
		return unique.Handle[string]{}
	}
	return unique.Make(strings.Join(said, "; "))
}

// boundByCertificate tells whether the certificate of the peer is what names the device. A certificate has one name:
// where it is that of a workload, the device can be a token's claim.
func boundByCertificate(s *identity.Subject) bool {
	ofWorkload := s.Workload != "" && s.WorkloadToken == identity.Validity{}
	if claimed := s.User != nil && s.User.DeviceBinds && s.User.Device == s.Device; ofWorkload && claimed {
		return false
	}
	return s.Device != signals.Alias{} && s.Certificate != identity.Validity{}
}

// revoked judges what is reported of the certificate that names the device, in every tier: it is a proof that counts no
// longer, so nothing excuses it.
func (h *hearing) revoked() (Reason, string) {
	if a := h.assessment; a != nil && a.withdrawn != (unique.Handle[string]{}) && boundByCertificate(&h.in.Subject) {
		return ReasonIdentityRevoked, a.withdrawn.Value()
	}
	return ReasonUndecided, ""
}
