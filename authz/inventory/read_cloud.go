package inventory

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// gcpAccount is a row of `gcloud iam service-accounts list --format=json` (IAM API v1, projects.serviceAccounts).
func (r *reading) gcpAccount(row int, raw json.RawMessage) error {
	var a struct {
		Email    string `json:"email"`
		Disabled bool   `json:"disabled"`
		Project  string `json:"projectId"`
	}
	if err := json.Unmarshal(raw, &a); err != nil {
		return err
	}
	if a.Disabled {
		r.note("disabled service accounts were left out, as if they were gone")
		return nil
	}
	e := Entry{ID: a.Email, Type: "service-account"}
	if a.Project != "" {
		e.Grants = []string{"project " + a.Project}
	}
	r.add(row, e, map[string]string{"id": "email"})
	return nil
}

// gcpKey is a row of `gcloud iam service-accounts keys list --iam-account=EMAIL --format=json` (IAM API v1,
// projects.serviceAccounts.keys). Those that Google manages rotate by themselves; the end of others is in the year 9999 unless
// an organisation bounds it.
func (r *reading) gcpKey(row int, raw json.RawMessage) error {
	var k struct {
		Name     string `json:"name"`
		Type     string `json:"keyType"`
		Disabled bool   `json:"disabled"`
		From     string `json:"validAfterTime"`
		Until    string `json:"validBeforeTime"`
	}
	if err := json.Unmarshal(raw, &k); err != nil {
		return err
	}
	if k.Type == "SYSTEM_MANAGED" || k.Disabled {
		r.note("keys that Google manages, and disabled ones, were left out")
		return nil
	}
	_, rest, ok := strings.Cut(k.Name, "/serviceAccounts/")
	account, id, ok2 := strings.Cut(rest, "/keys/")
	if !ok || !ok2 || account == "" || id == "" {
		r.fault(row, "name", "%.200q names no key of an account: projects/PROJECT/serviceAccounts/EMAIL/keys/ID", k.Name)
		return nil
	}
	from, until := r.instant(row, "validAfterTime", k.From), r.instant(row, "validBeforeTime", k.Until)
	r.add(row, Entry{ID: account + "#" + id, Type: "key", Created: from, CredentialFrom: from, Grants: []string{"acts as " + account},
		NeverExpires: until.IsZero() || !from.IsZero() && until.Sub(from) > noEnd}, map[string]string{"id": "name"})
	return nil
}

// noEnd is from how far ahead on the end of a credential is none.
const noEnd = 20 * 365 * 24 * time.Hour

// servicePrincipal is a row of `az ad sp list --all -o json` (Microsoft Graph v1.0, servicePrincipal).
func (r *reading) servicePrincipal(row int, raw json.RawMessage) error {
	type credential struct {
		From  string `json:"startDateTime"`
		Until string `json:"endDateTime"`
	}
	var p struct {
		AppID     string       `json:"appId"`
		Type      string       `json:"servicePrincipalType"`
		Enabled   *bool        `json:"accountEnabled"`
		Created   string       `json:"createdDateTime"`
		Keys      []credential `json:"keyCredentials"`
		Passwords []credential `json:"passwordCredentials"`
		Roles     []struct {
			Value string `json:"value"`
		} `json:"appRoles"`
	}
	if err := json.Unmarshal(raw, &p); err != nil {
		return err
	}
	if p.Enabled != nil && !*p.Enabled {
		r.note("disabled service principals were left out, as if they were gone")
		return nil
	}
	e := Entry{ID: p.AppID, Type: "service-account", Created: r.instant(row, "createdDateTime", p.Created)}
	for name, all := range map[string][]credential{"keyCredentials": p.Keys, "passwordCredentials": p.Passwords} {
		for _, c := range all {
			from, until := r.instant(row, name+".startDateTime", c.From), r.instant(row, name+".endDateTime", c.Until)
			e.CredentialFrom = earlier(e.CredentialFrom, from)
			e.NeverExpires = e.NeverExpires || until.IsZero() || !from.IsZero() && until.Sub(from) > noEnd
		}
	}
	r.add(row, e, map[string]string{"id": "appId"})
	return nil
}

// deployKey is a row of `gh api repos/OWNER/REPO/keys` (GitHub REST API 2022-11-28, "List deploy keys"). They have no end.
func (r *reading) deployKey(row int, raw json.RawMessage) error {
	var k struct {
		ID       json.Number `json:"id"`
		URL      string      `json:"url"`
		Created  string      `json:"created_at"`
		Used     string      `json:"last_used"`
		AddedBy  string      `json:"added_by"`
		ReadOnly bool        `json:"read_only"`
		Enabled  *bool       `json:"enabled"`
		Key      string      `json:"key"`
	}
	if err := json.Unmarshal(raw, &k); err != nil {
		return err
	}
	if k.Key != "" {
		r.note("the public keys themselves were left out")
	}
	if k.Enabled != nil && !*k.Enabled {
		r.note("disabled deploy keys were left out, as if they were gone")
		return nil
	}
	_, rest, ok := strings.Cut(k.URL, "/repos/")
	repo, _, ok2 := strings.Cut(rest, "/keys/")
	if !ok || !ok2 || strings.Count(repo, "/") != 1 {
		r.fault(row, "url", "%.200q names no key of a repository: …/repos/OWNER/REPO/keys/ID", k.URL)
		return nil
	}
	e := Entry{ID: repo + "#" + k.ID.String(), Type: "key", Owner: k.AddedBy, Created: r.instant(row, "created_at", k.Created),
		LastUsed: r.instant(row, "last_used", k.Used), NeverExpires: true, Grants: []string{"write " + repo}}
	if e.CredentialFrom = e.Created; k.ReadOnly {
		e.Grants[0] = "read " + repo
	}
	r.add(row, e, nil)
	return nil
}

