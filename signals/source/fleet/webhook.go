package fleet

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/source"
)

// webhook is any of Fleet's four (fleetdm.com/docs/using-fleet/automations): activities {timestamp, type, details},
// failing policies {timestamp, policy, hosts}, vulnerabilities {timestamp, vulnerability} and host status {text, data}.
type webhook struct {
	Timestamp json.RawMessage `json:"timestamp"`

	Policy *struct {
		ID int64 `json:"id"`
	} `json:"policy"`
	Hosts []named `json:"hosts"`

	Vulnerability *struct {
		CVE   string  `json:"cve"`
		Hosts []named `json:"hosts_affected"`
	} `json:"vulnerability"`

	Type    string `json:"type"`
	Details *struct {
		Host *int64 `json:"host_id"`
	} `json:"details"`

	Text string          `json:"text"`
	Data json.RawMessage `json:"data"`
}

type named struct {
	ID int64 `json:"id"`
}

// read takes apart a webhook of any kind; members that Fleet adds are left alone, for nothing of them counts.
func read(body []byte) (webhook, error) {
	var hook webhook
	if err := source.CheckJSON(body); err != nil {
		return webhook{}, err
	}
	if err := json.Unmarshal(body, &hook); err != nil {
		return webhook{}, fmt.Errorf("the body does not have the shape of a webhook of Fleet: %w", err)
	}
	return hook, nil
}

// dated reports whether two webhooks of the same bytes are the same event.
func (w *webhook) dated() bool {
	at, err := source.Instant(w.Timestamp)
	return err == nil && !at.IsZero()
}

// points lists the hosts that have changed.
func (w *webhook) points() ([]int64, error) {
	var hosts []named
	switch {
	case w.Policy != nil:
		hosts = w.Hosts
	case w.Vulnerability != nil:
		hosts = w.Vulnerability.Hosts
	case w.Type != "":
		if w.Details != nil && w.Details.Host != nil {
			hosts = []named{{*w.Details.Host}}
		}
	case w.Text != "" && len(w.Data) > 0:
		// Host status: some hosts have been silent. There is nothing new to ask for; their facts age by themselves.
	default:
		return nil, errors.New("the body is none of Fleet's webhooks: activity, failing policy, vulnerability, host status")
	}
	ids := make([]int64, 0, len(hosts))
	for _, host := range hosts {
		if host.ID <= 0 {
			return nil, fmt.Errorf("a host of the webhook has the id %d; ids are numbers from 1 on", host.ID)
		}
		ids = append(ids, host.ID)
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// Observe implements source.Adapter. A webhook of Fleet is no data: whoever learns the URL could write it.
func (a *Adapter) Observe(d source.Delivery) ([]signals.Observation, error) {
	_, err := a.Points(d)
	return nil, err
}

// Points implements source.Inventory: the hosts that a failing policy, a vulnerability or an activity names.
func (a *Adapter) Points(d source.Delivery) ([]string, error) {
	hook, err := read(d.Body)
	if err != nil {
		return nil, err
	}
	numbers, err := hook.points()
	if err != nil {
		return nil, err
	}
	ids := make([]string, 0, len(numbers))
	for _, number := range numbers {
		ids = append(ids, strconv.FormatInt(number, 10))
	}
	return ids, nil
}
