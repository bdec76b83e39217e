package jamf

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

const mobilePath = "/api/v2/mobile-devices/detail"

func (a *Adapter) computersPath() string {
	return "/api/" + a.options.ComputersAPI + "/computers-inventory"
}

// sections are the parts of a record that facts are read from; the others (applications, fonts, receipts) make it a
// hundred times as long.
func (a *Adapter) sections(kind string) url.Values {
	sections := []string{"GENERAL", "HARDWARE", "SECURITY", "USER_AND_LOCATION"}
	groups, section := a.groups[kind], "GROUPS"
	if kind == KindComputer {
		sections = append(sections, "OPERATING_SYSTEM", "DISK_ENCRYPTION")
		section = "GROUP_MEMBERSHIPS"
	}
	if len(groups.Compliant)+len(groups.Noncompliant) > 0 {
		sections = append(sections, section)
	}
	return url.Values{"section": sections}
}

// Device implements source.Inventory; id is computer-17 or mobile-17. A mobile device is asked for in the listing,
// by its number: /mobile-devices/{id}/detail spells its members in another way and has no groups.
func (a *Adapter) Device(ctx context.Context, id string) ([]signals.Observation, error) {
	kind, number, err := splitVendorID(id)
	if err != nil {
		return nil, err
	}
	ask := a.computer
	if kind == KindMobile {
		ask = a.mobile
	}
	raw, err := ask(ctx, number)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", kind, number, err)
	}
	observation, err := a.observation(kind, raw, number)
	if err != nil {
		return nil, err
	}
	return []signals.Observation{observation}, nil
}

// computer asks for one computer. A 404 is also what a server says that no longer has this version of its API, so
// it counts only if the listing is there.
func (a *Adapter) computer(ctx context.Context, number string) (json.RawMessage, error) {
	raw, err := a.options.API.GetJSON(ctx, a.computersPath()+"/"+number, a.sections(KindComputer))
	if !errors.Is(err, source.ErrGone) {
		return raw, err
	}
	_, _, listed := a.list(ctx, a.computersPath(), url.Values{"page-size": {"1"}, "section": {"GENERAL"}})
	if listed != nil {
		return nil, notGone(listed)
	}
	return nil, err
}

// mobile asks for one mobile device.
func (a *Adapter) mobile(ctx context.Context, number string) (json.RawMessage, error) {
	query := a.sections(KindMobile)
	query.Set("filter", fmt.Sprintf(`mobileDeviceId==%q`, number))
	query.Set("page-size", "2")
	results, total, err := a.list(ctx, mobilePath, query)
	switch {
	case err != nil:
		return nil, notGone(err)
	case total == 0:
		return nil, source.ErrGone
	case len(results) != 1 || total != 1:
		return nil, fmt.Errorf("the server was asked for one and answered with %d of %d", len(results), total)
	}
	return results[0], nil
}

// notGone keeps a listing that is not there (a version that the server no longer has, a wrong URL) from being taken
// for a device that is not there.
func notGone(err error) error {
	if errors.Is(err, source.ErrGone) {
		return errors.New("the server has no such listing; look at the URL of the API and the version of Jamf Pro")
	}
	return err
}

