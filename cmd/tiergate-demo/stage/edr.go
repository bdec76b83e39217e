package stage

import (
	"context"
	"fmt"
)

// EDRName is the source that Options.EDR adds. It knows laptops by serial and by an id of its own, not by certificate.
const EDRName = "acme-edr"

// edrSubstitution names the EDR as a second source, behind the MDM.
var edrSubstitution = substitution{"    secretFiles: [secrets/acme-mdm.whsec]\n", `    secretFiles: [secrets/acme-mdm.whsec]
  - name: ` + EDRName + `
    type: standard
    every: 1h
    attests: [compromised, disk_encryption, edr_healthy, edr_present, threat_level]
    secretFiles: [secrets/` + EDRName + `.whsec]
`}

func newEDR(dir, ingest string) (*Sender, error) {
	s, err := senderOf(dir, ingest, EDRName)
	if err != nil {
		return nil, err
	}
	for i, d := range devices {
		s.Devices = append(s.Devices, Device{Name: d.Name, Serial: d.Serial, ID: fmt.Sprintf("agent-%04d", i+1)})
	}
	return s, nil
}

// ReportBy sends a report of one laptop's posture as one of the sources, SourceName or EDRName, see Sender.
func (s *Stage) ReportBy(ctx context.Context, source, device string, attributes map[string]any) (Receipt, error) {
	sender, err := s.senderOf(source)
	if err != nil {
		return Receipt{}, err
	}
	return sender.Report(ctx, device, attributes)
}

func (s *Stage) senderOf(source string) (*Sender, error) {
	switch {
	case source == SourceName:
		return s.Sender, nil
	case source == EDRName && s.EDR != nil:
		return s.EDR, nil
	}
	return nil, fmt.Errorf("this stage has no source %q", source)
}
