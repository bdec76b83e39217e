package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// The forms of -o.
const (
	asTable = "table"
	asJSON  = "json"
	asYAML  = "yaml"
)

// outputFlag adds -o; the form is checked when the verb prints.
func outputFlag(c *cobra.Command, into *string) {
	c.Flags().StringVarP(into, "output", "o", asTable, "`FORM`: table, json or yaml")
}

// checkOutput refuses a form that there is not, before anything is done.
func checkOutput(form string) error {
	if !slices.Contains([]string{asTable, asJSON, asYAML}, form) {
		return usageError{fmt.Errorf("-o %s: say table, json or yaml", form)}
	}
	return nil
}

// printAs writes a value in a form other than the table, which table writes.
func printAs(w io.Writer, form string, value any, table func(io.Writer) error) error {
	if form == asTable {
		return table(w)
	}
	raw, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	if form == asYAML {
		if raw, err = yamlOf(raw); err != nil {
			return err
		}
	}
	_, err = w.Write(append(bytes.TrimRight(raw, "\n"), '\n'))
	return err
}

// yamlOf writes JSON as block YAML with the keys in their order.
func yamlOf(raw []byte) ([]byte, error) {
	var out bytes.Buffer
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	err := yamlValue(&out, decoder, 0, false)
	return out.Bytes(), err
}

// yamlValue writes the next value. After "key:" or "-" (inline) it begins on the same line where it has one line.
func yamlValue(out *bytes.Buffer, from *json.Decoder, depth int, inline bool) error {
	token, err := from.Token()
	if err != nil {
		return err
	}
	opened, nested := token.(json.Delim)
	if !nested {
		if inline {
			out.WriteByte(' ')
		}
		out.WriteString(yamlScalar(token) + "\n")
		return nil
	}
	if !from.More() {
		out.WriteString(map[json.Delim]string{'{': " {}\n", '[': " []\n"}[opened])
		_, err = from.Token()
		return err
	}
	if inline {
		out.WriteByte('\n')
	}
	for from.More() {
		out.WriteString(strings.Repeat("  ", depth))
		if opened == '[' {
			out.WriteByte('-')
		} else {
			key, err := from.Token()
			if err != nil {
				return err
			}
			out.WriteString(yamlScalar(key) + ":")
		}
		if err := yamlValue(out, from, depth+1, true); err != nil {
			return err
		}
	}
	_, err = from.Token()
	return err
}

// plainYAML are texts that no reader of YAML takes for anything else.
var plainYAML = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_./@-]*$`)

func yamlScalar(token json.Token) string {
	text, ok := token.(string)
	switch {
	case token == nil:
		return "null"
	case !ok:
		return fmt.Sprint(token)
	case plainYAML.MatchString(text) && !slices.Contains(
		[]string{"true", "false", "null", "yes", "no", "on", "off", "y", "n"}, strings.ToLower(text)):
		return text
	}
	quoted, _ := json.Marshal(text) //nolint:errchkjson // a text always has one; a JSON text is a YAML one
	return string(quoted)
}
