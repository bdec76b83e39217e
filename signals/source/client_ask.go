package source

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// GetJSON asks for path (which begins with a slash and follows Base) and returns a body that passes CheckJSON.
//
// The error wraps ErrGone for 404 and 410. It is a *Busy where asking later may help: 429, 408, 425 and 5xx, with the
// vendor's Retry-After (seconds or date, RFC 9110 section 10.2.3, at most one hour) or else 1 s doubling to 5 min, and
// likewise when the vendor cannot be reached or its answer breaks off. While a Busy lasts nobody is asked and the same
// is answered. After 401 the credentials are fetched anew, once.
func (c *Client) GetJSON(ctx context.Context, path string, query url.Values) ([]byte, error) {
	body, _, err := c.ask(ctx, http.MethodGet, path, query, nil)
	return body, err
}

// PostJSON is GetJSON by POST, for vendors that want a list of ids, or a query, in a body: body is sent as JSON. It must
// be a question: it may be asked twice, and a redirect is not followed.
func (c *Client) PostJSON(ctx context.Context, path string, query url.Values, body any) ([]byte, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("POST %s: %w", path, err)
	}
	answer, _, err := c.ask(ctx, http.MethodPost, path, query, raw)
	return answer, err
}

// ask returns the answer's body and header.
func (c *Client) ask(
	ctx context.Context, method, path string, query url.Values, question []byte,
) ([]byte, http.Header, error) {
	target := *c.base
	target.Path += path
	target.RawQuery = query.Encode()
	for again := false; ; again = true {
		authorization, err := c.login.header(ctx, c)
		if err != nil {
			return nil, nil, fmt.Errorf("no credentials for %s: %w", c.base.Host, err)
		}
		var content io.Reader = http.NoBody
		if question != nil {
			content = bytes.NewReader(question)
		}
		req, err := http.NewRequestWithContext(ctx, method, target.String(), content)
		if err != nil {
			return nil, nil, fmt.Errorf("%s %s: %w", method, path, err)
		}
		for name, values := range c.header {
			req.Header[http.CanonicalHeaderKey(name)] = values
		}
		if question != nil {
			req.Header.Set("Content-Type", "application/json")
		}
		if authorization != "" {
			req.Header.Set("Authorization", authorization)
		}
		status, header, body, err := c.send(req)
		if status == http.StatusUnauthorized && !again && c.login.forget(authorization) {
			continue
		}
		if err == nil && status == http.StatusNoContent {
			return nil, header, nil
		}
		if err == nil {
			err = CheckJSON(body)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%s %s: %w", method, path, err)
		}
		return body, header, nil
	}
}

// Follow turns a link to the next page that a vendor wrote into its answer (Graph's @odata.nextLink, the rel="next" of
// RFC 8288) into what GetJSON takes. A link to another scheme, host or a place outside of the base is an error: it would
// lead the credentials there.
func (c *Client) Follow(link string) (path string, query url.Values, err error) {
	u, err := c.base.Parse(link)
	if err != nil {
		return "", nil, errors.New("the vendor's link to the next page cannot be read")
	}
	if u.Scheme != c.base.Scheme || u.Host != c.base.Host || u.User != nil {
		return "", nil, fmt.Errorf("the vendor's link to the next page leads to %.80q, not to %s; it is not followed",
			u.Host, c.base.Host)
	}
	rest := u.Path
	if c.base.Path != "" {
		var below bool
		if rest, below = cutBase(u.Path, c.base.Path); !below {
			return "", nil, fmt.Errorf("the vendor's link to the next page leads out of %s; it is not followed", c.base.Path)
		}
	}
	query, err = url.ParseQuery(u.RawQuery)
	if err != nil {
		return "", nil, errors.New("the query of the vendor's link to the next page cannot be read")
	}
	return rest, query, nil
}

func cutBase(path, base string) (rest string, below bool) {
	if len(path) <= len(base) || path[:len(base)] != base || path[len(base)] != '/' {
		return "", false
	}
	return path[len(base):], true
}
