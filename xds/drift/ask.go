package drift

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	// maxDump bounds a config_dump in bytes: 10,000 routes take about 10 MiB. It is read resource by resource.
	maxDump = 256 << 20
	// maxWord bounds the other answers.
	maxWord = 4 << 20
	// answerWithin bounds one answer: Envoy's main thread writes it, while nothing else is configured.
	answerWithin = 15 * time.Second
	// maxDrain is how long a changed listener may serve those who are connected as it did before (--drain-time-s).
	maxDrain = 30 * time.Second
)

// adminOf asks the admin interface behind a Unix socket.
type adminOf struct {
	socket string
	bound  int64         // of a dump, in bytes
	within time.Duration // of one answer
}

// get hands the body of an answer to read, which gets no more than limit bytes and an error where there are more.
func (a adminOf) get(ctx context.Context, path string, limit int64, read func(io.Reader) error) error {
	ctx, cancel := context.WithTimeout(ctx, a.within)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://envoy"+path, nil)
	if err != nil {
		return err
	}
	transport := &http.Transport{DisableKeepAlives: true, ResponseHeaderTimeout: a.within,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", a.socket)
		}}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return fmt.Errorf("Envoy's admin interface does not answer %s: %w", path, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("Envoy's admin interface answers %s with %s", path, response.Status)
	}
	body := &bounded{from: response.Body, left: limit, path: path}
	if err := read(body); err != nil {
		return fmt.Errorf("%s of Envoy's admin interface: %w", path, err)
	}
	return nil
}

// bounded is a reader that fails where somebody sends more than is believable.
type bounded struct {
	from io.Reader
	left int64
	path string
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errors.New("it is longer than tiergate reads; is something else than Envoy behind the socket?")
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.from.Read(p)
	b.left -= int64(n)
	return n, err
}

// absent reports that nobody listens on the socket: it is not there, or its owner ended.
func absent(socket string) (why string, yes bool) {
	conn, err := net.DialTimeout("unix", socket, time.Second)
	switch {
	case err == nil:
		_ = conn.Close() // it was only to see
		return "", false
	case errors.Is(err, os.ErrNotExist):
		return "there is no " + socket, true
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nobody listens on " + socket, true
	}
	return "", false // asking says what is wrong
}

// serverInfo is of envoy.admin.v3.ServerInfo what is compared.
type serverInfo struct {
	Version string `json:"version"` // revision/1.40.0/Clean/RELEASE/BoringSSL
	State   string `json:"state"`
	Options struct {
		DrainTime string `json:"drain_time"`
	} `json:"command_line_options"`
	Node struct {
		ID string `json:"id"`
	} `json:"node"`
}

func (s serverInfo) version() string {
	if parts := strings.Split(s.Version, "/"); len(parts) > 1 {
		return parts[1]
	}
	return s.Version
}

// server says what of Envoy's state and command line is not as it must be.
func (c *comparison) server(s serverInfo) {
	if s.State != "LIVE" {
		c.differ(Server, "state", Different, "state", fmt.Sprintf("is %s, meant is LIVE", shown(s.State)))
	}
	drain, err := time.ParseDuration(s.Options.DrainTime)
	if err != nil || drain > maxDrain {
		c.differ(Server, "drain_time", Different, "command_line_options.drain_time", fmt.Sprintf("is %s, meant is at most %v: "+
			"start Envoy with --drain-time-s 20, or whoever is connected keeps a changed listener's old rules",
			shown(s.Options.DrainTime), maxDrain))
	}
}

// runtimeSaid is the answer of /runtime.
type runtimeSaid struct {
	Entries map[string]struct {
		Final  string   `json:"final_value"`
		Layers []string `json:"layer_values"`
	} `json:"entries"`
	Layers []string `json:"layers"`
}

// runtime compares the values that stand now, wherever they come from: bootstrap, disk, RTDS or the admin interface.
func (c *comparison) runtime(said runtimeSaid) {
	for key, entry := range said.Entries {
		switch want, known := c.meant.runtime[key]; {
		case !known:
			c.differ(Runtime, key, Unexpected, "", fmt.Sprintf("is %s, meant is not to be set", shown(entry.Final)))
		case want != entry.Final:
			c.differ(Runtime, key, Different, "", fmt.Sprintf("is %s, meant is %s", shown(entry.Final), shown(want)))
		}
	}
	for key := range c.meant.runtime {
		if _, there := said.Entries[key]; !there {
			c.differ(Runtime, key, Missing, "", "is not set, meant is "+shown(c.meant.runtime[key]))
		}
	}
}

// ask asks for all that is compared and compares it.
func (a adminOf) ask(ctx context.Context, m *meant, alsoRead io.Writer) (serverInfo, []Difference, error) {
	c, info, values := newComparison(m), serverInfo{}, runtimeSaid{}
	err := a.get(ctx, "/server_info", maxWord, decodeInto(&info))
	if err == nil && info.Version == "" {
		err = errors.New("the answer of /server_info names no version: is something else than Envoy behind the socket?")
	}
	if err == nil {
		err = a.get(ctx, "/runtime?format=json", maxWord, decodeInto(&values))
	}
	if err == nil {
		err = a.get(ctx, "/config_dump?include_eds", a.bound, func(body io.Reader) error {
			return readDump(io.TeeReader(body, alsoRead), c)
		})
	}
	if err != nil {
		return serverInfo{}, nil, err
	}
	c.server(info)
	c.runtime(values)
	c.missing()
	return info, slices.Clip(sorted(c.found)), nil
}

func decodeInto(out any) func(io.Reader) error {
	return func(body io.Reader) error { return json.NewDecoder(body).Decode(out) }
}
