package inventory

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// json tells by its shape what a file is.
func (r *reading) json(data []byte) {
	if err := checkJSON(data); err != nil {
		r.fault(0, "", "%v", err)
		return
	}
	var head struct {
		Kind    *string          `json:"kind"`
		Items   *json.RawMessage `json:"items"`
		Entries *json.RawMessage `json:"entries"`
		Secrets *json.RawMessage `json:"SecretList"`
		Data    *struct {
			KeyInfo map[string]vaultEntity `json:"key_info"`
		} `json:"data"`
	}
	var rows []json.RawMessage
	system := r.listing.System
	if data[0] == '[' {
		_ = json.Unmarshal(data, &rows) // checkJSON has read it
		r.jsonRows(rows)
		return
	}
	if err := json.Unmarshal(data, &head); err != nil {
		r.fault(0, "", "%v", err)
		return
	}
	switch {
	case system == "kubernetes" && head.Items != nil:
		r.rows("kubernetes service accounts", *head.Items, r.serviceAccount)
	case system == "spire" && head.Entries != nil:
		r.rows("SPIRE registration entries", *head.Entries, r.registration)
	case system == "secret-manager" && head.Secrets != nil:
		r.rows("AWS Secrets Manager", *head.Secrets, r.managedSecret)
	case system == "secret-manager" && head.Data != nil:
		r.vaultEntities(head.Data.KeyInfo)
	default:
		r.fault(0, "", "this is no listing of %s that is known; see the formats in authz/inventory/README.md, or describe it with --mapping",
			system)
	}
}

// jsonRows reads a list, by the fields of its first row.
func (r *reading) jsonRows(rows []json.RawMessage) {
	var head struct {
		UniqueID *string `json:"uniqueId"`
		KeyType  *string `json:"keyType"`
		AppID    *string `json:"appId"`
		ReadOnly *bool   `json:"read_only"`
		ID       *any    `json:"id"`
	}
	first := []byte("{}")
	if len(rows) > 0 {
		first = rows[0]
	}
	_ = json.Unmarshal(first, &head) // what it is not says nothing
	switch system := r.listing.System; {
	case system == "cloud-iam" && head.UniqueID != nil:
		r.each("GCP service accounts", rows, r.gcpAccount)
	case system == "cloud-iam" && head.KeyType != nil:
		r.each("GCP service account keys", rows, r.gcpKey)
	case system == "cloud-iam" && head.AppID != nil:
		r.each("Azure service principals", rows, r.servicePrincipal)
	case system == "ci-cd" && head.ReadOnly != nil:
		r.each("GitHub deploy keys", rows, r.deployKey)
	case system == "secret-manager" && len(first) > 0 && first[0] == '"':
		r.each("Vault names", rows, r.vaultName)
	default:
		r.each("tiergate", rows, r.own)
	}
}

func (r *reading) rows(format string, list json.RawMessage, read func(int, json.RawMessage) error) {
	var rows []json.RawMessage
	if err := json.Unmarshal(list, &rows); err != nil {
		r.fault(0, "", "the rows are no list: %v", err)
		return
	}
	r.each(format, rows, read)
}

func (r *reading) each(format string, rows []json.RawMessage, read func(int, json.RawMessage) error) {
	r.listing.Format = format
	for i, row := range rows {
		if err := read(i+1, row); err != nil {
			r.fault(i+1, "", "%v", err)
		}
	}
}

// ownColumns are the fields of an entry in the form of tiergate.
var ownColumns = []string{"id", "type", "spiffeID", "owner", "created", "lastUsed", "credentialFrom", "neverExpires", "grants"}

