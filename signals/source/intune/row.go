package intune

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// row is one row of an Event Hub to which Azure Monitor sends Intune's diagnostic logs
// (learn.microsoft.com/mem/intune/fundamentals/review-logs-using-azure-monitor).
type row struct {
	Time       json.RawMessage `json:"time"`
	Tenant     string          `json:"tenantId"`
	Category   string          `json:"category"`
	Operation  string          `json:"operationName"`
	Properties json.RawMessage `json:"properties"`
}

// silentCategories say nothing of the state of one device that the list of devices does not say. Any other category
// that is not known here is a dead letter, so that somebody looks.
var silentCategories = map[string]bool{"AuditLogs": true, "DeviceComplianceOrg": true}

func (a *Adapter) row(s *said, r *row) error {
	if !a.isTenant(r.Tenant) {
		return fmt.Errorf("it is of the tenant %.60q, which is not this source's", r.Tenant)
	}
	switch {
	case silentCategories[r.Category]:
		return nil
	case r.Category == "Devices":
		var p deviceRow
		if err := json.Unmarshal(r.Properties, &p); err != nil {
			return fmt.Errorf("its properties do not have the shape of a device: %w", err)
		}
		o, err := a.deviceRow(r, &p)
		if err == nil {
			s.observed = append(s.observed, o)
		}
		return err
	case r.Category == "OperationalLogs" && (r.Operation == "Compliance" || r.Operation == "Enrollment"):
		var p struct {
			Device string `json:"IntuneDeviceId"`
		}
		if err := json.Unmarshal(r.Properties, &p); err != nil || !isGUID(p.Device) {
			return fmt.Errorf("it is of %s and names no device (IntuneDeviceId)", r.Operation)
		}
		s.points = append(s.points, strings.ToLower(p.Device))
		return nil
	}
	return fmt.Errorf("category %.60q, operation %.60q is not known here; send the categories Devices and OperationalLogs",
		r.Category, r.Operation)
}

// deviceRow is what counts of the properties of a row of the category Devices. ReferenceId is not read: what it refers
// to is not documented, and a wrong name would join two devices.
type deviceRow struct {
	ID         string          `json:"DeviceId"`
	Serial     string          `json:"SerialNumber"`
	UPN        string          `json:"UPN"`
	Email      string          `json:"UserEmail"`
	Contact    string          `json:"LastContact"` // "2023-10-26 12:23:58.7994868": UTC, without saying so
	OS         string          `json:"OS"`
	OSVersion  string          `json:"OSVersion"`
	Patch      string          `json:"AndroidPatchLevel"`
	Compliance string          `json:"CompliantState"`
	GraceEnd   string          `json:"InGracePeriodUntil"`
	Owner      string          `json:"Ownership"`
	ManagedBy  string          `json:"ManagedBy"`
	State      string          `json:"DeviceState"`
	Encrypted  json.RawMessage `json:"EncryptionStatusString"`
	Supervised json.RawMessage `json:"SupervisedStatusString"`
	Jailbroken json.RawMessage `json:"JailBroken"`
}

// behind is how far the clock that writes LastContact may run before that of the row.
const behind = 10 * time.Minute

// deviceRow puts a row into our words. All is dated by LastContact.
func (a *Adapter) deviceRow(r *row, p *deviceRow) (signals.Observation, error) {
	if !isGUID(p.ID) {
		return signals.Observation{}, fmt.Errorf("%.60q is no id of a device (DeviceId)", p.ID)
	}
	contact, err := source.InstantUTC(p.Contact)
	if err != nil {
		return signals.Observation{}, fmt.Errorf("LastContact: %w", err)
	}
	graceEnd, err := source.InstantUTC(p.GraceEnd)
	if err != nil {
		return signals.Observation{}, fmt.Errorf("InGracePeriodUntil: %w", err)
	}
	written, err := source.Instant(r.Time)
	if err != nil || written.IsZero() {
		return signals.Observation{}, fmt.Errorf("its time is %.60s, so it is not known when it was written", r.Time)
	}
	if contact.After(written.Add(behind)) {
		return signals.Observation{}, errors.New("LastContact is after the row was written, so it is not in UTC")
	}
	s, err := a.begin(p.ID, contact)
	if err != nil {
		return signals.Observation{}, err
	}
	s.named(signals.AliasSerial, p.Serial)
	s.system(p.OS, "OS", p.OSVersion, "OSVersion", p.Patch, "AndroidPatchLevel")
	s.truth("disk_encryption", p.Encrypted, "EncryptionStatusString")
	s.truth("compromised", p.Jailbroken, "JailBroken")
	s.truth("supervised", p.Supervised, "SupervisedStatusString")
	s.compliance(p.Compliance, "CompliantState", graceEnd)
	s.word("ownership", p.Owner, "Ownership", owners)
	s.management(p.State, "DeviceState", strings.EqualFold(p.ManagedBy, "Intune"))
	s.user(p.UPN, "UPN", p.Email, "UserEmail", a.opts.Email)
	return s.o, nil
}
