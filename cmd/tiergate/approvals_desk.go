package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/tiergate/tiergate/authz/approvals"
	"github.com/tiergate/tiergate/authz/evidence"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/cmd/tiergate/admin"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals"
)

// ground is what the desk of a receiver's process stands on: in `ingest` the policy directory that it follows, in `serve`
// the policy in force there and the record of decisions.
type ground struct {
	policy  func() *policy.Policy
	missing func() string                                  // what to do where there is no policy
	record  func(*evidence.Change) *evidence.ChangeReceipt // nil: no evidence is kept here, the log has it
}

// receiverDesk is where people ask and approve, over the store as the receiver uses it: signed where it is shared.
func receiverDesk(s *config.Settings, store signals.Store, g ground, o *observer) (*approvals.Desk, error) {
	store, err := sealedStore(s, store)
	if err != nil {
		return nil, err
	}
	return &approvals.Desk{Records: store, Postures: store, Policy: g.policy, Missing: g.missing, Now: time.Now,
		Random: func() string { return strings.ToLower(rand.Text()[:10]) },
		Done:   func(_ context.Context, act approvals.Act) { o.approved(act, g.record) }}, nil
}

// withDesk is what a receiver's admin socket serves, and the desk.
func withDesk(verbs http.Handler, desk *approvals.Desk) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", verbs)
	approvalPaths(mux, desk, localCaller)
	return mux
}

// changeOf are the kinds of changes by the kinds of records.
var changeOf = map[string]evidence.ChangeKind{approvals.KindException: evidence.ChangeException,
	approvals.KindGrace: evidence.ChangeGrace, approvals.KindClearance: evidence.ChangeClearance}

// approved tells of a step: always in the log, and in the record of decisions where there is one. The step itself is in the
// store by now, with its whole history; that it could not be put on record as well is said.
func (o *observer) approved(act approvals.Act, record func(*evidence.Change) *evidence.ChangeReceipt) {
	fields := []zap.Field{zap.String("kind", act.Kind), zap.String("name", act.Name), zap.String("step", string(act.Step)),
		zap.String("by", act.By.String()), zap.String("way", string(act.By.Way)), zap.String("reason", act.Reason),
		zap.String("ticket", act.Ticket), zap.String("policy", act.Policy)}
	o.log.Info("somebody acted on "+act.Kind, fields...)
	if record == nil {
		return
	}
	told := time.NewTimer(stepWithin)
	defer told.Stop()
	receipt := record(&evidence.Change{At: act.At, Kind: changeOf[act.Kind], Policy: act.Policy, By: act.By.String(),
		Step: string(act.Step), Name: act.Name, Reason: act.Reason, Ticket: act.Ticket})
	late := func() {
		<-receipt.Done()
		if !receipt.Kept() {
			o.log.Error("a step is in the store and not in the record of decisions", fields...)
		}
	}
	select {
	case <-receipt.Done():
		late()
	case <-told.C:
		go late()
	}
}

// stepWithin is how long the answer to a step waits for its record; what comes later is told in the log if it fails.
const stepWithin = time.Second

// localCaller is who asks over an admin socket: a user of this machine, which admits only the one who runs tiergate.
func localCaller(req *http.Request) (approvals.Caller, error) {
	name, ok := admin.Peer(req.Context())
	if !ok {
		return approvals.Caller{}, errors.New("the kernel did not say who asks")
	}
	return approvals.Caller{Person: approvals.Person{Way: approvals.WaySocket, Name: name}}, nil
}

// statusOf is the HTTP status of a refusal.
func statusOf(rule approvals.Rule) int {
	switch rule {
	case approvals.RuleNotFound:
		return http.StatusNotFound
	case approvals.RuleUnknown, approvals.RuleRequester, approvals.RuleSubject, approvals.RuleUnnamed:
		return http.StatusForbidden
	case approvals.RuleNoPolicy:
		return http.StatusServiceUnavailable
	case approvals.RuleState, approvals.RuleName, approvals.RuleNoGrace, approvals.RuleRenewals, approvals.RuleContested,
		approvals.RuleTooLate:
		return http.StatusConflict
	default: // what was asked for cannot be
		return http.StatusUnprocessableEntity
	}
}

// approvalAnswer writes a value, or why there is none: {"error": TEXT, "rule": RULE}.
func approvalAnswer(w http.ResponseWriter, value any, err error) {
	var refusal *approvals.Refusal
	switch {
	case err == nil:
		admin.Answer(w, http.StatusOK, value)
	case errors.As(err, &refusal):
		admin.Answer(w, statusOf(refusal.Rule), map[string]any{"error": err.Error(), "rule": refusal.Rule, "mayApprove": refusal.MayApprove})
	case errors.Is(err, approvals.ErrBusy):
		admin.Refuse(w, http.StatusConflict, err.Error())
	case errors.Is(err, errOrder):
		admin.Refuse(w, http.StatusBadRequest, err.Error())
	default:
		admin.Refuse(w, http.StatusServiceUnavailable, err.Error())
	}
}

// errOrder is a body that is none of what is asked for.
var errOrder = errors.New("the request cannot be read")

func unreadableOrder(err error) error { return fmt.Errorf("%w: %w", errOrder, err) }
