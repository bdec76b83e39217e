package unary

import (
	"net"
	"sync"
	"syscall"
	"time"
)

const (
	// maxBacklog bounds what waits for a client that does not read. Until then its requests are still read: one that writes
	// much before it reads would otherwise stand still, and so would we.
	maxBacklog = 4 << 20
	// writePatience is how long a client may take none of it.
	writePatience = 10 * time.Second
)

// outbox is what waits to be written to a connection. Whoever flushes it writes what the socket takes at once; for the rest a
// goroutine waits. All of it is under a lock, which nobody holds while he waits for a client.
type outbox struct {
	nc     net.Conn
	out    []byte
	spawn  func(func())
	idle   *sync.Cond // nobody writes
	busy   bool       // somebody does
	failed error      // why nobody will any more

	raw   syscall.RawConn // nil: what it takes at once cannot be found out
	try   func(fd uintptr) bool
	taken int
}

// newOutbox is under the lock.
func newOutbox(nc net.Conn, lock *sync.Mutex, spawn func(func())) *outbox {
	o := &outbox{nc: nc, spawn: spawn, idle: sync.NewCond(lock)}
	if socket, ok := nc.(syscall.Conn); ok {
		if raw, err := socket.SyscallConn(); err == nil {
			o.raw = raw
		}
	}
	o.try = func(fd uintptr) bool {
		o.taken, _ = syscall.Write(int(fd), o.out) // of an error the goroutine that waits tells
		return true
	}
	return o
}

// flush writes what is there. It waits only while too much is.
func (o *outbox) flush() error {
	for o.busy && len(o.out) > maxBacklog {
		o.idle.Wait()
	}
	if o.failed != nil || o.busy || len(o.out) == 0 {
		return o.failed
	}
	o.taken = 0
	if o.raw != nil {
		_ = o.raw.Write(o.try) // of an error the goroutine that waits tells
	}
	if o.taken == len(o.out) {
		o.out = o.out[:0]
		return nil
	}
	rest := o.out[max(o.taken, 0):]
	o.out, o.busy = nil, true
	o.spawn(func() { o.write(rest) })
	return nil
}

// write writes until nothing is left.
func (o *outbox) write(rest []byte) {
	for {
		_ = o.nc.SetWriteDeadline(time.Now().Add(writePatience)) // of a connection that is broken, writing tells
		_, err := o.nc.Write(rest)
		o.idle.L.Lock()
		if err != nil {
			o.failed = err
			_ = o.nc.Close() // whoever reads finds out
		}
		if err != nil || len(o.out) == 0 {
			_ = o.nc.SetWriteDeadline(time.Time{})
			o.busy = false
			o.idle.Broadcast()
			o.idle.L.Unlock()
			return
		}
		rest, o.out = o.out, nil
		o.idle.L.Unlock()
	}
}

// settle waits until all that was flushed is written, or nobody will.
func (o *outbox) settle() {
	for o.busy {
		o.idle.Wait()
	}
}
