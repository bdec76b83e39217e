package policyfile

import (
	"fmt"
	"time"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/config/strictyaml"
)

// asked is the spec of an Exception document as somebody writes it who asks for it at run time: who approves is not for
// them to say, and it may begin at once.
type asked struct {
	Subjects []policy.ExceptionSubject `yaml:"subjects"`
	Devices  []string                  `yaml:"devices"`
	Routes   []string                  `yaml:"routes"`
	Signals  []string                  `yaml:"signals"`
	Reason   string                    `yaml:"reason,omitempty"`
	Ticket   string                    `yaml:"ticket,omitempty"`
	From     time.Time                 `yaml:"from,omitempty"`
	Until    time.Time                 `yaml:"until,omitempty"`
	Renews   string                    `yaml:"renews,omitempty"`
}

// ParseAskedException reads one Exception document that is asked for at run time, as strictly as those of a directory, but
// that it names no approver, and that from, until, reason and ticket may be missing. Problems name it as file.
func ParseAskedException(file string, data []byte) (policy.Exception, strictyaml.Problems) {
	documents, problems := strictyaml.Parse(file, data)
	if len(problems) > 0 {
		return policy.Exception{}, problems
	}
	if len(documents) != 1 {
		return policy.Exception{}, strictyaml.Problems{{Position: strictyaml.Position{File: file},
			Message: fmt.Sprintf("there are %d documents", len(documents)), Help: "write one Exception document"}}
	}
	d := documents[0]
	d.Title = "the document"
	var h header
	problems = d.Decode("", &h)
	switch {
	case len(problems) > 0:
		return policy.Exception{}, problems.Sorted()
	case h.APIVersion != APIVersion:
		return policy.Exception{}, strictyaml.Problems{
			d.Problem("apiVersion", fmt.Sprintf("apiVersion is %q", h.APIVersion), "write "+APIVersion)}
	case h.Kind != policy.KindException:
		return policy.Exception{}, strictyaml.Problems{d.Problem("kind", "this is no Exception", "kind: Exception")}
	}
	d.Title = policy.KindException
	d.Unknown = func(_, field string) (string, string, bool) {
		return "who approves is not for the one to say who asks", "remove it; the receiver writes who did", field == "approver"
	}
	var a asked
	if problems := d.Decode("spec", &a); len(problems) > 0 {
		return policy.Exception{}, problems.Sorted()
	}
	return policy.Exception{Meta: h.Meta, Subjects: a.Subjects, Devices: a.Devices, Routes: a.Routes, Signals: a.Signals,
		Reason: a.Reason, Ticket: a.Ticket, From: a.From, Until: a.Until, Renews: a.Renews}, nil
}