// own is a row in the form of tiergate, strictly.
func (r *reading) own(row int, raw json.RawMessage) error {
	var e struct {
		ID             string   `json:"id"`
		Type           string   `json:"type"`
		SPIFFEID       string   `json:"spiffeID"`
		Owner          string   `json:"owner"`
		Created        string   `json:"created"`
		LastUsed       string   `json:"lastUsed"`
		CredentialFrom string   `json:"credentialFrom"`
		NeverExpires   bool     `json:"neverExpires"`
		Grants         []string `json:"grants"`
	}
	decoder := json.NewDecoder(strings.NewReader(string(raw)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&e); err != nil {
		return err
	}
	r.add(row, Entry{ID: e.ID, Type: e.Type, SPIFFEID: e.SPIFFEID, Owner: e.Owner, Created: r.instant(row, "created", e.Created),
		LastUsed: r.instant(row, "lastUsed", e.LastUsed), CredentialFrom: r.instant(row, "credentialFrom", e.CredentialFrom),
		NeverExpires: e.NeverExpires, Grants: e.Grants}, nil)
	return nil
}

// serviceAccount is an item of `kubectl get serviceaccounts -A -o json` (Kubernetes API, ServiceAccount v1).
func (r *reading) serviceAccount(row int, raw json.RawMessage) error {
	var a struct {
		Kind     string `json:"kind"`
		Metadata struct {
			Name              string            `json:"name"`
			Namespace         string            `json:"namespace"`
			CreationTimestamp string            `json:"creationTimestamp"`
			Labels            map[string]string `json:"labels"`
			Annotations       map[string]string `json:"annotations"`
		} `json:"metadata"`
		Secrets []json.RawMessage `json:"secrets"`
	}
	if err := json.Unmarshal(raw, &a); err != nil {
		return err
	}
	if a.Kind != "" && a.Kind != "ServiceAccount" {
		r.fault(row, "kind", "it is a %.64q and no ServiceAccount", a.Kind)
		return nil
	}
	m := &a.Metadata
	if m.Name == "" || m.Namespace == "" {
		r.fault(row, "metadata", "it has no name or no namespace")
		return nil
	}
	e := Entry{ID: m.Namespace + "/" + m.Name, Type: "service-account",
		Created: r.instant(row, "metadata.creationTimestamp", m.CreationTimestamp)}
	if r.trustDomain != "" {
		e.SPIFFEID = "spiffe://" + r.trustDomain + "/ns/" + m.Namespace + "/sa/" + m.Name
	}
	for _, from := range []string{m.Annotations["tiergate.dev/owner"], m.Labels["tiergate.dev/owner"], m.Labels["owner"], m.Labels["team"]} {
		if e.Owner == "" {
			e.Owner = from
		}
	}
	for name, what := range map[string]string{"eks.amazonaws.com/role-arn": "AWS role ",
		"iam.gke.io/gcp-service-account": "GCP service account ", "azure.workload.identity/client-id": "Azure client "} {
		if to := m.Annotations[name]; to != "" {
			e.Grants = append(e.Grants, what+to)
		}
	}
	if len(a.Secrets) > 0 { // tokens in Secrets have no end, unlike those that pods are given
		e.NeverExpires, e.CredentialFrom = true, e.Created
	}
	r.add(row, e, map[string]string{"id": "metadata.name", "owner": "labels", "spiffeID": "metadata.name"})
	return nil
}

// registration is an entry of `spire-server entry show -output json` (spire-api-sdk, spire.api.types.Entry).
func (r *reading) registration(row int, raw json.RawMessage) error {
	var e struct {
		ID       string `json:"id"`
		SPIFFEID struct {
			Domain string `json:"trust_domain"`
			Path   string `json:"path"`
		} `json:"spiffe_id"`
		Federates []string        `json:"federates_with"`
		Admin     bool            `json:"admin"`
		Below     bool            `json:"downstream"`
		DNS       []string        `json:"dns_names"`
		Created   json.RawMessage `json:"created_at"`
	}
	if err := json.Unmarshal(raw, &e); err != nil {
		return err
	}
	out := Entry{ID: e.ID, Type: "workload", SPIFFEID: "spiffe://" + e.SPIFFEID.Domain + e.SPIFFEID.Path,
		Created: r.epoch(row, "created_at", e.Created)}
	add := func(what string, names []string) {
		for _, name := range names {
			out.Grants = append(out.Grants, what+name)
		}
	}
	add("DNS name ", e.DNS)
	add("federates with ", e.Federates)
	if e.Admin {
		out.Grants = append(out.Grants, "admin of SPIRE")
	}
	if e.Below {
		out.Grants = append(out.Grants, "downstream CA")
	}
	r.add(row, out, map[string]string{"spiffeID": "spiffe_id"})
	return nil
}

// epoch reads seconds since 1970, as a number or a text of one (protobuf's JSON of int64).
func (r *reading) epoch(row int, column string, raw json.RawMessage) time.Time {
	text := strings.Trim(string(raw), `"`)
	if text == "" || text == "null" || text == "0" {
		return time.Time{}
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || seconds < 0 || seconds > 1<<38 {
		r.fault(row, column, "%.64q is no number of seconds since 1970", text)
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0).UTC()
}