// Page implements source.Inventory: first computers, then mobile devices, each by its number. Total is known when the
// mobile devices are reached.
//
// Jamf Pro pages by position. A device that is deleted while one lists moves those behind it forward, and one of
// them from a page that is still to come to one that was read. So where the total has shrunk, the page before is
// read again.
func (a *Adapter) Page(ctx context.Context, text string) (source.Page, error) {
	at, err := a.parseCursor(text)
	if err != nil {
		return source.Page{}, err
	}
	query := a.sections(at.kind)
	query.Set("page", strconv.Itoa(at.page))
	query.Set("page-size", strconv.Itoa(a.options.PageSize))
	path, sort := a.computersPath(), "id:asc"
	if at.kind == KindMobile {
		path, sort = mobilePath, "mobileDeviceId:asc"
	}
	query.Set("sort", sort)
	results, total, err := a.list(ctx, path, query)
	if err != nil {
		return source.Page{}, fmt.Errorf("page %d of the %s listing: %w", at.page, at.kind, notGone(err))
	}
	next, err := a.after(at, len(results), total)
	if err != nil {
		return source.Page{}, err
	}
	page := source.Page{Next: next}
	if at.kind == a.options.Kinds[len(a.options.Kinds)-1] {
		page.Total = at.before + total
	}
	for _, raw := range results {
		observation, err := a.observation(at.kind, raw, "")
		if err != nil {
			return source.Page{}, fmt.Errorf("page %d of the %s listing: %w", at.page, at.kind, err)
		}
		page.Observations = append(page.Observations, observation)
	}
	return page, nil
}

// list reads {"totalCount":…,"results":[…]}. A listing without either is an error: no answer may look like an empty
// fleet.
func (a *Adapter) list(
	ctx context.Context, path string, query url.Values,
) (results []json.RawMessage, total int, err error) {
	raw, err := a.options.API.GetJSON(ctx, path, query)
	if err != nil {
		return nil, 0, err
	}
	answer, err := parseObject(raw)
	if err != nil {
		return nil, 0, fmt.Errorf("the answer of %s: %w", path, err)
	}
	if json.Unmarshal(answer["results"], &results) != nil || results == nil {
		return nil, 0, fmt.Errorf("the answer of %s has no list of results", path)
	}
	if total, err = strconv.Atoi(textOf(answer["totalCount"])); err != nil || total < 0 || total < len(results) {
		return nil, 0, fmt.Errorf("the answer of %s has %d results and says that there are %.20q in all", path, len(results),
			textOf(answer["totalCount"]))
	}
	return results, total, nil
}

// cursor is the place in a listing: kind.page.total.before.
type cursor struct {
	kind   string
	page   int
	total  int // what the page before said; -1 on the first
	before int // how many devices the kinds before have
}

func (c cursor) String() string { return fmt.Sprintf("%s.%d.%d.%d", c.kind, c.page, c.total, c.before) }

func (a *Adapter) parseCursor(text string) (cursor, error) {
	if text == "" {
		return cursor{kind: a.options.Kinds[0], total: -1}, nil
	}
	parts := strings.Split(text, ".")
	var numbers [3]int
	valid := len(parts) == 4 && slices.Contains(a.options.Kinds, parts[0])
	for i := 0; valid && i < 3; i++ {
		n, err := strconv.Atoi(parts[i+1])
		numbers[i], valid = n, err == nil && n >= -1
	}
	if !valid || numbers[0] < 0 || numbers[2] < 0 {
		return cursor{}, fmt.Errorf("%.60q is no place in this listing; begin it again", text)
	}
	return cursor{parts[0], numbers[0], numbers[1], numbers[2]}, nil
}

// after is where the listing goes on.
func (a *Adapter) after(at cursor, got, total int) (string, error) {
	size := a.options.PageSize
	if gone := at.total - total; at.page > 0 && gone > 0 {
		if gone > size {
			return "", fmt.Errorf("%d devices were deleted while page %d was on its way; list again", gone, at.page)
		}
		return cursor{at.kind, at.page - 1, total, at.before}.String(), nil
	}
	if want := min(size, max(0, total-at.page*size)); got != want {
		return "", fmt.Errorf("page %d of the %s listing has %d devices; of %d in all, by %d, it should have %d",
			at.page, at.kind, got, total, size, want)
	}
	if (at.page+1)*size < total {
		return cursor{at.kind, at.page + 1, total, at.before}.String(), nil
	}
	if i := slices.Index(a.options.Kinds, at.kind); i+1 < len(a.options.Kinds) {
		return cursor{a.options.Kinds[i+1], 0, -1, at.before + total}.String(), nil
	}
	return "", nil
}
