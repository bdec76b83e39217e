package main

import (
	"fmt"
	"net/url"

	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/mapping"
)

// mappingPath is what the settings know of the path language.
func mappingPath(text string) error {
	_, err := mapping.ParsePath(text)
	return err
}

func newMapping(x *config.Source, unreadable func(source, device, reason string)) (source.Adapter, error) {
	adapter, err := mapped(x, mappingSpec(x.Mapping), asking{}, unreadable)
	if err != nil {
		return nil, fmt.Errorf("mapping: %w", err)
	}
	return adapter, nil
}

// mapped makes the adapter of a mapping, from the settings or one of ours.
func mapped(
	x *config.Source, spec mapping.Spec, how asking, unreadable func(source, device, reason string),
) (source.Adapter, error) {
	options := mapping.Options{Name: x.Name, Spec: spec,
		Unreadable: func(id string, reason error) { unreadable(x.Name, id, reason.Error()) }}
	var err error
	if x.Webhook != nil {
		if options.Auth, err = vendorAuth(x.Webhook); err != nil {
			return nil, err
		}
	}
	if x.API != nil {
		if options.API, err = vendorClient(x, how); err != nil {
			return nil, err
		}
	}
	options.CloudEvents = cloudEvents(x.CloudEvents)
	return mapping.New(options)
}

func cloudEvents(e *config.CloudEvents) *source.CloudEvents {
	if e == nil {
		return nil
	}
	return &source.CloudEvents{Types: e.Types, Origins: e.Origins}
}

func hmacAuth(h *config.WebhookHMAC) (source.Auth, error) {
	secrets, err := readSecrets("hmac.secretFiles", h.SecretFiles)
	if err != nil {
		return nil, err
	}
	signature := source.HMAC{Header: h.Header, Prefix: h.Prefix, Algorithm: h.Algorithm, Encoding: h.Encoding, Signed: h.Signed,
		TimestampHeader: h.TimestampHeader, IDHeader: h.IDHeader, Window: h.Window, Secrets: secrets}
	if err := signature.Check(); err != nil {
		return nil, fmt.Errorf("hmac.%w", err)
	}
	return signature, nil
}

func mappingSpec(m *config.Mapping) mapping.Spec {
	spec := mapping.Spec{Record: mappingRecord(m.Record)}
	if d := m.Delivery; d != nil {
		spec.Delivery = &mapping.Delivery{NDJSON: d.NDJSON, ID: d.ID, Points: d.Points, Kind: mappingKind(d.Kind),
			Record: mappingRecord(d.Record)}
	}
	if l := m.List; l != nil {
		spec.List = &mapping.List{Path: l.Path, Query: queryOf(l.Query), Post: l.Post, Page: l.Page, Parameter: l.Parameter,
			Next: l.Next, First: l.First, Size: l.Size, Total: l.Total}
	}
	if g := m.Get; g != nil {
		spec.Get = &mapping.Get{Path: g.Path, Query: queryOf(g.Query), Device: g.Device}
	}
	return spec
}

func queryOf(members map[string]string) url.Values {
	query := url.Values{}
	for name, value := range members {
		query.Set(name, value)
	}
	return query
}

func mappingKind(k *config.MappingKind) *mapping.Kind {
	if k == nil {
		return nil
	}
	return &mapping.Kind{Path: k.Path, Read: k.Read, Ignore: k.Ignore}
}

func mappingRecord(r *config.MappingRecord) *mapping.Record {
	if r == nil {
		return nil
	}
	made := &mapping.Record{Devices: r.Devices, Kind: mappingKind(r.Kind), Serial: r.Device.Serial, UUID: r.Device.UUID,
		Directory: r.Device.Directory, ID: r.Device.ID, Facts: map[string]mapping.Fact{}}
	if o := mappingTime(r.Observed); o != nil {
		made.Observed = *o
	}
	for name, f := range r.Facts {
		fact := mapping.Fact{Path: f.Path, As: f.As, Values: f.Values, Else: f.Else, Factor: float64(f.Factor), Offset: float64(f.Offset),
			Always: f.Always, Observed: mappingTime(f.Observed)}
		for _, p := range f.All {
			fact.All = append(fact.All, mapping.Fact{Path: p.Path, As: p.As, Values: p.Values, Else: p.Else})
		}
		made.Facts[name] = fact
	}
	return made
}

func mappingTime(t *config.MappingTime) *mapping.Observed {
	if t == nil {
		return nil
	}
	return &mapping.Observed{Paths: t.Paths, Received: t.Received,
		Time: mapping.Time{Format: t.Format, Layout: t.Layout, Zone: t.Zone, Never: t.Never}}
}
