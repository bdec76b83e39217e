package drift

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"
)

// comparison reads a dump piece by piece and keeps only what differs and which names it has seen.
type comparison struct {
	meant *meant
	seen  map[Kind]map[string]bool
	found []Difference
	boot  bool // the bootstrap was in the dump
}

func newComparison(m *meant) *comparison {
	return &comparison{meant: m, seen: map[Kind]map[string]bool{}}
}

func (c *comparison) differ(kind Kind, name string, change Change, where, what string) {
	c.found = append(c.found, Difference{Kind: kind, Name: name, Change: change, Where: where, What: what})
}

// dumped is one element of a section of a config_dump (envoy.admin.v3): the fields of all kinds, of which one has each.
type dumped struct {
	Name          string          `json:"name"`
	Listener      json.RawMessage `json:"listener"`
	Active        *dumpedState    `json:"active_state"`
	Warming       *dumpedState    `json:"warming_state"`
	Cluster       json.RawMessage `json:"cluster"`
	RouteConfig   json.RawMessage `json:"route_config"`
	Secret        json.RawMessage `json:"secret"`
	EndpointsOf   json.RawMessage `json:"endpoint_config"`
	ErrorState    *dumpedFault    `json:"error_state"`
	DrainingState json.RawMessage `json:"draining_state"`
}

type dumpedState struct {
	Listener json.RawMessage `json:"listener"`
}

type dumpedFault struct {
	Details string `json:"details"`
}

// element takes one element of a section. A section that is not known here is never empty by accident.
func (c *comparison) element(section string, raw json.RawMessage) error {
	var e dumped
	if err := json.Unmarshal(raw, &e); err != nil {
		return fmt.Errorf("an element of %s cannot be read: %w", section, err)
	}
	switch section {
	case "static_listeners":
		c.resource(Listener, e.Listener, false)
	case "dynamic_listeners":
		c.listener(e)
	case "static_clusters":
		c.staticCluster(e.Cluster)
	case "dynamic_active_clusters", "dynamic_warming_clusters":
		c.resource(Cluster, e.Cluster, false)
	case "dynamic_route_configs":
		c.resource(Route, e.RouteConfig, false)
	case "static_route_configs": // written within a listener, where they are compared
	case "dynamic_active_secrets", "dynamic_warming_secrets", "static_secrets":
		c.resource(Secret, e.Secret, true)
	case "static_endpoint_configs", "dynamic_endpoint_configs":
		c.endpoints(e.EndpointsOf)
	default:
		c.differ(Other, section, Unexpected, "", "Envoy holds "+shown(nameIn(raw))+", which nobody here gives it")
	}
	return nil
}

// listener takes one that came over LDS. What is draining only serves those who are connected still, and is no more.
func (c *comparison) listener(e dumped) {
	switch {
	case e.Active != nil:
		c.resource(Listener, e.Active.Listener, false)
	case e.Warming != nil:
		c.resource(Listener, e.Warming.Listener, false)
	}
}

// resource compares one resource with the one of that name that was meant. Where others may be there too, of another
// source of secrets for one, they are nothing to us: no resource of ours names them.
func (c *comparison) resource(kind Kind, raw json.RawMessage, othersToo bool) {
	name := nameIn(raw)
	want, known := c.meant.resources[kind][name]
	switch {
	case known:
		c.same(kind, name, raw, want)
	case !othersToo:
		c.differ(kind, name, Unexpected, "", "Envoy holds it and was not given it")
	}
}

func (c *comparison) staticCluster(raw json.RawMessage) {
	if want, known := c.meant.static[nameIn(raw)]; known {
		c.same(Cluster, nameIn(raw), raw, want)
		return
	}
	c.resource(Cluster, raw, false)
}

func (c *comparison) saw(kind Kind, name string) {
	if c.seen[kind] == nil {
		c.seen[kind] = map[string]bool{}
	}
	c.seen[kind][name] = true
}

func (c *comparison) same(kind Kind, name string, raw json.RawMessage, want proto.Message) {
	c.saw(kind, name)
	var hide func(proto.Message)
	if kind == Secret {
		want, hide = proto.Clone(want), public
		public(want)
	}
	tree, err := plain(want)
	if err != nil {
		c.differ(kind, name, Different, "", "what was meant cannot be written as text: "+err.Error())
		return
	}
	if where, what, ok := firstDifference("", tree, readAs(raw, want, hide)); !ok {
		c.differ(kind, name, Different, where, what)
	}
}

// missing notes what was meant and not seen. Secrets are fetched only by what uses them, and what lingers of the last
// snapshot may have no user left.
func (c *comparison) missing() {
	for _, kind := range []Kind{Listener, Route, Cluster, Endpoints} {
		for _, name := range slices.Sorted(maps.Keys(c.meant.resources[kind])) {
			if !c.seen[kind][name] {
				c.differ(kind, name, Missing, "", "Envoy was given it and does not hold it")
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.meant.static)) {
		if !c.seen[Cluster][name] {
			c.differ(Cluster, name, Missing, "", "it stands in the bootstrap, and Envoy does not hold it")
		}
	}
	if !c.boot {
		c.differ(Bootstrap, "", Missing, "", "the dump has no bootstrap")
	}
}

func nameIn(raw json.RawMessage) string {
	var named struct {
		Name string `json:"name"`
	}
	if json.Unmarshal(raw, &named) != nil {
		return ""
	}
	return named.Name
}
