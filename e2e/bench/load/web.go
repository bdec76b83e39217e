package load

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Web drives an HTTP/1.1 server over mutual TLS on the Unix socket of o, each connection with one request in flight.
// o.Request is the whole request, of a method without a body; every answer must have status 200.
func Web(o Options, client *tls.Config) (Result, error) {
	o.InFlight = 1
	if err := o.check(); err != nil {
		return Result{}, err
	}
	if o.Rate > 0 {
		return Result{}, errors.New("requests through Envoy are driven in a closed loop; leave the rate out")
	}
	w := newWatch()
	var clients sync.WaitGroup
	var connections []*tls.Conn
	end := func() {
		w.phase.Store(phaseOver)
		for _, c := range connections {
			_ = c.Close() // with a request under way; that is how it ends
		}
		clients.Wait()
	}
	counted := make([]*histogram, 0, o.Connections)
	for range o.Connections {
		c, err := dialTLS(o.Socket, client)
		if err != nil {
			end()
			return Result{}, err
		}
		h := &histogram{}
		connections, counted = append(connections, c), append(counted, h)
		clients.Go(func() { w.fail(ask(c, o.Request, w, h)) })
	}
	result, err := w.run(&o)
	end()
	if err != nil {
		return Result{}, err
	}
	return result, result.finish(counted)
}

func dialTLS(socket string, client *tls.Config) (*tls.Conn, error) {
	plain, err := net.Dial("unix", socket)
	if err != nil {
		return nil, fmt.Errorf("connect to the server: %w", err)
	}
	c := tls.Client(plain, client)
	if err := c.Handshake(); err != nil {
		return nil, errors.Join(fmt.Errorf("handshake with the server: %w", err), plain.Close())
	}
	return c, nil
}

// ask sends the request again and again until the phase is over.
func ask(c net.Conn, request []byte, w *watch, h *histogram) error {
	answers := bufio.NewReader(c)
	for w.phase.Load() != phaseOver {
		began := time.Now()
		if _, err := c.Write(request); err != nil {
			return fmt.Errorf("send a request: %w", err)
		}
		if err := readAnswer(answers); err != nil {
			return err
		}
		if w.phase.Load() == phaseMeasure {
			h.record(time.Since(began))
		}
	}
	return nil
}

// readAnswer wants a 200 with a content-length and reads all of it.
func readAnswer(r *bufio.Reader) error {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return fmt.Errorf("read an answer: %w", err)
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("the answer is %q and should be a 200", strings.TrimSpace(string(line)))
	}
	length := -1
	for {
		if line, err = r.ReadSlice('\n'); err != nil {
			return fmt.Errorf("read the headers of an answer: %w", err)
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			break
		}
		if value, ok := bytes.CutPrefix(line, []byte("content-length: ")); ok {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return fmt.Errorf("the content-length of an answer: %w", err)
			}
		}
	}
	if length < 0 {
		return errors.New("the answer has no content-length")
	}
	_, err = r.Discard(length)
	return err
}
