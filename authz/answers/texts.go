package answers

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/tiergate/tiergate/config/strictyaml"
)

// Texts are what is said in one language: a catalogue file holds them. One that adds to a language which is there already
// may have some of them; a language by itself has all.
type Texts struct {
	Page     PageTexts         `yaml:"page,omitempty"`
	Statuses map[string]string `yaml:"statuses,omitempty"` // the title by status, where no reason is told
	Reasons  map[string]Text   `yaml:"reasons,omitempty"`  // by reason code
}

// Text is the title of a reason and its sentence.
type Text struct {
	Title  string `yaml:"title,omitempty"`
	Detail string `yaml:"detail,omitempty"`
}

// PageTexts are the words of the page.
type PageTexts struct {
	Direction    string `yaml:"direction,omitempty"` // ltr or rtl
	Todo         string `yaml:"todo,omitempty"`      // a heading
	Failing      string `yaml:"failing,omitempty"`
	Unknown      string `yaml:"unknown,omitempty"`
	More         string `yaml:"more,omitempty"`         // not every demand finds room
	Instructions string `yaml:"instructions,omitempty"` // the words of a link
	Ask          string `yaml:"ask,omitempty"`          // in front of a contact
	Owner        string `yaml:"owner,omitempty"`
	Decision     string `yaml:"decision,omitempty"`
	Reason       string `yaml:"reason,omitempty"`
	Tier         string `yaml:"tier,omitempty"`
	Quote        string `yaml:"quote,omitempty"`
	// Of a fallback that the tier names for devices that cannot comply.
	Fallback      string `yaml:"fallback,omitempty"`      // a heading
	FallbackUntil string `yaml:"fallbackUntil,omitempty"` // in front of the day on which it is over
	// Of a person who came back from logging in, and whose login is still not what is asked for.
	SignIn       string `yaml:"signIn,omitempty"`       // a heading
	SignInAgain  string `yaml:"signInAgain,omitempty"`  // what happened, and why nothing happens by itself now
	SignInAsked  string `yaml:"signInAsked,omitempty"`  // in front of what was asked for
	SignInCame   string `yaml:"signInCame,omitempty"`   // in front of what came
	SignInKind   string `yaml:"signInKind,omitempty"`   // the strength of a login: acr
	SignInMethod string `yaml:"signInMethod,omitempty"` // the factors of a login: amr
	SignInAge    string `yaml:"signInAge,omitempty"`    // the longest that a login may be ago
	SignInWhen   string `yaml:"signInWhen,omitempty"`   // when the login was
	SignInAny    string `yaml:"signInAny,omitempty"`    // any login
	SignInNone   string `yaml:"signInNone,omitempty"`   // nothing is said of it
	SignInLink   string `yaml:"signInLink,omitempty"`   // the words of a link
}

// maxTextBytes bounds each text: a page is to be 8 KB at most, and a text goes into headers of gRPC.
const maxTextBytes = 500

// readTexts reads one catalogue file. Every fault is told, with its place.
func readTexts(name string, data []byte) (*Texts, error) {
	documents, problems := strictyaml.Parse(name, data)
	if len(problems) > 0 {
		return nil, problems
	}
	if len(documents) != 1 {
		return nil, fmt.Errorf("%s: %d documents; a catalogue is one", name, len(documents))
	}
	texts, document := &Texts{}, documents[0]
	document.Title = "a catalogue of answers"
	problems = append(problems, document.Decode("", texts)...)
	texts.each(func(path, value string) {
		switch {
		case len(value) > maxTextBytes:
			problems = append(problems, document.Problem(path, fmt.Sprintf("the text has %d bytes; the limit is %d", len(value),
				maxTextBytes), "say it in fewer words"))
		case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' }):
			problems = append(problems, document.Problem(path, "the text has a line break or another control character",
				"write it in one line"))
		}
	})
	if d := texts.Page.Direction; d != "" && d != "ltr" && d != "rtl" {
		problems = append(problems, document.Problem("page.direction", fmt.Sprintf("direction is %q", d), "write ltr or rtl"))
	}
	problems = append(problems, strangers(document, "statuses", texts.Statuses, english.Statuses)...)
	problems = append(problems, strangers(document, "reasons", texts.Reasons, english.Reasons)...)
	if len(problems) > 0 {
		return nil, problems
	}
	return texts, nil
}

// strangers are keys that mean nothing; English has all.
func strangers[T any](document *strictyaml.Document, field string, written, known map[string]T) (problems strictyaml.Problems) {
	if known == nil {
		return nil // this is English
	}
	names := slices.Sorted(maps.Keys(known))
	for _, key := range slices.Sorted(maps.Keys(written)) {
		if _, ok := known[key]; ok {
			continue
		}
		help := "there are " + strings.Join(names, ", ")
		if near, ok := strictyaml.Nearest(key, names); ok {
			help = "did you mean " + near + "?"
		}
		problems = append(problems, document.Problem(pathOf(field, key), fmt.Sprintf("%q is none of the %s", key, field), help))
	}
	return problems
}

// pathOf is a key of a mapping as strictyaml has it in paths.
func pathOf(field, key string) string {
	if strings.Contains(key, ".") {
		return fmt.Sprintf("%s[%q]", field, key)
	}
	return field + "." + key
}

// each yields every text with its path, whether it is there or not.
func (t *Texts) each(yield func(path, value string)) {
	page := reflect.ValueOf(t.Page)
	for i := range page.NumField() {
		name, _, _ := strings.Cut(page.Type().Field(i).Tag.Get("yaml"), ",")
		yield("page."+name, page.Field(i).String())
	}
	for _, status := range slices.Sorted(maps.Keys(t.Statuses)) {
		yield("statuses."+status, t.Statuses[status])
	}
	for _, reason := range slices.Sorted(maps.Keys(t.Reasons)) {
		yield(pathOf("reasons", reason)+".title", t.Reasons[reason].Title)
		yield(pathOf("reasons", reason)+".detail", t.Reasons[reason].Detail)
	}
}

// over are these texts where there are any, else those below.
func (t *Texts) over(below *Texts) *Texts {
	merged := *below
	page, own := reflect.ValueOf(&merged.Page).Elem(), reflect.ValueOf(t.Page)
	for i := range own.NumField() {
		if own.Field(i).String() != "" {
			page.Field(i).Set(own.Field(i))
		}
	}
	merged.Statuses, merged.Reasons = maps.Clone(below.Statuses), maps.Clone(below.Reasons)
	if merged.Statuses == nil {
		merged.Statuses = map[string]string{}
	}
	if merged.Reasons == nil {
		merged.Reasons = map[string]Text{}
	}
	for status, title := range t.Statuses {
		if title != "" {
			merged.Statuses[status] = title
		}
	}
	for reason, text := range t.Reasons {
		under := merged.Reasons[reason]
		if text.Title == "" {
			text.Title = under.Title
		}
		if text.Detail == "" {
			text.Detail = under.Detail
		}
		merged.Reasons[reason] = text
	}
	return &merged
}

// missing are the texts that English has and these have not.
func (t *Texts) missing() (paths []string) {
	have := map[string]bool{}
	t.each(func(path, value string) { have[path] = value != "" })
	english.each(func(path, _ string) {
		if !have[path] {
			paths = append(paths, path)
		}
	})
	return paths
}
