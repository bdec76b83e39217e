package answers

import (
	"embed"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/tiergate/tiergate/authz/policy"
)

//go:embed languages/*.yaml
var embedded embed.FS

// fallback is the language of whoever asks for none that there is.
const fallback = "en"

// english says what there is to say; every other language is measured by it.
var english = &Texts{}

// builtIn are the languages that come with tiergate.
var builtIn = mustBuildIn()

// Catalogue are the languages that there are.
type Catalogue struct{ languages map[string]*Language }

// Language is what is said in one language.
type Language struct {
	Tag   string // BCP 47, lower case: en, de-ch
	texts *Texts
}

// BuiltIn is the catalogue without texts of a user's own.
func BuiltIn() *Catalogue { return builtIn }

func mustBuildIn() *Catalogue {
	c := &Catalogue{languages: map[string]*Language{}}
	for _, tag := range []string{fallback, "de"} {
		name := "languages/" + tag + ".yaml"
		data, err := embedded.ReadFile(name)
		if err != nil {
			panic(err)
		}
		texts, err := readTexts(name, data)
		if err != nil {
			panic(err)
		}
		if tag == fallback {
			*english = *texts
		}
		c.languages[tag] = &Language{Tag: tag, texts: texts}
	}
	return c
}

// tags are the names that catalogue files may have: BCP 47 in lower case, as far as anybody needs it.
var tags = regexp.MustCompile(`^[a-z]{2,3}(-[a-z0-9]{2,8}){0,3}$`)

// Load reads a directory of catalogue files, LANGUAGE.yaml each, over the built-in ones: texts of en.yaml or de.yaml take
// the place of single built-in ones, and any other language has all texts. The error tells every fault, with its place and
// what to do; then nothing is to be used.
func Load(dir string) (*Catalogue, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("the directory of texts cannot be read: %w", err)
	}
	c := &Catalogue{languages: map[string]*Language{}}
	for tag, language := range builtIn.languages {
		c.languages[tag] = language
	}
	var faults []string
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") {
			continue // an editor's, or Kubernetes' own of a mounted ConfigMap
		}
		if err := c.add(dir, entry.Name()); err != nil {
			faults = append(faults, err.Error())
		}
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("%s", strings.Join(faults, "\n"))
	}
	return c, nil
}

func (c *Catalogue) add(dir, name string) error {
	file := filepath.Join(dir, name)
	tag, isYAML := strings.CutSuffix(name, ".yaml")
	if !isYAML || !tags.MatchString(tag) {
		return fmt.Errorf("%s: this is no catalogue: name it by its language in lower case, as fr.yaml or pt-br.yaml", file)
	}
	data, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		return err
	}
	texts, err := readTexts(file, data)
	if err != nil {
		return err
	}
	if below, ok := builtIn.languages[tag]; ok {
		texts = texts.over(below.texts)
	}
	if missing := texts.missing(); len(missing) > 0 {
		return fmt.Errorf("%s: a language of its own has every text: add %s; copy what languages/en.yaml has", file,
			listed(missing))
	}
	c.languages[tag] = &Language{Tag: tag, texts: texts}
	return nil
}

// listed names the first few.
func listed(paths []string) string {
	const most = 5
	if len(paths) <= most {
		return strings.Join(paths, ", ")
	}
	return strings.Join(paths[:most], ", ") + " and others"
}

// Choose takes the language by an Accept-Language header: the ranges in the order of their weights, each with its last
// subtags taken off one by one (RFC 9110, section 12.5.4; RFC 4647, section 3.4, Lookup). English, if none fits.
func (c *Catalogue) Choose(acceptLanguage string) *Language {
	best, weight := c.languages[fallback], 0
	for name, q := range ranges(acceptLanguage) {
		if q <= weight {
			continue // of equal ones the first
		}
		if found := c.lookup(strings.ToLower(name)); found != nil {
			best, weight = found, q
		}
	}
	return best
}

func (c *Catalogue) lookup(name string) *Language {
	for name != "" {
		if found := c.languages[name]; found != nil {
			return found
		}
		name = name[:max(strings.LastIndexByte(name, '-'), 0)]
	}
	return nil
}

// Reason is the title of a reason and its sentence; of one that nobody has written down, those of a fault of ours.
func (l *Language) Reason(reason policy.Reason) Text {
	text, ok := l.texts.Reasons[string(reason)]
	if !ok {
		return l.texts.Reasons[string(policy.ReasonInternal)]
	}
	return text
}

// Status is the title of a refusal that tells no reason.
func (l *Language) Status(status int) string {
	if title, ok := l.texts.Statuses[strconv.Itoa(status)]; ok {
		return title
	}
	return http.StatusText(status)
}
