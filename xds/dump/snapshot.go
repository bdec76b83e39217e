package dump

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/tiergate/tiergate/xds"
)

// FromSnapshot reads what an Envoy is to hold. Private keys are left out.
func FromSnapshot(s *xds.Snapshot) (*Config, error) {
	c, parts := &Config{Origin: "snapshot " + s.Digest()}, &sections{}
	var fault error
	add := func(to *[]Value, where string, i int, m proto.Message) {
		text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
		if err != nil {
			fault = fmt.Errorf("%s[%d] cannot be written as JSON: %w", where, i, err)
			return
		}
		tree, err := parseJSON(text)
		if err != nil {
			fault = fmt.Errorf("%s[%d]: %w", where, i, err)
			return
		}
		*to = append(*to, Value{raw: tree, path: fmt.Sprintf("%s[%d]", where, i)})
	}
	for i, m := range s.Listeners() {
		add(&parts.listeners, "listeners", i, m)
	}
	for i, m := range s.Routes() {
		add(&parts.tables, "route_configurations", i, m)
	}
	for i, m := range s.Clusters() {
		add(&parts.clusters, "clusters", i, m)
	}
	for i, m := range s.Endpoints() {
		add(&parts.assignments, "endpoints", i, m)
	}
	for i, m := range s.Endpoints() {
		add(&parts.assignments, "endpoints", i, m)
	}
	for i, m := range s.Secrets() {
		if m.GetValidationContext() != nil {
			add(&parts.secrets, "secrets", i, m)
		}
	}
	if fault != nil {
		return nil, fault
	}
	parts.relate(c)
	return c, nil
}
