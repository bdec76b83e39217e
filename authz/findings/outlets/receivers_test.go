package outlets_test

import (
	"testing"

	"github.com/tiergate/tiergate/authz/findings/outlets"
	"github.com/tiergate/tiergate/signals"
)

// TestTwoReceivers: one of them sends, what the other queues too; when it ends the other goes on. What nobody has signed is not
// told.
func TestTwoReceivers(t *testing.T) {
	t.Parallel()
	socket := valkey(t)
	a, b := &fake{}, &fake{}
	first := outlets.New(openValkey(t, socket), outlets.Options{Outlets: one("hook", a), Name: "first"})
	stop := start(t, first)
	must(t, first.Put(t.Context(), "hook", event(1, 1)))
	eventually(t, "the first tells", func() bool { return len(a.got()) == 1 })
	said := &diary{}
	store := openValkey(t, socket)
	second := outlets.New(store, outlets.Options{Outlets: one("hook", b), Name: "second", Events: said.events()})
	start(t, second)
	must(t, second.Put(t.Context(), "hook", event(2, 2)))
	eventually(t, "the first tells what the second queued", func() bool { return len(a.got()) == 2 })
	if len(b.got()) > 0 {
		t.Error("both tell")
	}
	stop()
	must(t, second.Put(t.Context(), "hook", event(3, 3)))
	eventually(t, "the second goes on", func() bool { return len(b.got()) == 1 })
	must(t, store.PutRecord(t.Context(), signals.Record{Kind: outlets.KindQueue, Key: "hook/0-0", Revision: 1, Value: []byte("{}")}, 0))
	eventually(t, "it says what it cannot read", func() bool { return said.count("distrusted outlet-queue hook/0-0") == 1 })
}
