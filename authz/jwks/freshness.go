package jwks

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// freshness reads for how long an answer says it is fresh: max-age less what it spent in caches (RFC 9111, sections
// 4.2.1 and 4.2.3), at least MinFresh and at most MaxFresh. no-store, no-cache and what cannot be read mean MinFresh. 0:
// the answer does not say. s-maxage is for shared caches, and Expires depends on two clocks; neither is looked at.
func freshness(h http.Header) time.Duration {
	said, longest := false, MaxFresh
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "no-store", "no-cache":
			said, longest = true, 0
		case "max-age":
			said, longest = true, min(longest, seconds(strings.Trim(strings.TrimSpace(value), `"`)))
		}
	}
	if !said {
		return 0
	}
	if age := h.Get("Age"); age != "" {
		longest -= seconds(age)
	}
	return max(MinFresh, longest)
}

// seconds reads delta-seconds (RFC 9111, section 1.2.2): more than can be held is a very long time, and what is no number
// is none.
func seconds(text string) time.Duration {
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return 1 << 31 * time.Second
	}
	return time.Duration(n) * time.Second
}
