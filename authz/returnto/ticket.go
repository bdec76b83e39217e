package returnto

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Lifetime is how long a ticket counts: time for a person to log in.
const Lifetime = 10 * time.Minute

// clockSkew is how far the clocks of tiergate and of a login application may be apart.
const clockSkew = time.Minute

// The kinds of a ticket.
const (
	kindAny   = "any"
	kindAsked = "asked"
)

// Why a ticket does not count.
var (
	ErrForged  = errors.New("the " + ParamTicket + " is not one by this key for these values")
	ErrExpired = errors.New("the " + ParamTicket + " has expired; begin again at the application that was asked for")
)

// Sign makes the ticket of a Return, which counts from an instant for Lifetime. The error says which value is none that a
// browser may be sent with.
func (k Key) Sign(r *Return, at time.Time) error {
	if err := r.check(); err != nil {
		return err
	}
	if len(k.secret) == 0 {
		return errors.New("there is no key")
	}
	expires := strconv.FormatInt(at.Add(Lifetime).Unix(), 10)
	r.Ticket = "v1." + expires + "." + r.kind() + "." + base64.RawURLEncoding.EncodeToString(k.mac(r, expires))
	return nil
}

// kind says in the open whether anything particular was asked for.
func (r *Return) kind() string {
	if r.ACR == "" && r.MaxAge == "" {
		return kindAny
	}
	return kindAsked
}

func (k Key) mac(r *Return, expires string) []byte {
	h := hmac.New(sha256.New, k.secret)
	for _, line := range [...]string{"tiergate-return-v1", expires, r.Host, r.Route, r.Path, r.ACR, r.MaxAge} {
		h.Write([]byte(line))
		h.Write([]byte{'\n'})
	}
	return h.Sum(nil)
}

// Verify reads the query that a browser came to the login application with, at an instant, and believes what one of the keys
// has signed: several count, so that a key can be replaced. A query of which any parameter is missing, double or changed is
// refused; ErrExpired says that it was good once. Parameters of other names, such as those of login.url itself, are not
// looked at.
func Verify(query url.Values, at time.Time, keys ...Key) (*Return, error) {
	r := &Return{}
	for name, to := range map[string]*string{ParamACR: &r.ACR, ParamMaxAge: &r.MaxAge, ParamPath: &r.Path, ParamHost: &r.Host,
		ParamRoute: &r.Route, ParamTicket: &r.Ticket} {
		value, err := only(query, name)
		if err != nil {
			return nil, err
		}
		*to = value
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	expires, kind, mac, ok := parts(r.Ticket)
	if !ok || kind != r.kind() {
		return nil, ErrForged
	}
	text := strconv.FormatInt(expires.Unix(), 10)
	for _, k := range keys {
		if len(k.secret) == 0 || !hmac.Equal(mac, k.mac(r, text)) {
			continue
		}
		if !within(expires, at) {
			return nil, ErrExpired
		}
		return r, nil
	}
	return nil, ErrForged
}

// parts takes a ticket apart, and takes it in one spelling alone.
func parts(ticket string) (expires time.Time, kind string, mac []byte, ok bool) {
	list := strings.Split(ticket, ".")
	if len(list) != 4 || list[0] != "v1" || list[2] != kindAny && list[2] != kindAsked {
		return time.Time{}, "", nil, false
	}
	seconds, err := strconv.ParseInt(list[1], 10, 64)
	if err != nil || seconds <= 0 || strconv.FormatInt(seconds, 10) != list[1] {
		return time.Time{}, "", nil, false
	}
	mac, err = base64.RawURLEncoding.Strict().DecodeString(list[3])
	if err != nil || len(mac) != sha256.Size || strings.ContainsAny(list[3], "\r\n") {
		return time.Time{}, "", nil, false
	}
	return time.Unix(seconds, 0), list[2], mac, true
}

// within: a ticket that ends then counts now; none ends later than one that is made now.
func within(expires, at time.Time) bool {
	return at.Before(expires) && !expires.After(at.Add(Lifetime+clockSkew))
}
