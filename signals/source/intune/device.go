package intune

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// managedDevice is what counts of a device of Graph
// (learn.microsoft.com/graph/api/resources/intune-devices-manageddevice). isEncrypted stands a second time in
// hardwareInformation, where it was seen to be false for an encrypted device; that one is not read.
type managedDevice struct {
	ID          string          `json:"id"`
	Serial      string          `json:"serialNumber"`
	Directory   string          `json:"azureADDeviceId"`
	UDID        string          `json:"udid"`
	LastSync    json.RawMessage `json:"lastSyncDateTime"`
	OS          string          `json:"operatingSystem"`
	OSVersion   string          `json:"osVersion"`
	Patch       string          `json:"androidSecurityPatchLevel"`
	Encrypted   json.RawMessage `json:"isEncrypted"`
	Jailbroken  json.RawMessage `json:"jailBroken"`
	Compliance  string          `json:"complianceState"`
	GraceEnd    json.RawMessage `json:"complianceGracePeriodExpirationDateTime"`
	State       string          `json:"managementState"`
	Agent       string          `json:"managementAgent"`
	Supervised  json.RawMessage `json:"isSupervised"`
	Owner       string          `json:"managedDeviceOwnerType"`
	Threat      string          `json:"partnerReportedThreatState"`
	Certificate json.RawMessage `json:"managementCertificateExpirationDate"`
	UPN         string          `json:"userPrincipalName"`
	Email       string          `json:"emailAddress"`
	Hardware    *struct {
		Serial string `json:"serialNumber"`
	} `json:"hardwareInformation"`
	Health *struct {
		SecureBoot string          `json:"secureBoot"`
		Issued     json.RawMessage `json:"issuedDateTime"`
	} `json:"deviceHealthAttestationState"`
}

// What is asked for. A property that a version of the API does not have would be an error there.
const (
	selected = "id,serialNumber,azureADDeviceId,lastSyncDateTime,operatingSystem,osVersion," +
		"androidSecurityPatchLevel,isEncrypted,jailBroken,complianceState," +
		"complianceGracePeriodExpirationDateTime,managementAgent,isSupervised,managedDeviceOwnerType," +
		"partnerReportedThreatState,userPrincipalName,emailAddress"
	selectedBeta = ",udid,managementState,managementCertificateExpirationDate,hardwareInformation"
	selectedBoot = ",deviceHealthAttestationState"
)

func (a *Adapter) selection() string {
	text := selected
	if a.opts.Beta {
		text += selectedBeta
	}
	if len(a.boot) > 0 {
		text += selectedBoot
	}
	return text
}

// agents are the managementAgents with Intune's MDM channel.
var agents = map[string]bool{"mdm": true, "easmdm": true, "intuneclient": true, "easintuneclient": true,
	"configurationmanagerclientmdm": true, "configurationmanagerclientmdmeas": true,
	"googleclouddevicepolicycontroller": true, "intuneaosp": true}

// observed puts a device into our words. All is dated by lastSyncDateTime, but secure_boot by its own issuedDateTime.
func (a *Adapter) observed(d *managedDevice) (signals.Observation, error) {
	at, err := source.Instant(d.LastSync)
	if err != nil {
		return signals.Observation{}, fmt.Errorf("lastSyncDateTime: %w", err)
	}
	graceEnd, err := source.Instant(d.GraceEnd)
	if err != nil {
		return signals.Observation{}, fmt.Errorf("complianceGracePeriodExpirationDateTime: %w", err)
	}
	ends, err := source.Instant(d.Certificate)
	if err != nil {
		return signals.Observation{}, fmt.Errorf("managementCertificateExpirationDate: %w", err)
	}
	s, err := a.begin(d.ID, at)
	if err != nil {
		return signals.Observation{}, err
	}
	if d.Serial == "" && d.Hardware != nil {
		d.Serial = d.Hardware.Serial
	}
	s.named(signals.AliasSerial, d.Serial)
	s.named(signals.AliasDirectory, d.Directory)
	s.named(signals.AliasUUID, d.UDID)
	s.system(d.OS, "operatingSystem", d.OSVersion, "osVersion", d.Patch, "androidSecurityPatchLevel")
	s.truth("disk_encryption", d.Encrypted, "isEncrypted")
	s.truth("compromised", d.Jailbroken, "jailBroken")
	s.truth("supervised", d.Supervised, "isSupervised")
	s.compliance(d.Compliance, "complianceState", graceEnd)
	s.word("ownership", d.Owner, "managedDeviceOwnerType", owners)
	s.management(d.State, "managementState", agents[strings.ToLower(d.Agent)])
	s.word("threat_level", d.Threat, "partnerReportedThreatState", threats)
	if d.Threat != "" && !strings.EqualFold(d.Threat, "unknown") {
		s.word("edr_healthy", d.Threat, "partnerReportedThreatState", broken)
	}
	if !ends.IsZero() {
		status := "valid"
		if !ends.After(at) {
			status = "expired"
		}
		s.say("certificate_status", signals.Text(status), "managementCertificateExpirationDate")
	}
	s.user(d.UPN, "userPrincipalName", d.Email, "emailAddress", a.opts.Email)
	if d.Health != nil && d.Health.SecureBoot != "" && len(a.boot) > 0 {
		issued, err := source.Instant(d.Health.Issued)
		if err != nil {
			return signals.Observation{}, fmt.Errorf("deviceHealthAttestationState.issuedDateTime: %w", err)
		}
		s.sayAt(issued, "secure_boot", a.boot[strings.ToLower(d.Health.SecureBoot)],
			"deviceHealthAttestationState.secureBoot")
	}
	return s.o, nil
}
