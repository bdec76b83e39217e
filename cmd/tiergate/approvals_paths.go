package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/signals"
)

// What people ask and approve, on the receiver's admin socket and on its listener for people (ingest.approvals):
//
//	GET  /v1/exceptions                 []approvals.Listed, those of the directory too
//	GET  /v1/exceptions/NAME            approvals.Listed
//	POST /v1/exceptions                 an exceptionOrder, answered with approvals.Listed
//	POST /v1/exceptions/NAME/STEP       a stepOrder; approve, refuse, revoke, renew
//	GET  /v1/grace                      []approvals.GraceListed
//	POST /v1/grace/STEP                 a graceOrder; renew, end
//	GET  /v1/clearances                 []approvals.ClearanceListed
//	POST /v1/clearances                 a clearanceOrder
//	POST /v1/clearances/NAME/STEP       a stepOrder; approve, refuse
//
// What is refused is {"error": TEXT, "rule": RULE, "mayApprove": […]}.

// exceptionOrder asks for an exception. From may be zero: at once. Until, or For from the start on.
type exceptionOrder struct {
	policy.Exception `json:"exception"`
	For              time.Duration `json:"for,omitempty"` // ns
}

// stepOrder is one step on what was asked for. Until or For, Ticket: of renew.
type stepOrder struct {
	Reason string        `json:"reason,omitempty"`
	Ticket string        `json:"ticket,omitempty"`
	Until  time.Time     `json:"until,omitzero"`
	For    time.Duration `json:"for,omitempty"` // ns, from now
}

// graceOrder renews or ends the grace of a device.
type graceOrder struct {
	Device string `json:"device"` // serial number, KIND:VALUE, or device id
	Reason string `json:"reason"`
	Ticket string `json:"ticket,omitempty"`
}

// clearanceOrder asks that an alarm be ended.
type clearanceOrder struct {
	Device signals.DeviceID `json:"device"`
	Signal string           `json:"signal"`
	Reason string           `json:"reason"`
	Ticket string           `json:"ticket"`
}

// maxOrder bounds the body of a request.
const maxOrder = 64 << 10

func readOrder(w http.ResponseWriter, req *http.Request, into any) error {
	decoder := json.NewDecoder(http.MaxBytesReader(w, req.Body, maxOrder))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return unreadableOrder(err)
	}
	if decoder.More() {
		return unreadableOrder(fmt.Errorf("more than one value"))
	}
	return nil
}

// approvalPaths serves them; who tells who sent a request, or why that is nobody.
func approvalPaths(mux *http.ServeMux, desk *approvals.Desk, who func(*http.Request) (approvals.Caller, error)) {
	d := &approvalDoor{mux: mux, desk: desk, who: who}
	d.exceptions()
	d.grace()
	d.clearances()
}

// approvalsHandler is approvalPaths alone.
func approvalsHandler(desk *approvals.Desk, who func(*http.Request) (approvals.Caller, error)) http.Handler {
	mux := http.NewServeMux()
	approvalPaths(mux, desk, who)
	return mux
}

type approvalDoor struct {
	mux  *http.ServeMux
	desk *approvals.Desk
	who  func(*http.Request) (approvals.Caller, error)
}

// serve serves a path to whoever is known.
func (d *approvalDoor) serve(path string, do func(http.ResponseWriter, *http.Request, approvals.Caller) (any, error)) {
	d.mux.HandleFunc(path, func(w http.ResponseWriter, req *http.Request) {
		who, err := d.who(req)
		if err != nil {
			approvalAnswer(w, nil, &approvals.Refusal{Rule: approvals.RuleUnknown, Why: err.Error()})
			return
		}
		value, err := do(w, req, who)
		approvalAnswer(w, value, err)
	})
}

