package xds

import (
	"bytes"
	"io"
	"net"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

func encoded(fields []hpack.HeaderField) []byte {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, f := range fields {
		encoder.WriteField(f)
	}
	return block.Bytes()
}

// accepting hands each connection to serve until the test ends, and closes it then.
func accepting(t *testing.T, serve func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			go serve(conn)
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// refusesStreams speaks HTTP/2 and answers every request with REFUSED_STREAM: it has not looked at it.
func refusesStreams(t *testing.T) (address string, refused *atomic.Int32) {
	refused = new(atomic.Int32)
	return accepting(t, func(conn net.Conn) {
		io.ReadFull(conn, make([]byte, len(http2.ClientPreface)))
		framer := http2.NewFramer(conn, conn)
		framer.WriteSettings()
		for {
			frame, err := framer.ReadFrame()
			if err != nil {
				return
			}
			switch f := frame.(type) {
			case *http2.SettingsFrame:
				if !f.IsAck() {
					framer.WriteSettingsAck()
				}
			case *http2.HeadersFrame:
				refused.Add(1)
				framer.WriteRSTStream(f.StreamID, http2.ErrCodeRefusedStream)
			}
		}
	}), refused
}

// takesAndCloses reads the beginning of a request and closes the connection without a word: perhaps it has done it.
func takesAndCloses(t *testing.T) (address string, taken *atomic.Int32) {
	taken = new(atomic.Int32)
	return accepting(t, func(conn net.Conn) {
		if n, _ := conn.Read(make([]byte, 64<<10)); n > 0 {
			taken.Add(1)
		}
		conn.Close()
	}), taken
}
