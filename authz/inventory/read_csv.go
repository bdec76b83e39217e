package inventory

import (
	"bytes"
	"encoding/csv"
	"slices"
	"strconv"
	"strings"
)

// csvRow is one line of a CSV file with a header.
type csvRow struct {
	line    int
	columns map[string]int // column → place
	values  []string
}

func (c csvRow) get(column string) string {
	if i, ok := c.columns[column]; ok {
		return c.values[i]
	}
	return ""
}

// table reads CSV (RFC 4180) with a header; nil: it has faults.
func (r *reading) table(data []byte) (header []string, rows []csvRow) {
	reader := csv.NewReader(bytes.NewReader(data))
	all, err := reader.ReadAll()
	if err != nil {
		r.fault(0, "", "it is no CSV: %v", err)
		return nil, nil
	}
	header = all[0]
	columns := map[string]int{}
	for i, name := range header {
		name = strings.TrimSpace(name)
		header[i] = name
		if _, twice := columns[name]; twice {
			r.fault(1, name, "the column is there twice")
		}
		columns[name] = i
	}
	for i, values := range all[1:] {
		row := csvRow{line: i + 2, columns: columns, values: values}
		for j, text := range values {
			if isSecretText(text) || text != "" && isSecretName(header[j]) {
				r.fault(row.line, header[j], "it holds key material; export the list without it, and rotate what was in this file")
			}
		}
		rows = append(rows, row)
	}
	if len(r.faults) > 0 {
		return nil, nil
	}
	return header, rows
}

func (r *reading) csv(data []byte) {
	header, rows := r.table(data)
	switch {
	case header == nil:
	case r.listing.System == "cloud-iam" && slices.Contains(header, "access_key_1_active"):
		for _, column := range []string{"arn", "user_creation_time", "access_key_2_active", "cert_1_active", "cert_2_active"} {
			if !slices.Contains(header, column) {
				r.fault(1, column, "the column is missing; is this a whole credential report?")
				return
			}
		}
		r.awsReport(rows)
	default:
		r.ownRows(header, rows)
	}
}

// ownRows is CSV in the form of tiergate; grants are separated by semicolons.
func (r *reading) ownRows(header []string, rows []csvRow) {
	r.listing.Format = "tiergate"
	for _, column := range header {
		if !slices.Contains(ownColumns, column) {
			r.fault(1, column, "there is no such column; they are %s. Describe other files with --mapping", strings.Join(ownColumns, ", "))
		}
	}
	for _, column := range []string{"id", "type"} {
		if !slices.Contains(header, column) {
			r.fault(1, column, "the column is missing")
		}
	}
	if len(r.faults) > 0 {
		return
	}
	for _, row := range rows {
		e := Entry{ID: row.get("id"), Type: row.get("type"), SPIFFEID: row.get("spiffeID"), Owner: row.get("owner"),
			Created: r.instant(row.line, "created", row.get("created")), LastUsed: r.instant(row.line, "lastUsed", row.get("lastUsed")),
			CredentialFrom: r.instant(row.line, "credentialFrom", row.get("credentialFrom")), Grants: split(row.get("grants"), ";")}
		if text := row.get("neverExpires"); text != "" {
			never, err := strconv.ParseBool(text)
			if err != nil {
				r.fault(row.line, "neverExpires", "%.64q is neither true nor false", text)
			}
			e.NeverExpires = never
		}
		r.add(row.line, e, nil)
	}
}

func split(text, at string) []string {
	var all []string
	for part := range strings.SplitSeq(text, at) {
		if part = strings.TrimSpace(part); part != "" {
			all = append(all, part)
		}
	}
	return all
}
