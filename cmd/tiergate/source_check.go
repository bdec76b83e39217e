package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// checkedSource is what is found out of one source. No field can hold a secret, or anything of a device but counts.
type checkedSource struct {
	Name         string `json:"name"`
	Type         string `json:"type"`
	Experimental string `json:"experimental,omitempty"`
	// Asked: the vendor was asked. Answers are what it said, without a body.
	Asked   bool            `json:"asked"`
	Answers []checkedAnswer `json:"answers,omitempty"`
	// ClockAhead is how far the vendor's clock is ahead of ours, in seconds, as far as its Date says (to about a second).
	ClockAhead *float64           `json:"clockAheadSeconds,omitempty"`
	Page       *checkedPage       `json:"page,omitempty"`
	Attributes []checkedAttribute `json:"attributes"`
	Faults     []string           `json:"faults,omitempty"` // the answer is no
	Notes      []string           `json:"notes,omitempty"`  // worth a look
}

type checkedAnswer struct {
	Host         string `json:"host"`
	Method       string `json:"method"`
	Path         string `json:"path"`
	Status       int    `json:"status"` // 0: it could not be reached
	Milliseconds int64  `json:"milliseconds"`
}

type checkedPage struct {
	Devices    int  `json:"devices"`
	Unreadable int  `json:"unreadable"`
	Total      int  `json:"total,omitempty"` // as the vendor says; 0: it does not
	More       bool `json:"more"`            // other pages follow
}

// checkedAttribute is one attribute that this source says, or may say.
type checkedAttribute struct {
	Attribute string   `json:"attribute"`
	Attested  bool     `json:"attested"`
	Said      int      `json:"said"`  // devices of the page of which it was said
	Known     int      `json:"known"` // ... and known
	Signals   []string `json:"signals,omitempty"`
}

const (
	checkFor = time.Minute
	// clockLimit is where a difference of clocks is told: facts are dated by the vendor's.
	clockLimit = time.Minute
)

func newSourceCheck() *cobra.Command {
	var file, form string
	c := &cobra.Command{
		Use: "check NAME --config FILE", Short: "Ask a vendor for one page, and say what the source would provide",
		Args: cobra.ExactArgs(1),
		Long: "Asks the vendor as the receiver would, from the settings alone: no receiver need run, and nothing is stored. It says\n" +
			"whether the credentials are good, how far the vendor's clock is from ours, which attributes the devices of the first\n" +
			"page have, and which signals of the policy need them. Exit 1: the vendor cannot be asked, or a signal needs what is\n" +
			"attested and did not come, or what no source attests.",
	}
	configFlag(c, &file, true)
	outputFlag(c, &form)
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := checkOutput(form); err != nil {
			return err
		}
		settings, err := loadSettings(file)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(settings.Sources, func(s config.Source) bool { return s.Name == args[0] })
		if i < 0 {
			return fmt.Errorf("the settings have no source %.80q; they have %s", args[0], sourceNames(settings))
		}
		found := checkSource(c.Context(), &settings.Sources[i], settings, file)
		if err := printAs(c.OutOrStdout(), form, found, func(w io.Writer) error { return sayChecked(w, found) }); err != nil {
			return err
		}
		if len(found.Faults) > 0 {
			return errSaid
		}
		return nil
	}
	return c
}

func sourceNames(settings *config.Settings) string {
	var names []string
	for i := range settings.Sources {
		names = append(names, settings.Sources[i].Name)
	}
	return listed(names, "none")
}

func checkSource(ctx context.Context, x *config.Source, settings *config.Settings, file string) *checkedSource {
	found := &checkedSource{Name: x.Name, Type: x.Type, Attributes: []checkedAttribute{}}
	var mu sync.Mutex // several may find something unreadable at once; when Page has answered nobody does
	unreadable, first := 0, ""
	adapter, err := newAdapter(x, func(_, _, reason string) {
		mu.Lock()
		defer mu.Unlock()
		if unreadable++; first == "" {
			first = reason
		}
	})
	if err != nil {
		found.Faults = append(found.Faults, oneLine(err.Error()))
		return found
	}
	found.Experimental = source.Doubt(adapter)
	var page source.Page
	if inventory, ok := adapter.(source.Inventory); ok {
		page = found.ask(ctx, inventory)
		if found.Page != nil {
			found.Page.Unreadable = unreadable
		}
		if unreadable > 0 {
			found.Notes = append(found.Notes, fmt.Sprintf("%s could not be read; the first: %s", count(unreadable, "device"),
				oneLine(first)))
		}
	} else {
		found.Notes = append(found.Notes, "this source is not asked, it delivers: what it says is seen when it does")
	}
	found.attributes(x, page)
	found.policy(x, settings, file)
	return found
}