func (d *approvalDoor) exceptions() {
	d.serve("GET /v1/exceptions", func(_ http.ResponseWriter, req *http.Request, _ approvals.Caller) (any, error) {
		return d.desk.List(req.Context())
	})
	d.serve("GET /v1/exceptions/{name}", func(_ http.ResponseWriter, req *http.Request, _ approvals.Caller) (any, error) {
		return d.desk.Show(req.Context(), req.PathValue("name"))
	})
	d.serve("POST /v1/exceptions", func(w http.ResponseWriter, req *http.Request, who approvals.Caller) (any, error) {
		var order exceptionOrder
		if err := readOrder(w, req, &order); err != nil {
			return nil, err
		}
		e := order.Exception
		if e.From.IsZero() {
			e.From = d.desk.Now().UTC()
		}
		if order.For > 0 {
			e.Until = e.From.Add(order.For)
		}
		return d.desk.Request(req.Context(), who, e)
	})
	for step, do := range map[string]func(*http.Request, approvals.Caller, string, stepOrder) (approvals.Listed, error){
		"approve": func(req *http.Request, who approvals.Caller, name string, o stepOrder) (approvals.Listed, error) {
			return d.desk.Approve(req.Context(), who, name, o.Reason)
		},
		"refuse": func(req *http.Request, who approvals.Caller, name string, o stepOrder) (approvals.Listed, error) {
			return d.desk.Refuse(req.Context(), who, name, o.Reason)
		},
		"revoke": func(req *http.Request, who approvals.Caller, name string, o stepOrder) (approvals.Listed, error) {
			return d.desk.Revoke(req.Context(), who, name, o.Reason)
		},
		"renew": func(req *http.Request, who approvals.Caller, name string, o stepOrder) (approvals.Listed, error) {
			return d.desk.Renew(req.Context(), who, name, o.Until, o.For, o.Reason, o.Ticket)
		},
	} {
		d.serve("POST /v1/exceptions/{name}/"+step, func(w http.ResponseWriter, req *http.Request, who approvals.Caller) (any, error) {
			var order stepOrder
			if err := readOrder(w, req, &order); err != nil {
				return nil, err
			}
			return do(req, who, req.PathValue("name"), order)
		})
	}
}

func (d *approvalDoor) grace() {
	d.serve("GET /v1/grace", func(_ http.ResponseWriter, req *http.Request, _ approvals.Caller) (any, error) {
		return d.desk.Graces(req.Context())
	})
	d.serve("POST /v1/grace/renew", func(w http.ResponseWriter, req *http.Request, who approvals.Caller) (any, error) {
		var order graceOrder
		if err := readOrder(w, req, &order); err != nil {
			return nil, err
		}
		return d.desk.RenewGrace(req.Context(), who, order.Device, order.Reason, order.Ticket)
	})
	d.serve("POST /v1/grace/end", func(w http.ResponseWriter, req *http.Request, who approvals.Caller) (any, error) {
		var order graceOrder
		if err := readOrder(w, req, &order); err != nil {
			return nil, err
		}
		return d.desk.EndGrace(req.Context(), who, order.Device, order.Reason)
	})
}

func (d *approvalDoor) clearances() {
	d.serve("GET /v1/clearances", func(_ http.ResponseWriter, req *http.Request, _ approvals.Caller) (any, error) {
		return d.desk.Clearances(req.Context())
	})
	d.serve("POST /v1/clearances", func(w http.ResponseWriter, req *http.Request, who approvals.Caller) (any, error) {
		var order clearanceOrder
		if err := readOrder(w, req, &order); err != nil {
			return nil, err
		}
		return d.desk.RequestClear(req.Context(), who, approvals.Clearance{Device: order.Device, Signal: order.Signal}, order.Reason,
			order.Ticket)
	})
	d.serve("POST /v1/clearances/{name}/approve", func(w http.ResponseWriter, req *http.Request, who approvals.Caller) (any, error) {
		var order stepOrder
		if err := readOrder(w, req, &order); err != nil {
			return nil, err
		}
		return d.desk.ApproveClear(req.Context(), who, req.PathValue("name"), order.Reason)
	})
	d.serve("POST /v1/clearances/{name}/refuse", func(w http.ResponseWriter, req *http.Request, who approvals.Caller) (any, error) {
		var order stepOrder
		if err := readOrder(w, req, &order); err != nil {
			return nil, err
		}
		return d.desk.RefuseClear(req.Context(), who, req.PathValue("name"), order.Reason)
	})
}
