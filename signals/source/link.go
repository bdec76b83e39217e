package source

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// GetPage is GetJSON for a vendor that links the next page in the header Link (RFC 8288, rel="next"), as Okta does. next is
// that link, absolute, or empty if there is none; Follow judges whether it may be asked. linked tells whether the answer had
// any Link at all: a list that always links itself, and has lost that on the way, may have lost the next page too. A header
// that cannot be read, or with two different next pages, is an error: else a list would seem to end there.
func (c *Client) GetPage(ctx context.Context, path string, query url.Values) (body []byte, next string, linked bool, err error) {
	body, header, err := c.ask(ctx, http.MethodGet, path, query, nil)
	if err != nil {
		return nil, "", false, err
	}
	values := header.Values("Link")
	next, err = nextLink(values)
	if err == nil && next != "" {
		asked := *c.base
		asked.Path += path
		var u *url.URL
		if u, err = asked.Parse(next); err == nil {
			next = u.String()
		}
	}
	if err != nil {
		return nil, "", false, fmt.Errorf("GET %s: the header Link cannot be read, so that nobody knows whether the list goes on", path)
	}
	return body, next, len(values) > 0, nil
}

var errLink = errors.New("the header Link does not follow RFC 8288 section 3")

// nextLink finds the target with the relation next. A link with an anchor is about something else (section 3.2).
func nextLink(values []string) (next string, err error) {
	for _, rest := range values {
		for rest = strings.TrimLeft(rest, " \t,"); rest != ""; rest = strings.TrimLeft(rest, " \t,") {
			target, after, closed := strings.Cut(rest, ">")
			if target[:min(1, len(target))] != "<" || !closed {
				return "", errLink
			}
			target = target[1:]
			params, after, ok := linkParameters(after)
			if !ok {
				return "", errLink
			}
			rest = after
			_, elsewhere := params["anchor"]
			for _, relation := range strings.Fields(strings.ToLower(params["rel"])) {
				if relation != "next" || elsewhere {
					continue
				}
				if target == "" || next != "" && next != target {
					return "", errLink
				}
				next = target
			}
		}
	}
	return next, nil
}

// linkParameters reads what stands behind a target; of a parameter that stands twice the first counts (section 3.3).
func linkParameters(text string) (params map[string]string, rest string, ok bool) {
	params = map[string]string{}
	for {
		text = strings.TrimLeft(text, " \t")
		if text == "" || text[0] == ',' {
			return params, text, true
		}
		if text[0] != ';' {
			return nil, "", false
		}
		text = strings.TrimLeft(text[1:], " \t")
		end := strings.IndexAny(text+";", "=;, \t")
		name := strings.ToLower(text[:end])
		text = strings.TrimLeft(text[end:], " \t")
		value := ""
		if strings.HasPrefix(text, "=") {
			if value, text, ok = linkValue(strings.TrimLeft(text[1:], " \t")); !ok {
				return nil, "", false
			}
		}
		if _, twice := params[name]; !twice {
			params[name] = value
		}
	}
}

// linkValue reads a token or a quoted string.
func linkValue(text string) (value, rest string, ok bool) {
	if !strings.HasPrefix(text, `"`) {
		end := strings.IndexAny(text+";", ";, \t")
		return text[:end], text[end:], true
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == '"':
			return b.String(), text[i+1:], true
		case text[i] == '\\' && i+1 < len(text):
			i++
		}
		b.WriteByte(text[i])
	}
	return "", "", false
}
