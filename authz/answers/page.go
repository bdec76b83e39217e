package answers

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // of the template
	"encoding/base64"
	"html/template"
	"net/url"
	"regexp"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// Page is what the page of a refusal shows. Without a reason it shows the title and the decision alone.
type Page struct {
	Title, Detail, Reason, Tier, Contact, Decision string
	Unmet                                          []Demand
	SignIn                                         *SignIn   // nil: another login would not help, or is not offered
	Fallback                                       *Fallback // nil: there is none for this device
}

// Fallback is where a person may go whose device cannot comply.
type Fallback struct {
	URL   string
	Until string // YYYY-MM-DD, the first day on which it is over (UTC)
}

// Demand is one that was not met.
type Demand struct {
	Signal         string
	Failing        bool // else nothing recent is known of it
	Fix, URL       string
	Owner, Contact string
}

// maxDemandBytes is how much the demands of a page have to say; what they leave is room for the rest of 8 KB.
const maxDemandBytes = 2 << 10

// view is a page with the words that are around it.
type view struct {
	Page
	Language string
	Words    PageTexts
	More     bool // demands that found no room
}

// HTML writes a page: no script, nothing from elsewhere, every text escaped for its place.
func (l *Language) HTML(p Page) (string, error) {
	p.SignIn = p.SignIn.bounded()
	v := view{Page: p, Language: l.Tag, Words: l.texts.Page}
	for i, size := 0, 0; i < len(p.Unmet); i++ {
		d := &p.Unmet[i]
		size += len(d.Signal) + len(d.Fix) + 2*len(d.URL) + len(d.Owner) + 2*len(d.Contact) + 120 // of markup
		if size > maxDemandBytes && i > 0 {
			v.Unmet, v.More = p.Unmet[:i], true
			break
		}
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, &v); err != nil {
		return "", err
	}
	return b.String(), nil
}

// Link is a target for a fix or a contact: http and https with a host, and for a contact the address of a mail. Anything
// else is text and no link.
func Link(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	return u.String()
}

var mail = regexp.MustCompile(`^[A-Za-z0-9._+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$`)

// ContactLink is where a contact is reached, "" for one that is only text.
func ContactLink(contact string) string {
	if mail.MatchString(contact) {
		return "mailto:" + contact
	}
	return Link(contact)
}

// TodoLink is where a fix is described.
func (d Demand) TodoLink() string { return Link(d.URL) }

// OwnerLink is where the owner of a demand is reached.
func (d Demand) OwnerLink() string { return ContactLink(d.Contact) }

// AskLink is where help is had.
func (p Page) AskLink() string { return ContactLink(p.Contact) }

// ContentSecurityPolicy lets the page have its own style and nothing else (CSP Level 3).
var ContentSecurityPolicy = "default-src 'none'; style-src 'sha256-" + styleDigest() +
	"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// styleDigest is taken from a page as it is written, because the template may change what stands in the file.
func styleDigest() string {
	page, err := builtIn.languages[fallback].HTML(Page{})
	if err != nil {
		panic(err)
	}
	_, rest, _ := bytes.Cut([]byte(page), []byte("<style>"))
	style, _, found := bytes.Cut(rest, []byte("</style>"))
	if !found {
		panic("answers: the page has no style")
	}
	sum := sha256.Sum256(style)
	return base64.StdEncoding.EncodeToString(sum[:])
}
