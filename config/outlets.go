package config

import "time"

// Outlet is where findings are told. The process of the receiver tells them; README.md of authz/findings/outlets shows what is
// sent. Types webhook, slack and cloudevents post to one of URL and URLFile; type jsonlines appends to File.
type Outlet struct {
	Name string `yaml:"name"` // what monitors write in tell
	Type string `yaml:"type"`
	// Default outlets are told what no monitor says where to tell, such as the coming end of an exception. One at least is.
	Default bool `yaml:"default,omitempty"`
	// Details has evidence and the assigned person told too. They name people and addresses.
	Details bool   `yaml:"details,omitempty"`
	URL     string `yaml:"url,omitempty"`     // https, or http on a loopback host; redirects are not followed
	URLFile string `yaml:"urlFile,omitempty"` // a file that holds the URL, where that is a secret, as Slack's is
	// SecretFiles each hold one whsec_ secret that signs (Standard Webhooks); several while one is rotated, and each signs. A
	// webhook needs one; slack and cloudevents may have some.
	SecretFiles []string `yaml:"secretFiles,omitempty"`
	TokenFile   string   `yaml:"tokenFile,omitempty"` // a token for Authorization: Bearer
	// Headers are sent with each event; of HeaderFiles each file holds a secret value.
	Headers     map[string]string `yaml:"headers,omitempty"`
	HeaderFiles map[string]string `yaml:"headerFiles,omitempty"`
	CAFile      string            `yaml:"caFile,omitempty"`   // who signs its certificate (PEM); default: the system's CAs
	ProxyURL    string            `yaml:"proxyURL,omitempty"` // an HTTP proxy; default: none, whatever the environment says
	Timeout     time.Duration     `yaml:"timeout,omitempty"`  // of one attempt, 1s to 1m; default 15s
	// Source is the source attribute of CloudEvents, a URI reference (RFC 3986) of this installation alone; default
	// /tiergate/findings.
	Source string `yaml:"source,omitempty"`
	// File is written by this process alone, mode 0600, one event a line. When it is renamed a new one is begun. Of type jsonlines.
	File string `yaml:"file,omitempty"`
}

// The types of outlets.
const (
	OutletWebhook     = "webhook"
	OutletSlack       = "slack"
	OutletCloudEvents = "cloudevents"
	OutletJSONLines   = "jsonlines"
)

// DefaultOutletTimeout is how long an outlet may take.
const DefaultOutletTimeout = 15 * time.Second

func (s *Settings) setOutletDefaults() {
	for i := range s.Outlets {
		if o := &s.Outlets[i]; o.Type != OutletJSONLines && o.Timeout == 0 {
			o.Timeout = DefaultOutletTimeout
		}
	}
}
