package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"
)

// Known is what `tiergate device get -o json` tells of a device: the part of it that the story shows.
type Known struct {
	Device   string      `json:"device"` // its id
	Fault    string      `json:"fault"`  // why its record cannot be believed; empty: it can
	Names    []KnownName `json:"names"`
	Facts    []KnownFact `json:"facts"`
	Standing struct {
		Signals []KnownSignal `json:"signals"`
	} `json:"standing"`
}

// KnownName is a name of the device, KIND:VALUE, and who says so.
type KnownName struct {
	Name string  `json:"name"`
	Said []Namer `json:"said"`
}

// Namer is a source that called the device so.
type Namer struct {
	Source   string    `json:"source"`
	Delivery string    `json:"delivery"` // the first that carried the name, received at At
	At       time.Time `json:"at"`
	With     []string  `json:"with"` // the other names that it gave
}

// KnownFact is one source's word.
type KnownFact struct {
	Attribute string    `json:"attribute"`
	Value     any       `json:"value"` // nil: the source cannot tell
	Source    string    `json:"source"`
	Path      string    `json:"path"` // where in the source's record it stood
	Observed  time.Time `json:"observed"`
	Age       string    `json:"age"`
}

// KnownSignal is how the device stands with one signal of the policy.
type KnownSignal struct {
	Signal   string `json:"signal"`
	Status   string `json:"status"`   // passing, failing or unknown
	Disputed bool   `json:"disputed"` // sources disagree
	Detail   string `json:"detail"`   // what each source said
}

// Listed is one line of `tiergate device list -o json`.
type Listed struct {
	Device  string   `json:"device"`
	Names   []string `json:"names"`
	User    string   `json:"user"`
	Failing []string `json:"failing"` // signals
	Fault   string   `json:"fault"`
}

// Device runs `tiergate device get NAME` against the running `serve`. A device that it does not know is an error.
func (s *Stage) Device(ctx context.Context, name string) (Known, error) {
	var known Known
	out, err := s.verb(ctx, "device", "get", name)
	if err != nil {
		return known, err
	}
	if err := json.Unmarshal(out, &known); err != nil {
		return known, fmt.Errorf("tiergate device get %s wrote what is no JSON: %w", name, err)
	}
	return known, nil
}

// Devices runs `tiergate device list` against the running `serve`.
func (s *Stage) Devices(ctx context.Context) ([]Listed, error) {
	out, err := s.verb(ctx, "device", "list")
	if err != nil {
		return nil, err
	}
	var list []Listed
	for lines := json.NewDecoder(bytes.NewReader(out)); ; {
		var line Listed
		switch err := lines.Decode(&line); {
		case errors.Is(err, io.EOF):
			return list, nil
		case err != nil:
			return nil, fmt.Errorf("tiergate device list wrote what is no JSON: %w", err)
		}
		list = append(list, line)
	}
}

// verbWithin is far above what a verb takes on a busy machine.
const verbWithin = 10 * time.Second

// verb runs a verb of tiergate as an operator would, and returns what it wrote as JSON.
func (s *Stage) verb(ctx context.Context, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, verbWithin)
	defer cancel()
	var out, complaint bytes.Buffer
	command := exec.CommandContext(ctx, s.binaries.Tiergate, append(args, "--config", s.Settings(), "-o", "json")...)
	command.Stdout, command.Stderr = &out, &complaint
	if err := command.Run(); err != nil {
		return nil, fmt.Errorf("tiergate %v: %w: %s", args, err, bytes.TrimSpace(complaint.Bytes()))
	}
	return out.Bytes(), nil
}
