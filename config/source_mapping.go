package config

import "time"

// SourceMapping is the type of a vendor that is read by a table of the settings. The README beside the source is the manual.
const SourceMapping = "mapping"

// Mapping says how deliveries and answers are read. All fields that are called a path are in the path language of that
// README.
type Mapping struct {
	Delivery *MappingDelivery `yaml:"delivery,omitempty"` // goes with webhook
	Record   *MappingRecord   `yaml:"record,omitempty"`   // record, list and get go with api
	List     *MappingList     `yaml:"list,omitempty"`
	Get      *MappingGet      `yaml:"get,omitempty"`
}

// MappingDelivery is what a webhook's body is: it points at devices, or it holds a record.
type MappingDelivery struct {
	NDJSON bool           `yaml:"ndjson,omitempty"` // one JSON object per line
	ID     string         `yaml:"id,omitempty"`     // path of the event's id, by which a repetition is known
	Points string         `yaml:"points,omitempty"` // path of the ids of devices that are then asked for
	Kind   *MappingKind   `yaml:"kind,omitempty"`   // of what points
	Record *MappingRecord `yaml:"record,omitempty"`
}

// MappingKind is a word that tells what is sent.
type MappingKind struct {
	Path   string   `yaml:"path"`
	Read   []string `yaml:"read"`
	Ignore []string `yaml:"ignore,omitempty"` // any other word is an error
}

// MappingRecord is how one device is read.
type MappingRecord struct {
	Devices  string                 `yaml:"devices,omitempty"` // path of the records in the body; default: it is one
	Kind     *MappingKind           `yaml:"kind,omitempty"`
	Device   MappingDevice          `yaml:"device"`
	Observed *MappingTime           `yaml:"observed,omitempty"`
	Facts    map[string]MappingFact `yaml:"facts"` // by attribute
}

// MappingDevice are the paths of a device's names; at least one stands.
type MappingDevice struct {
	Serial    string `yaml:"serial,omitempty"`
	UUID      string `yaml:"uuid,omitempty"`
	Directory string `yaml:"directory,omitempty"` // the id in the company's directory (Entra device id)
	ID        string `yaml:"id,omitempty"`        // the vendor's own
}

// MappingTime is when the vendor saw the device: the earliest of what stands at the paths, or the moment of receipt.
type MappingTime struct {
	Paths    []string `yaml:"paths,omitempty"`
	Format   string   `yaml:"format,omitempty"` // auto (the default), rfc3339, seconds, milliseconds, layout
	Layout   string   `yaml:"layout,omitempty"` // of format layout: 2006-01-02 15:04:05
	Zone     string   `yaml:"zone,omitempty"`   // of texts that name none: UTC or +02:00; default: such a text is an error
	Never    []string `yaml:"never,omitempty"`  // texts that stand for no time
	Received bool     `yaml:"received,omitempty"`
}

// MappingFact is one attribute: path, all or always.
type MappingFact struct {
	Path     string            `yaml:"path,omitempty"`
	As       string            `yaml:"as,omitempty"`     // text, version, build, patch, count
	Values   map[string]string `yaml:"values,omitempty"` // the vendor's word: ours
	Else     string            `yaml:"else,omitempty"`   // any other word is: unknown (the default), worst, error
	Factor   int               `yaml:"factor,omitempty"` // of a number
	Offset   int               `yaml:"offset,omitempty"`
	All      []MappingPart     `yaml:"all,omitempty"` // the worst of several counts
	Always   string            `yaml:"always,omitempty"`
	Observed *MappingTime      `yaml:"observed,omitempty"`
}

// MappingPart is a part of all.
type MappingPart struct {
	Path   string            `yaml:"path"`
	As     string            `yaml:"as,omitempty"`
	Values map[string]string `yaml:"values,omitempty"`
	Else   string            `yaml:"else,omitempty"`
}

// MappingList is how all devices are listed.
type MappingList struct {
	Path      string            `yaml:"path"` // below api.url
	Query     map[string]string `yaml:"query,omitempty"`
	Post      bool              `yaml:"post,omitempty"`      // the query goes as a JSON object in a POST
	Page      string            `yaml:"page,omitempty"`      // none (the default), cursor, link, number, offset
	Parameter string            `yaml:"parameter,omitempty"` // of the query, for cursor, number and offset
	Next      string            `yaml:"next,omitempty"`      // path of the next cursor or link
	First     int               `yaml:"first,omitempty"`     // number of the first page, 0 (the default) or 1
	Size      int               `yaml:"size,omitempty"`      // devices on a page, for offset
	Total     string            `yaml:"total,omitempty"`     // path of how many devices there are
}

// MappingGet is how one device is asked for; {id} is its id.
type MappingGet struct {
	Path   string            `yaml:"path"`
	Query  map[string]string `yaml:"query,omitempty"`
	Device string            `yaml:"device,omitempty"` // path of the record in the answer
}

// CloudEvents lets deliveries come in the envelope of CloudEvents 1.0.
type CloudEvents struct {
	Types []string `yaml:"types"` // any other type is refused
	// Origins may ask by OPTIONS whether they may deliver; default: nobody may.
	Origins []string `yaml:"origins,omitempty"`
}

// WebhookHMAC is a signature under a shared secret, by its parts.
type WebhookHMAC struct {
	Header    string `yaml:"header"`              // in which the signature stands
	Prefix    string `yaml:"prefix,omitempty"`    // before it, such as sha256=
	Algorithm string `yaml:"algorithm,omitempty"` // sha256 (the default), sha384, sha512
	Encoding  string `yaml:"encoding,omitempty"`  // hex (the default), base64
	// Signed is body (the default), timestamp+body, body+timestamp, timestamp.body or id.timestamp.body.
	Signed          string        `yaml:"signed,omitempty"`
	TimestampHeader string        `yaml:"timestampHeader,omitempty"` // of a timestamp that is signed
	IDHeader        string        `yaml:"idHeader,omitempty"`        // of id.timestamp.body
	Window          time.Duration `yaml:"window,omitempty"`          // of the timestamp, 1s to 1h; default 5m
	SecretFiles     []string      `yaml:"secretFiles"`               // 16 bytes or more each
}
