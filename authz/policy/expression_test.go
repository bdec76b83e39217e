package policy

import (
	"testing"

	"github.com/tiergate/tiergate/signals"
)

func TestExpressionIsThreeValued(t *testing.T) {
	t.Parallel()
	env, err := newEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	yes, no, unknown := signals.Bool(true), signals.Bool(false), signals.Unknown
	for _, c := range []struct {
		expr string
		a, b signals.Value // disk_encryption, firewall
		want Status
	}{
		{"device.disk_encryption", yes, unknown, StatusPassing},
		{"device.disk_encryption", no, unknown, StatusFailing},
		{"device.disk_encryption", unknown, yes, StatusUnknown},
		{"!device.disk_encryption", no, yes, StatusPassing},
		{"device.disk_encryption || device.firewall", yes, unknown, StatusPassing},
		{"device.disk_encryption || device.firewall", unknown, yes, StatusPassing},
		{"device.disk_encryption || device.firewall", no, unknown, StatusUnknown},
		{"device.disk_encryption && device.firewall", no, unknown, StatusFailing},
		{"device.disk_encryption && device.firewall", yes, unknown, StatusUnknown},
		{"device.disk_encryption ? device.firewall : true", unknown, yes, StatusUnknown},
	} {
		e, faults := compileExpression(env, c.expr)
		if faults != nil {
			t.Fatalf("%s: %v", c.expr, faults)
		}
		got := e.judge(func(name string) signals.Value {
			if name == "disk_encryption" {
				return c.a
			}
			return c.b
		})
		if got != c.want {
			t.Errorf("%s with %v, %v = %v, want %v", c.expr, c.a, c.b, got, c.want)
		}
	}
}

func TestExpressionFaultsSayWhere(t *testing.T) {
	t.Parallel()
	env, err := newEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		expr   string
		offset int
	}{
		{"device.disk_encrypted", 6},
		{"true &&\n  device.nope", 10},
		{"device.edr_risk_score > \"a\"", 22},
		{"device.os_version", 0},
		{"1 + ", 4},
		{"true", 0},
	} {
		_, faults := compileExpression(env, c.expr)
		if len(faults) == 0 {
			t.Errorf("%q was accepted", c.expr)
			continue
		}
		if got := faults[0].offset; got != c.offset {
			t.Errorf("%q: fault at rune %d, want %d: %s", c.expr, got, c.offset, faults[0].message)
		}
	}
}
