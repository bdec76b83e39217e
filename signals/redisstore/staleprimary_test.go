package redisstore

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// pointed is a front that leads to one server after another.
type pointed struct {
	link string
	*proxy
}

func pointTo(t *testing.T, at *server) *pointed {
	t.Helper()
	dir, err := os.MkdirTemp("", "tg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p := &pointed{link: filepath.Join(dir, "now")}
	if err := os.Symlink(at.socket, p.link); err != nil {
		t.Fatal(err)
	}
	p.proxy = through(t, &server{socket: p.link}, nil)
	return p
}

func openAt(t *testing.T, p *pointed) *Store {
	t.Helper()
	return (&server{socket: p.address()}).open(t, nil)
}

// point makes it lead elsewhere, as Sentinels and virtual addresses do.
func (p *pointed) point(t *testing.T, at *server) {
	t.Helper()
	if err := os.Symlink(at.socket, p.link+".next"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(p.link+".next", p.link); err != nil {
		t.Fatal(err)
	}
	p.cut()
}

// TestAStalePrimary: a replica of Valkey that had been cut off is made the primary, without the alarms that were acknowledged
// meanwhile. A sidecar that runs does not go back; the receiver that runs writes again what was lost; and a sidecar that
// starts then lets nobody in who has an alarm.
func TestAStalePrimary(t *testing.T) {
	t.Parallel()
	const devices = 10
	ports := freePorts(t, 2)
	first := serve(t, "--port", fmt.Sprint(ports[0]), "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0")
	second := serve(t, "--port", fmt.Sprint(ports[1]), "--bind", "127.0.0.1", "--replicaof", "127.0.0.1 "+fmt.Sprint(ports[0]))
	eventually(t, "the replica is online", func() error { return synced(first) })
	front, sidecarFront := pointTo(t, first), pointTo(t, first)
	k := &kept{wired: &wired{live: first}, key: newKey(t)}
	k.raw, k.sight = openAt(t, front), openAt(t, sidecarFront)
	k.receive(t, "receiver")
	t.Cleanup(func() { k.stop() })
	running := k.sidecar(t)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%+v %q", running.copied.Status(), k.words())
		}
	})
	serial := func(i int) string { return fmt.Sprint("STALE", i) }
	for i := range devices {
		k.report(t, "first-"+serial(i), serial(i), `{"disk_encryption":true,"compromised":false}`)
	}
	allowed := func(b *begun) (n int) {
		for i := range devices {
			if admits(t, b.checks, serial(i)) {
				n++
			}
		}
		return n
	}
	until(t, "all are let in", func() bool { return allowed(running) == devices })
	until(t, "the replica has caught up", func() bool { return offsetOf(t, first) == offsetOf(t, second) })
	second.do(t, "REPLICAOF", "NO", "ONE")
	for i := range devices {
		k.report(t, "alarm-"+serial(i), serial(i), `{"compromised":true}`)
	}
	until(t, "nobody is let in", func() bool { return allowed(running) == 0 })
	first.kill()
	sidecarFront.point(t, second) // before the receiver knows, so that what is stale is there to be seen
	wrong := 0
	until(t, "the sidecar refuses what is older", func() bool {
		wrong += allowed(running)
		return k.count("regressed") >= devices
	})
	front.point(t, second)
	for deadline := time.Now().Add(time.Minute); k.count("repaired") < devices; {
		wrong += allowed(running)
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d were written again: %q", k.count("repaired"), devices, k.words())
		}
	}
	late := k.sidecar(t)
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		wrong += allowed(running) + allowed(late)
	}
	until(t, "no device is in doubt", func() bool {
		a, b := running.copied.Status(), late.copied.Status()
		return a.InSync && b.InSync && a.Devices == devices && b.Devices == devices && a.Corrupt+b.Corrupt == 0
	})
	for i := range devices {
		p, err := k.store.Posture(t.Context(), k.device(t, serial(i)))
		known, ok, _ := p.Latest("compromised", "mdm")
		if err != nil || !ok || known.Value != signals.Bool(true) {
			t.Errorf("%s: the store has %+v, %v", serial(i), p, err)
		}
	}
	t.Logf("a stale primary without the alarms of %d devices: receiver noticed %d and wrote %d again; replica refused %d older "+
		"revisions; wrong allows %d", devices, k.count("receiver: rolled back"), k.count("repaired"), k.count("regressed"), wrong)
	if wrong > 0 {
		t.Errorf("%d wrong allows", wrong)
	}
	k.report(t, "well", serial(0), `{"compromised":false}`)
	until(t, "a later all-clear counts", func() bool { return allowed(running) == 1 && allowed(late) == 1 })
}

// count is how many things were told that begin so.
func (k *kept) count(beginning string) (n int) {
	for _, line := range k.words() {
		if strings.HasPrefix(line, beginning) {
			n++
		}
	}
	return n
}

// offsetOf is how far a server's stream of writes has come.
func offsetOf(t *testing.T, s *server) string {
	t.Helper()
	_, after, _ := strings.Cut(s.do(t, "INFO", "replication").(string), "master_repl_offset:")
	offset, _, found := strings.Cut(after, "\r\n")
	if !found {
		t.Fatal("the server tells no offset")
	}
	return offset
}