// ask asks for the first page, and notes how the vendor answered.
func (f *checkedSource) ask(ctx context.Context, inventory source.Inventory) source.Page {
	ctx, cancel := context.WithTimeout(ctx, checkFor)
	defer cancel()
	ctx, trace := source.WithTrace(ctx)
	page, err := inventory.Page(ctx, "")
	f.Asked = true
	for _, a := range trace.Answers() {
		f.Answers = append(f.Answers, checkedAnswer{Host: a.Host, Method: a.Method, Path: a.Path, Status: a.Status,
			Milliseconds: a.Took.Milliseconds()})
		if a.Dated {
			ahead := a.Ahead.Round(time.Second).Seconds()
			f.ClockAhead = &ahead
		}
	}
	if err != nil {
		f.Faults = append(f.Faults, oneLine(err.Error()))
		return source.Page{}
	}
	if f.ClockAhead != nil && max(*f.ClockAhead, -*f.ClockAhead) > clockLimit.Seconds() {
		f.Notes = append(f.Notes, fmt.Sprintf("the vendor's clock and ours differ by %gs: facts are dated by its clock; set ours by NTP",
			*f.ClockAhead))
	}
	f.Page = &checkedPage{Devices: len(page.Observations), Total: page.Total, More: page.Next != ""}
	if len(page.Observations) == 0 {
		f.Notes = append(f.Notes, "the page has no device: either there is none, or the credentials may see none")
	}
	return page
}

// attributes counts what the devices of the page have.
func (f *checkedSource) attributes(x *config.Source, page source.Page) {
	said, known := map[string]int{}, map[string]int{}
	type heard struct {
		device, attribute string
		known             bool
	}
	once := map[heard]bool{} // the list, and the tables beside it, may tell the same of one device
	for i, o := range slices.Concat(page.Observations, page.Also) {
		device := fmt.Sprint("nameless ", i)
		if len(o.Aliases) > 0 {
			device = o.Aliases[0].String()
		}
		for _, fact := range o.Facts {
			if key := (heard{device, fact.Attribute, false}); !once[key] {
				once[key] = true
				said[fact.Attribute]++
			}
			if key := (heard{device, fact.Attribute, true}); fact.Value.Known() && !once[key] {
				once[key] = true
				known[fact.Attribute]++
			}
		}
	}
	for _, a := range signals.Attributes() {
		attested := slices.Contains(x.Attests, a.Name)
		if attested || said[a.Name] > 0 {
			f.Attributes = append(f.Attributes, checkedAttribute{Attribute: a.Name, Attested: attested, Said: said[a.Name],
				Known: known[a.Name]})
		}
	}
}

// policy says which signals need what this source attests, and which need what none does.
func (f *checkedSource) policy(x *config.Source, settings *config.Settings, file string) {
	if settings.Policy.Dir == "" {
		f.Notes = append(f.Notes, "the settings name no policy directory, so what its signals need is not known")
		return
	}
	compiled, err := compilePolicy(settings.Policy.Dir, file)
	if err != nil {
		f.Notes = append(f.Notes, "the policy does not compile, so what its signals need is not known; see tiergate policy check")
		return
	}
	needs := signalNeeds(compiled)
	attested := map[string]bool{}
	for i := range settings.Sources {
		for _, name := range settings.Sources[i].Attests {
			attested[name] = true
		}
	}
	for i := range f.Attributes {
		a := &f.Attributes[i]
		a.Signals = needs[a.Attribute]
		switch {
		case len(a.Signals) == 0:
		case !a.Attested && !attested[a.Attribute]: // said below
		case a.Attested && f.Page != nil && f.Page.Devices > 0 && a.Known == 0:
			f.Faults = append(f.Faults, fmt.Sprintf("%s is attested and needed by %s, and no device of the page has it known",
				a.Attribute, listed(a.Signals, "")))
		}
	}
	for _, a := range signals.Attributes() {
		if len(needs[a.Name]) == 0 || attested[a.Name] {
			continue
		}
		help := "no source attests it"
		if slices.ContainsFunc(f.Attributes, func(c checkedAttribute) bool { return c.Attribute == a.Name && c.Known > 0 }) {
			help = "no source attests it, though this one says it: add it to attests of " + x.Name
		}
		f.Faults = append(f.Faults, fmt.Sprintf("%s is needed by %s, and %s", a.Name, listed(needs[a.Name], ""), help))
	}
}

// signalNeeds are the signals whose expression reads an attribute, by attribute, as BASELINE/SIGNAL.
func signalNeeds(p *policy.Policy) map[string][]string {
	needs := map[string][]string{}
	spec := p.Spec()
	for i := range spec.Baselines {
		b := &spec.Baselines[i]
		for name, signal := range b.Signals {
			for _, attribute := range attributesOf(signal.Expr) {
				needs[attribute] = append(needs[attribute], b.Meta.Name+"/"+name)
			}
		}
	}
	for _, names := range needs {
		slices.Sort(names)
	}
	return needs
}
