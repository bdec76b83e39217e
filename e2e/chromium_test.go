package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// chromium is a real browser without a window, driven by the DevTools protocol over two pipes: no port is opened. Texts in
// it end with a zero byte (https://chromedevtools.github.io/devtools-protocol/, --remote-debugging-pipe).
type chromium struct {
	to io.Writer

	mu      sync.Mutex
	last    int
	waiting map[int]chan spoken
	heard   map[string][]spoken // events, by session
	more    chan struct{}       // closed when another event is there
}

// spoken is a text of the browser: the answer to a command, or an event.
type spoken struct {
	ID      int             `json:"id"`
	Session string          `json:"sessionId"`
	Method  string          `json:"method"`
	Params  json.RawMessage `json:"params"`
	Result  json.RawMessage `json:"result"`
	Error   *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// chromiumPath is the browser of TIERGATE_CHROMIUM, or what make browser has put into .tools.
func chromiumPath(t *testing.T) string {
	t.Helper()
	path := os.Getenv("TIERGATE_CHROMIUM")
	if path == "" {
		path = filepath.Join("..", ".tools", "chromium", "run")
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("there is no browser: %v; run make browser, or set TIERGATE_CHROMIUM to a Chromium or Chrome program", err)
	}
	return path
}

// startChromium starts a browser that finds the named hosts at one address, and no other.
func startChromium(t *testing.T, address string, hosts ...string) *chromium {
	t.Helper()
	dir := made(os.MkdirTemp("", "tg"))(t)
	var rules bytes.Buffer
	for _, host := range hosts {
		fmt.Fprintf(&rules, "MAP %s %s, ", host, address)
	}
	rules.WriteString("MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
	ours, its, err := os.Pipe()
	itsToo, oursToo, errToo := os.Pipe()
	if err != nil || errToo != nil {
		t.Fatal(err, errToo)
	}
	// Containers and root have no sandbox for it; it sees our own pages alone.
	command := exec.CommandContext(context.Background(), chromiumPath(t), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--no-first-run", "--hide-scrollbars", "--disable-background-networking", "--disable-component-update", "--password-store=basic",
		"--ignore-certificate-errors", "--host-resolver-rules="+rules.String(), "--user-data-dir="+dir, "--remote-debugging-pipe", "about:blank")
	said := &bytes.Buffer{}
	command.Stdout, command.Stderr = said, said
	command.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_CACHE_HOME="+dir)
	command.ExtraFiles = []*os.File{itsToo, its} // 3 and 4
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.WaitDelay = 5 * time.Second
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = its.Close(), itsToo.Close()
	c := &chromium{to: oursToo, waiting: map[int]chan spoken{}, heard: map[string][]spoken{}, more: make(chan struct{})}
	ended := make(chan struct{})
	go func() { defer close(ended); c.listen(ours) }()
	t.Cleanup(func() {
		_ = oursToo.Close() // by which it ends; its children are of its group
		timer := time.AfterFunc(5*time.Second, func() { _ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL) })
		_ = command.Wait() // how it ended tells nothing
		timer.Stop()
		_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL) // who is left of the group
		<-ended
		_, _ = ours.Close(), os.RemoveAll(dir)
		if t.Failed() {
			t.Logf("the browser said:\n%.4000s", said)
		}
	})
	return c
}

// listen takes what the browser says until it ends.
func (c *chromium) listen(from io.Reader) {
	for r := bufio.NewReader(from); ; {
		raw, err := r.ReadBytes(0)
		if err != nil {
			return
		}
		var s spoken
		if json.Unmarshal(bytes.TrimSuffix(raw, []byte{0}), &s) != nil {
			continue // nobody waits for what cannot be read; who waits for it in vain says so
		}
		c.mu.Lock()
		if s.ID != 0 {
			c.waiting[s.ID] <- s
			delete(c.waiting, s.ID)
		} else {
			c.heard[s.Session] = append(c.heard[s.Session], s)
			close(c.more)
			c.more = make(chan struct{})
		}
		c.mu.Unlock()
	}
}

// tab is one page that nobody has opened before: without cookies, and with a width and a scheme of its own.
type tab struct {
	*chromium
	t       *testing.T
	session string
	read    int // how many of its events have been looked at
}

// do gives a command and waits for its result, which it reads into result unless that is nil.
func (p *tab) do(method string, params map[string]any, result any) {
	p.t.Helper()
	if params == nil {
		params = map[string]any{}
	}
	answer := make(chan spoken, 1)
	p.mu.Lock()
	p.last++
	command := map[string]any{"id": p.last, "method": method, "params": params}
	if p.session != "" {
		command["sessionId"] = p.session
	}
	p.waiting[p.last] = answer
	raw := append(made(json.Marshal(command))(p.t), 0)
	_, err := p.to.Write(raw)
	p.mu.Unlock()
	if err != nil {
		p.t.Fatalf("%s: the browser is gone: %v", method, err)
	}
	select {
	case s := <-answer:
		if s.Error != nil {
			p.t.Fatalf("%s: %s", method, s.Error.Message)
		}
		if result != nil {
			if err := json.Unmarshal(s.Result, result); err != nil {
				p.t.Fatalf("%s: %v: %s", method, err, s.Result)
			}
		}
	case <-time.After(20 * time.Second):
		p.t.Fatalf("%s: the browser does not answer", method)
	}
}

// eval is the value of an expression on the page; of a promise, what comes of it.
func (p *tab) eval(expression string, value any) {
	p.t.Helper()
	var out struct {
		Result    struct{ Value json.RawMessage }
		Exception *struct{ Text string } `json:"exceptionDetails"`
	}
	p.do("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &out)
	if out.Exception != nil {
		p.t.Fatalf("%.80s: %s", expression, out.Exception.Text)
	}
	if value != nil {
		if err := json.Unmarshal(out.Result.Value, value); err != nil {
			p.t.Fatalf("%.80s: %v: %s", expression, err, out.Result.Value)
		}
	}
}

// until hands over events that have not been looked at, until one is what is waited for.
func (p *tab) until(what string, found func(spoken) bool) {
	p.t.Helper()
	for ctx := soon(p.t, 20*time.Second); ; {
		p.mu.Lock()
		events, more := p.heard[p.session], p.more
		p.mu.Unlock()
		for p.read < len(events) {
			p.read++
			if found(events[p.read-1]) {
				return
			}
		}
		select {
		case <-more:
		case <-ctx.Done():
			p.t.Fatalf("the browser never said that %s", what)
		}
	}
}
