package signals

// DeviceLink is what a person has decided about names of devices, whatever sources say. Exactly one of Forbid and Same is
// set, with two names or more.
type DeviceLink struct {
	Name   string  // the document's
	Owner  string  // who answers for it
	Reason string  // for people
	Ticket string  // where it was decided
	Forbid []Alias // no two of these ever belong to one device
	Same   []Alias // these are one device
}
