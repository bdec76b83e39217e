package mapping

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// Asked is an Adapter whose vendor is asked. It is immutable.
type Asked struct {
	*Adapter
	api        *source.Client
	record     *record
	list       List
	next       Path
	total      Path
	get        *Get
	device     Path
	unreadable func(id string, reason error)
	now        clock
}

// The ways in which a list is paged.
const (
	pageNone   = "none"
	pageCursor = "cursor"
	pageLink   = "link"
	pageNumber = "number"
	pageOffset = "offset"
)

const maxCursor = 4096

func newAsked(a *Adapter, o Options) (*Asked, error) {
	made := &Asked{Adapter: a, api: o.API, list: *o.Spec.List, get: o.Spec.Get, unreadable: o.Unreadable, now: o.Now}
	if made.unreadable == nil {
		made.unreadable = func(string, error) {}
	}
	if made.now == nil {
		made.now = time.Now
	}
	var err error
	if made.record, err = newRecord(*o.Spec.Record); err != nil {
		return nil, fmt.Errorf("record.%w", err)
	}
	if made.record.id.none() {
		return nil, errors.New("record.device.id: it is needed to list devices; name where the vendor's own id stands")
	}
	if made.record.kind != nil {
		return nil, errors.New("record.kind: it is for deliveries; a list has devices and nothing else")
	}
	if err := made.paging(); err != nil {
		return nil, fmt.Errorf("list.%w", err)
	}
	if made.get == nil {
		return made, nil
	}
	if !strings.HasPrefix(made.get.Path, "/") {
		return nil, errors.New("get.path: it begins with a slash, and is below api.url")
	}
	if !made.get.named() {
		return nil, errors.New("get: {id} stands neither in path nor in query; every question would be for the same device")
	}
	if made.device, err = optional("get.device", made.get.Device); err != nil {
		return nil, err
	}
	return made, nil
}

func (g *Get) named() bool {
	for _, values := range g.Query {
		if slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, "{id}") }) {
			return true
		}
	}
	return strings.Contains(g.Path, "{id}")
}

// paging checks that the way of paging has its parts, and no others.
func (a *Asked) paging() (err error) {
	l := &a.list
	if l.Page == "" {
		l.Page = pageNone
	}
	named, follows := l.Parameter != "", l.Next != ""
	switch {
	case !strings.HasPrefix(l.Path, "/"):
		return errors.New("path: it begins with a slash, and is below api.url")
	case !slices.Contains([]string{pageNone, pageCursor, pageLink, pageNumber, pageOffset}, l.Page):
		return fmt.Errorf("page is %q; it is none, cursor, link, number or offset", l.Page)
	case named != (l.Page == pageCursor || l.Page == pageNumber || l.Page == pageOffset):
		return errors.New("parameter goes with page cursor, number and offset")
	case follows != (l.Page == pageCursor || l.Page == pageLink):
		return errors.New("next goes with page cursor and link")
	case (l.Size > 0) != (l.Page == pageOffset):
		return errors.New("size goes with page offset")
	case l.First != 0 && l.Page != pageNumber || l.First < 0 || l.Size < 0:
		return errors.New("first goes with page number, and is not negative")
	case l.Post && l.Page == pageLink:
		return errors.New("post does not go with page link: a link is followed by GET")
	}
	if a.next, err = optional("next", l.Next); err != nil {
		return err
	}
	a.total, err = optional("total", l.Total)
	return err
}

// Points implements source.Inventory.
func (a *Asked) Points(d source.Delivery) ([]string, error) {
	if a.delivery != nil && a.delivery.record != nil {
		return nil, nil
	}
	values, err := a.contents(d)
	if err != nil {
		return nil, err
	}
	return a.pointed(values)
}

// Alias implements source.Inventory.
func (a *Asked) Alias(id string) (signals.Alias, error) {
	if !validID(a.name, id) {
		return signals.Alias{}, fmt.Errorf("%.60q is no id of a device", id)
	}
	return signals.NewAlias(signals.AliasVendor, a.name+"/"+id)
}

// Device implements source.Inventory.
func (a *Asked) Device(ctx context.Context, id string) ([]signals.Observation, error) {
	if _, err := a.Alias(id); err != nil {
		return nil, err
	}
	if a.get == nil {
		return nil, errors.New("the mapping has no get: one device cannot be asked for")
	}
	query := url.Values{}
	for name, values := range a.get.Query {
		for _, value := range values {
			query.Add(name, strings.ReplaceAll(value, "{id}", id))
		}
	}
	if strings.Contains(a.get.Path, "{id}") && strings.ContainsAny(id, `/\?#%;`) {
		return nil, fmt.Errorf("%.60q cannot stand in get.path: it would lead to another place", id)
	}
	body, err := a.api.GetJSON(ctx, strings.ReplaceAll(a.get.Path, "{id}", id), query)
	if err != nil {
		if errors.Is(err, source.ErrGone) && !strings.Contains(a.get.Path, "{id}") {
			return nil, fmt.Errorf("there is no %s; check get.path and api.url", a.get.Path)
		}
		return nil, fmt.Errorf("device %.80q: %w", id, err)
	}
	value, err := a.one(body)
	if err != nil {
		return nil, fmt.Errorf("device %.80q: %w", id, err)
	}
	if got, err := a.record.identify(value); err != nil || got != id {
		return nil, fmt.Errorf("device %.80q: the answer is about another device, or names none at %s", id, a.record.id)
	}
	o, err := a.record.observation(a.name, value, a.now().UTC())
	if err != nil {
		return nil, fmt.Errorf("device %.80q: %w", id, err)
	}
	return []signals.Observation{o}, nil
}

