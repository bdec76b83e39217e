package inventory

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxJSONDepth bounds how deep a file may nest.
const maxJSONDepth = 32

// secretNames are names of fields and columns that hold key material, in lower case without - _ and blanks. What they name
// never belongs in an inventory, so a file that has it is refused as a whole: whoever exported it should know.
var secretNames = map[string]bool{
	"accesskeysecret": true, "apikey": true, "clientsecret": true, "password": true, "privatekey": true, "privatekeydata": true,
	"secret": true, "secretaccesskey": true, "secretbinary": true, "secretid": true, "secretkey": true, "secretstring": true,
	"secrettext": true, "secretvalue": true, "token": true,
}

func isSecretName(name string) bool {
	return secretNames[strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.ToLower(name))]
}

func isSecretText(text string) bool { return strings.Contains(text, "PRIVATE KEY-----") }

// checkJSON walks over a text once: it is JSON of one value, nothing is nested too deep, no object has one name twice in
// whatever case, and nothing is key material.
func checkJSON(data []byte) error {
	w := &jsonWalk{decoder: json.NewDecoder(bytes.NewReader(data))}
	w.decoder.UseNumber()
	if err := w.value("", 0); err != nil {
		return err
	}
	if _, err := w.decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something stands behind the JSON value")
	}
	return nil
}

type jsonWalk struct{ decoder *json.Decoder }

func (w *jsonWalk) value(path string, depth int) error {
	token, err := w.decoder.Token()
	if err != nil {
		return fmt.Errorf("%s: it is no JSON: %w", place(path), err)
	}
	switch t := token.(type) {
	case json.Delim:
		if depth == maxJSONDepth {
			return fmt.Errorf("%s: it nests deeper than %d", place(path), maxJSONDepth)
		}
		if t == '[' {
			return w.list(path, depth)
		}
		return w.object(path, depth)
	case string:
		if isSecretText(t) || t != "" && isSecretName(path[strings.LastIndexByte(path, '.')+1:]) {
			return fmt.Errorf("%s holds key material; export the list without it, and rotate what was in this file", place(path))
		}
	}
	return nil
}

func (w *jsonWalk) list(path string, depth int) error {
	for i := 1; w.decoder.More(); i++ {
		if err := w.value(fmt.Sprintf("%s[%d]", path, i), depth+1); err != nil {
			return err
		}
	}
	return w.end(path)
}

func (w *jsonWalk) object(path string, depth int) error {
	names := map[string]bool{}
	for w.decoder.More() {
		token, err := w.decoder.Token()
		if err != nil {
			return fmt.Errorf("%s: it is no JSON: %w", place(path), err)
		}
		name, _ := token.(string)
		folded := strings.ToLower(name)
		if names[folded] {
			return fmt.Errorf("%s: the field %.64q is there twice", place(path), name)
		}
		names[folded] = true
		if err := w.value(path+"."+name, depth+1); err != nil {
			return err
		}
	}
	return w.end(path)
}

func (w *jsonWalk) end(path string) error {
	if _, err := w.decoder.Token(); err != nil {
		return fmt.Errorf("%s: it is no JSON: %w", place(path), err)
	}
	return nil
}

// place names a place for people: rows count from 1.
func place(path string) string {
	if path == "" {
		return "the file"
	}
	return strings.TrimPrefix(path, ".")
}