// managedSecret is an element of `aws secretsmanager list-secrets` (Secrets Manager API, SecretListEntry). Instants are
// RFC 3339 (AWS CLI 2) or seconds since 1970 (AWS CLI 1).
func (r *reading) managedSecret(row int, raw json.RawMessage) error {
	var s struct {
		Name     string          `json:"Name"`
		Created  json.RawMessage `json:"CreatedDate"`
		Changed  json.RawMessage `json:"LastChangedDate"`
		Accessed json.RawMessage `json:"LastAccessedDate"`
		Rotated  json.RawMessage `json:"LastRotatedDate"`
		Deleted  json.RawMessage `json:"DeletedDate"`
		Owning   string          `json:"OwningService"`
		Tags     []struct {
			Key   string `json:"Key"`
			Value string `json:"Value"`
		} `json:"Tags"`
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return err
	}
	if len(s.Deleted) > 0 && string(s.Deleted) != "null" {
		r.note("secrets that are being deleted were left out, as if they were gone")
		return nil
	}
	at := func(column string, raw json.RawMessage) time.Time {
		if text := strings.Trim(string(raw), `"`); strings.Contains(text, "T") {
			return r.instant(row, column, text)
		}
		return r.epoch(row, column, raw)
	}
	e := Entry{ID: s.Name, Type: "key", Owner: s.Owning, Created: at("CreatedDate", s.Created), LastUsed: at("LastAccessedDate", s.Accessed)}
	e.CredentialFrom = later(later(e.Created, at("LastChangedDate", s.Changed)), at("LastRotatedDate", s.Rotated))
	for _, t := range s.Tags {
		if strings.EqualFold(t.Key, "owner") || strings.EqualFold(t.Key, "team") {
			e.Owner = t.Value
		}
	}
	r.add(row, e, map[string]string{"id": "Name", "owner": "Tags"})
	return nil
}

// vaultName is an element of `vault list -format=json auth/METHOD/role`.
func (r *reading) vaultName(row int, raw json.RawMessage) error {
	var name string
	if err := json.Unmarshal(raw, &name); err != nil {
		return err
	}
	r.add(row, Entry{ID: name, Type: "service-account"}, map[string]string{"id": "name"})
	return nil
}

// vaultEntity is one of `vault list -detailed -format=json identity/entity/id`.
type vaultEntity struct {
	Name    string `json:"name"`
	Aliases []struct {
		Name  string `json:"name"`
		Mount string `json:"mount_path"`
	} `json:"aliases"`
}

func (r *reading) vaultEntities(all map[string]vaultEntity) {
	r.listing.Format = "Vault entities"
	for i, id := range slices.Sorted(maps.Keys(all)) { // the order of the file is not kept, and faults name the id
		e := Entry{ID: id, Type: "service-account"}
		for _, a := range all[id].Aliases {
			e.Grants = append(e.Grants, strings.TrimSpace("alias "+a.Name+" "+a.Mount))
		}
		r.add(i+1, e, map[string]string{"id": "key_info", "grants": "key_info." + id + ".aliases"})
	}
}

// awsReport reads a credential report (AWS IAM, "Getting credential reports for your AWS account"): users whose access keys or
// certificates are active. Users with a password alone are people.
func (r *reading) awsReport(rows []csvRow) {
	r.listing.Format = "AWS credential report"
	value := func(row csvRow, column string) string {
		switch text := row.get(column); text {
		case "N/A", "no_information", "not_supported":
			return ""
		default:
			return text
		}
	}
	for _, row := range rows {
		e := Entry{ID: row.get("arn"), Type: "key", Created: r.instant(row.line, "user_creation_time", value(row, "user_creation_time"))}
		active := false
		for _, sort := range []string{"access_key_1", "access_key_2", "cert_1", "cert_2"} {
			on, err := strconv.ParseBool(row.get(sort + "_active"))
			if err != nil {
				r.fault(row.line, sort+"_active", "%.64q is neither true nor false", row.get(sort+"_active"))
			}
			if !on {
				continue
			}
			active = true
			e.CredentialFrom = earlier(e.CredentialFrom, r.instant(row.line, sort+"_last_rotated", value(row, sort+"_last_rotated")))
			e.LastUsed = later(e.LastUsed, r.instant(row.line, sort+"_last_used_date", value(row, sort+"_last_used_date")))
			if service := value(row, sort+"_last_used_service"); service != "" {
				e.Grants = append(e.Grants, "used for "+service)
			}
		}
		if !active {
			r.note("users without an active access key or certificate were left out: they are people, or cannot call")
			continue
		}
		r.add(row.line, e, map[string]string{"id": "arn"})
	}
}
