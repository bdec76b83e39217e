package ingest

import (
	"github.com/tiergate/tiergate/signals/revocation"
	"github.com/tiergate/tiergate/signals/ssf"
)

// Kinds are the kinds of all records that receivers write, and sign where the store is sealed.
func Kinds() []string {
	return []string{KindInbox, KindDelivery, KindDeadLetter, KindAlias, KindContested, KindReserved, KindReceiver, KindSync,
		KindSyncPage, KindJoined, revocation.Kind, ssf.KindStream}
}
