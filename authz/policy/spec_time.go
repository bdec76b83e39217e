package policy

import (
	"fmt"
	"time"
)

// Exception is a waiver of named signals for named subjects and devices on named routes, from one instant to another.
// It excuses what a tier requires or steps up for by signals; never denyUnless, never a login demanded always.
type Exception struct {
	Meta     Meta               `yaml:"-" json:"meta"`
	Subjects []ExceptionSubject `yaml:"subjects" json:"subjects"`
	// Devices are named KIND:VALUE as signals.Alias is written, or by a serial number alone.
	Devices  []string  `yaml:"devices" json:"devices"`
	Routes   []string  `yaml:"routes" json:"routes"`
	Signals  []string  `yaml:"signals" json:"signals"`
	Reason   string    `yaml:"reason" json:"reason"`
	Approver string    `yaml:"approver" json:"approver"` // a person, none of the subjects
	Ticket   string    `yaml:"ticket" json:"ticket"`
	From     time.Time `yaml:"from" json:"from"`
	Until    time.Time `yaml:"until" json:"until"`
	// Renews is the name of the exception that this one continues.
	Renews string `yaml:"renews,omitempty" json:"renews,omitempty"`
}

// ExceptionSubject is one person or one group of an issuer.
type ExceptionSubject struct {
	Issuer string `yaml:"issuer" json:"issuer"`
	User   string `yaml:"user,omitempty" json:"user,omitempty"`
	Group  string `yaml:"group,omitempty" json:"group,omitempty"`
}

// ExceptionState is where an exception stands at an instant.
type ExceptionState uint8

// The states, in their order. The zero state is not in force.
const (
	ExceptionPending ExceptionState = iota
	ExceptionInForce
	ExceptionEnded
)

func (s ExceptionState) String() string { return [...]string{"pending", "in force", "ended"}[s] }

// State is the one answer to whether an exception counts: at From it is in force, at Until it has ended.
func (e *Exception) State(at time.Time) ExceptionState {
	switch {
	case !at.Before(e.Until):
		return ExceptionEnded
	case at.Before(e.From):
		return ExceptionPending
	}
	return ExceptionInForce
}

// Renewal is one explicit renewal of a device's grace. It counts if it was made since the device's last word and before the
// grace had ended.
type Renewal struct {
	At time.Time `json:"at"`
	By string    `json:"by"`
}

// Date is a day of the calendar, written 2027-03-01.
type Date struct{ time.Time }

// UnmarshalText reads a date, RFC 3339 full-date.
func (d *Date) UnmarshalText(text []byte) error {
	at, err := time.Parse(time.DateOnly, string(text))
	if err != nil {
		return fmt.Errorf("%q is no date; write it as 2027-03-01", text)
	}
	d.Time = at
	return nil
}

// MarshalText writes the date as UnmarshalText reads it.
func (d Date) MarshalText() ([]byte, error) { return []byte(d.Format(time.DateOnly)), nil }

// written writes a duration as the policy language does: 14d, 26h, 1h30m.
func written(d time.Duration) string {
	if d < time.Millisecond {
		return d.String()
	}
	text := ""
	for _, unit := range [...]struct {
		name string
		of   time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond}} {
		if n := d / unit.of; n > 0 && (unit.name != "d" || n > 1) {
			text += fmt.Sprintf("%d%s", n, unit.name)
			d %= unit.of
		}
	}
	if d > 0 {
		text += d.String() // finer than the language has units
	}
	return text
}
