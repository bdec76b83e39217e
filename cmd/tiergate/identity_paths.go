package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/tiergate/tiergate/authz/inventory"
	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/cmd/tiergate/admin"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals"
)

// What the verbs `identity` ask, on the receiver's admin socket:
//
//	GET  /v1/identities             identityList, joined by the policy of the receiver's process
//	GET  /v1/identities/observed    observedIdentities
//	POST /v1/identities/import      an identityOrder, answered with an identityReceipt

// identityList is GET /v1/identities.
type identityList struct {
	At         time.Time          `json:"at"`
	Policy     string             `json:"policy"` // digest
	Identities []inventory.Joined `json:"identities"`
	Unread     []string           `json:"unread,omitempty"`
}

// maxImportOrder bounds the body of an import: of the largest that the formats allow.
const maxImportOrder = 192 << 20

// identityPaths has a receiver's admin socket serve the inventory over the store: signed where it is shared.
func identityPaths(mux *http.ServeMux, s *config.Settings, store signals.Store, g ground, o *observer) error {
	signed, err := sealedStore(s, store)
	if err != nil {
		return err
	}
	book := &identityBook{raw: store, signed: signed, now: time.Now}
	mux.HandleFunc("GET /v1/identities", func(w http.ResponseWriter, req *http.Request) {
		_ = admin.Grant(w, identitiesWithin) // where it cannot be, it must do with less
		list, err := book.list(req, g.policy(), g.missing)
		identityAnswer(w, list, err)
	})
	mux.HandleFunc("GET /v1/identities/observed", func(w http.ResponseWriter, req *http.Request) {
		_ = admin.Grant(w, identitiesWithin)
		seen, err := book.read(req.Context())
		identityAnswer(w, seen, err)
	})
	mux.HandleFunc("POST /v1/identities/import", func(w http.ResponseWriter, req *http.Request) {
		by, ok := admin.Peer(req.Context())
		if !ok {
			admin.Refuse(w, http.StatusForbidden, "the kernel did not say who asks")
			return
		}
		var order identityOrder
		decoder := json.NewDecoder(http.MaxBytesReader(w, req.Body, maxImportOrder))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&order); err != nil {
			identityAnswer(w, nil, unreadableOrder(err))
			return
		}
		_ = admin.Grant(w, identitiesWithin)
		receipt, err := book.take(req.Context(), &order, by)
		if err == nil {
			o.log.Info("identities were imported", zap.String("system", order.System), zap.String("part", order.Part),
				zap.String("by", by), zap.Int("listed", receipt.Listed), zap.Int("added", receipt.Added),
				zap.Int("changed", receipt.Changed), zap.Int("gone", receipt.Gone))
		}
		identityAnswer(w, receipt, err)
	})
	return nil
}

// withIdentities is what a receiver's admin socket serves, and the inventory.
func withIdentities(verbs http.Handler, s *config.Settings, store signals.Store, g ground, o *observer) (http.Handler, error) {
	mux := http.NewServeMux()
	mux.Handle("/", verbs)
	return mux, identityPaths(mux, s, store, g, o)
}

// identityAnswer writes a value without indentation: there may be a hundred thousand identities in it.
func identityAnswer(w http.ResponseWriter, value any, err error) {
	switch {
	case err == nil:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(value) // the reader went away; there is nobody to tell
	case errors.Is(err, errOrder):
		admin.Refuse(w, http.StatusBadRequest, err.Error())
	case errors.Is(err, errReplaces):
		admin.Refuse(w, http.StatusConflict, err.Error())
	default:
		admin.Refuse(w, http.StatusServiceUnavailable, err.Error())
	}
}

// list joins what is known by a policy.
func (b *identityBook) list(req *http.Request, p *policy.Policy, missing func() string) (*identityList, error) {
	if p == nil {
		return nil, fmt.Errorf("there is no policy to join the inventory with: %s", missing())
	}
	seen, err := b.read(req.Context())
	if err != nil {
		return nil, err
	}
	return &identityList{At: seen.At, Policy: p.Digest(), Unread: seen.Unread, Identities: inventory.Join(seen.world(p))}, nil
}

func (o *observedIdentities) world(p *policy.Policy) *inventory.World {
	return &inventory.World{At: o.At, Policy: p, Sightings: o.Sightings, Entries: o.Entries, Days: o.Days}
}
