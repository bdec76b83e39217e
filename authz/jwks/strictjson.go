package jwks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// maxDepth bounds how deep objects and arrays may nest.
const maxDepth = 32

// ParseObject reads one JSON object into its members, and refuses whatever two readers may read differently: a name
// that stands twice in one object at any depth (encoding/json takes the last, others the first), bytes that are not
// UTF-8, data behind the object, nesting beyond maxDepth. Names are compared byte for byte, in their case.
func ParseObject(data []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("it is not UTF-8")
	}
	if trimmed := bytes.TrimLeft(data, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' {
		return nil, errors.New("it is no JSON object")
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := scanValue(decoder, 0); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON object")
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return nil, errors.New("it is no JSON object")
	}
	return members, nil
}

// scanValue walks over one value. The errors of encoding/json are not passed on: they quote the input.
func scanValue(decoder *json.Decoder, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("it nests deeper than %d", maxDepth)
	}
	token, err := decoder.Token()
	if err != nil {
		return errors.New("it is no valid JSON")
	}
	open, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	names := map[string]bool{}
	for decoder.More() {
		if open == '{' {
			name, err := decoder.Token()
			if err != nil {
				return errors.New("it is no valid JSON")
			}
			text, _ := name.(string)
			if names[text] {
				return fmt.Errorf("the name %.40q stands twice in one object", text)
			}
			names[text] = true
		}
		if err := scanValue(decoder, depth+1); err != nil {
			return err
		}
	}
	if _, err := decoder.Token(); err != nil {
		return errors.New("it is no valid JSON")
	}
	return nil
}