// one finds the record in the answer of get.
func (a *Asked) one(body []byte) (any, error) {
	if body == nil {
		return nil, source.ErrGone
	}
	value, err := parse(body)
	if err != nil || a.device.none() {
		return value, err
	}
	found, err := a.device.find(value)
	switch {
	case err != nil:
		return nil, err
	case found == nil:
		return nil, fmt.Errorf("the answer has no %s: it does not have the shape that the mapping reads", a.device)
	case len(found) == 0:
		return nil, source.ErrGone
	case len(found) > 1:
		return nil, fmt.Errorf("the answer has %d devices, not one", len(found))
	}
	return found[0], nil
}

// Page implements source.Inventory.
func (a *Asked) Page(ctx context.Context, cursor string) (source.Page, error) {
	body, err := a.ask(ctx, cursor)
	if errors.Is(err, source.ErrGone) {
		// A list that is not there says nothing of any device.
		return source.Page{}, fmt.Errorf("there is no %s; check list.path and api.url", a.list.Path)
	}
	if err != nil {
		return source.Page{}, err
	}
	if body == nil { // 204
		return source.Page{}, nil
	}
	value, err := parse(body)
	if err != nil {
		return source.Page{}, err
	}
	records, err := a.record.all(value)
	if err != nil {
		return source.Page{}, err
	}
	page := source.Page{Total: a.sum(value)}
	for i, raw := range records {
		o, err := a.listed(raw)
		if err != nil {
			return source.Page{}, fmt.Errorf("entry %d of the list: %w", i+1, err)
		}
		page.Observations = append(page.Observations, o)
	}
	page.Next, err = a.following(value, cursor, len(records))
	return page, err
}

// ask asks for a page.
func (a *Asked) ask(ctx context.Context, cursor string) ([]byte, error) {
	query := url.Values{}
	for name, values := range a.list.Query {
		query[name] = slices.Clone(values)
	}
	path := a.list.Path
	switch {
	case a.list.Page == pageNumber && cursor == "":
		query.Set(a.list.Parameter, strconv.Itoa(a.list.First))
	case a.list.Page == pageOffset && cursor == "":
		query.Set(a.list.Parameter, "0")
	case cursor == "":
	case a.list.Page == pageLink:
		var err error
		if path, query, err = a.api.Follow(cursor); err != nil {
			return nil, err
		}
	case a.list.Page == pageNumber || a.list.Page == pageOffset:
		if n, err := strconv.Atoi(cursor); err != nil || n < 0 || strconv.Itoa(n) != cursor {
			return nil, fmt.Errorf("%.40q is no place in the list; begin again", cursor)
		}
		query.Set(a.list.Parameter, cursor)
	case a.list.Page == pageCursor:
		query.Set(a.list.Parameter, cursor)
	default:
		return nil, fmt.Errorf("%.40q is no place in a list of one page; begin again", cursor)
	}
	if a.list.Post {
		question := map[string]any{}
		for name, values := range query {
			question[name] = number(values[0])
		}
		return a.api.PostJSON(ctx, path, nil, question)
	}
	return a.api.GetJSON(ctx, path, query)
}

// number sends digits as a number: a POST's limit is one.
func number(text string) any {
	if n, err := strconv.ParseInt(text, 10, 53); err == nil && strconv.FormatInt(n, 10) == text {
		return n
	}
	return text
}

// listed reads one record of a list. One that cannot be read is listed without facts: it is there, and what was known of
// it goes on ageing. One without an id ends the listing, because nobody could say which device is not missing.
func (a *Asked) listed(raw any) (signals.Observation, error) {
	id, err := a.record.identify(raw)
	if err != nil {
		return signals.Observation{}, err
	}
	alias, err := a.Alias(id)
	if err != nil {
		return signals.Observation{}, fmt.Errorf("it has no id at %s", a.record.id)
	}
	o, err := a.record.observation(a.name, raw, a.now().UTC())
	if err != nil {
		a.unreadable(id, err)
		return signals.Observation{Aliases: []signals.Alias{alias}}, nil
	}
	return o, nil
}

func (a *Asked) sum(value any) int {
	if a.total.none() {
		return 0
	}
	text, err := word(a.total, value)
	n, bad := strconv.Atoi(text)
	if err != nil || bad != nil || n < 0 {
		return 0 // a total is for people to look at
	}
	return n
}

// following is the cursor of the next page. A vendor that leads back to the page it came from would be listed for ever.
func (a *Asked) following(value any, cursor string, devices int) (string, error) {
	switch a.list.Page {
	case pageNone:
		return "", nil
	case pageNumber, pageOffset:
		if devices == 0 {
			return "", nil
		}
		at, by := a.list.First, 1
		if a.list.Page == pageOffset {
			at, by = 0, a.list.Size
			if devices > by {
				return "", fmt.Errorf("the page has %d devices, more than the %d of list.size: others would be left out", devices, by)
			}
			by = devices // a vendor may give fewer at once than it is asked for
		}
		if cursor != "" {
			at, _ = strconv.Atoi(cursor) // ask has looked at it
		}
		return strconv.Itoa(at + by), nil
	}
	if around, err := a.next.parent().find(value); err != nil || len(around) == 0 {
		return "", fmt.Errorf("the answer has nothing at %s: whether another page follows is not known", a.next.parent())
	}
	next, err := word(a.next, value)
	switch {
	case err != nil:
		return "", fmt.Errorf("list.next: %w", err)
	case next != "" && next == cursor:
		return "", errors.New("the vendor says that the next page is this one; the listing would never end")
	case len(next) > maxCursor:
		return "", fmt.Errorf("the cursor of the next page has %d bytes; the limit is %d", len(next), maxCursor)
	case a.list.Page == pageLink && next != "":
		_, _, err = a.api.Follow(next)
	}
	return next, err
}
