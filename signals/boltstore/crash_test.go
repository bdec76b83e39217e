package boltstore

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/tiergate/tiergate/signals"
)

// crashFile names the file in which this test binary, started again as a child, writes until it is killed.
const crashFile = "TIERGATE_TEST_CRASH_FILE"

// TestKilledWhileWriting: killed at any moment, the file opens again and has everything that was acknowledged.
func TestKilledWhileWriting(t *testing.T) {
	t.Parallel()
	if file := os.Getenv(crashFile); file != "" {
		writeForever(t, file)
		return
	}
	file := filepath.Join(t.TempDir(), "store.db")
	acknowledged := map[string]signals.Revision{}
	kills, answers := 0, 0
	for range prove(12, 200) {
		child := exec.Command(os.Args[0], "-test.run", "^TestKilledWhileWriting$")
		child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		child.Env = append(os.Environ(), crashFile+"="+file)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		kill := time.AfterFunc(time.Minute, func() { _ = child.Process.Kill() })
		lines, heard := bufio.NewScanner(out), 0
		for lines.Scan() {
			var device string
			var revision signals.Revision
			if n, _ := fmt.Sscanf(lines.Text(), "ack %s %d", &device, &revision); n != 2 {
				continue
			}
			acknowledged[device] = max(revision, acknowledged[device])
			if heard++; heard == 1 {
				kill.Reset(time.Duration(rand.IntN(40)) * time.Millisecond)
			}
		}
		_ = child.Wait()
		if heard == 0 {
			t.Fatal("the child acknowledged nothing")
		}
		checkKept(t, file, acknowledged)
		kills++
		answers += heard
	}
	if !t.Failed() {
		t.Logf("killed %d times, %d writes acknowledged, 0 lost", kills, answers)
	}
}

func checkKept(t *testing.T, file string, acknowledged map[string]signals.Revision) {
	t.Helper()
	s, err := Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for device, revision := range acknowledged {
		p, err := s.Posture(t.Context(), signals.DeviceID(device))
		if err != nil || p.Revision < revision {
			t.Errorf("%s: revision %d was acknowledged, %d is there (%v)", device, revision, p.Revision, err)
		}
		r, err := s.Record(t.Context(), "k", device)
		if err != nil || r.Revision < revision {
			t.Errorf("record %s: revision %d was acknowledged, %d is there (%v)", device, revision, r.Revision, err)
		}
	}
}

// writeForever says "ack <device> <revision>" after a posture and a record of that revision were acknowledged.
func writeForever(t *testing.T, file string) {
	s, err := Open(file)
	if err != nil {
		t.Fatal(err)
	}
	for w := range 4 {
		go func() {
			device := fmt.Sprint("device", w)
			p, _ := s.Posture(context.Background(), signals.DeviceID(device))
			r, _ := s.Record(context.Background(), "k", device)
			for n := max(p.Revision, r.Revision) + 1; ; n++ {
				next := signals.Record{Kind: "k", Key: device, Revision: n, Value: make([]byte, 500)}
				if err := s.PutPosture(context.Background(), small(device, n), p.Revision); err != nil {
					panic(err)
				}
				if err := s.PutRecord(context.Background(), next, r.Revision); err != nil {
					panic(err)
				}
				p.Revision, r.Revision = n, n
				fmt.Printf("ack %s %d\n", device, n)
			}
		}()
	}
	time.Sleep(2 * time.Minute)
}
