package drift

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// readDump goes through a config_dump without holding more of it than one resource: Envoy writes as much as it has.
func readDump(from io.Reader, c *comparison) error {
	decoder := json.NewDecoder(from)
	if err := open(decoder, '{', "the dump"); err != nil {
		return err
	}
	configs := false
	for decoder.More() {
		key, err := fieldName(decoder)
		if err != nil {
			return err
		}
		if key != "configs" {
			if err := skip(decoder); err != nil {
				return err
			}
			continue
		}
		configs = true
		if err := readConfigs(decoder, c); err != nil {
			return err
		}
	}
	if _, err := decoder.Token(); err != nil {
		return broken(err)
	}
	if !configs {
		return errors.New("the answer is no config_dump: it has no configs")
	}
	return nil
}

func readConfigs(decoder *json.Decoder, c *comparison) error {
	if err := open(decoder, '[', "configs"); err != nil {
		return err
	}
	for decoder.More() {
		if err := open(decoder, '{', "an element of configs"); err != nil {
			return err
		}
		for decoder.More() {
			section, err := fieldName(decoder)
			if err != nil {
				return err
			}
			if err := readSection(decoder, section, c); err != nil {
				return err
			}
		}
		if _, err := decoder.Token(); err != nil {
			return broken(err)
		}
	}
	_, err := decoder.Token()
	return broken(err)
}

// readSection takes one field of a section's message: a list of resources, the bootstrap, or a word such as version_info.
func readSection(decoder *json.Decoder, section string, c *comparison) error {
	token, err := decoder.Token()
	switch {
	case err != nil:
		return broken(err)
	case token == json.Delim('['):
		for decoder.More() {
			var raw json.RawMessage
			if err := decoder.Decode(&raw); err != nil {
				return broken(err)
			}
			if err := c.element(section, raw); err != nil {
				return err
			}
		}
		_, err := decoder.Token()
		return broken(err)
	case token == json.Delim('{'):
		raw, err := rest(decoder)
		if err != nil {
			return err
		}
		if section == "bootstrap" {
			c.bootstrap(raw)
		}
	}
	return nil
}

// rest reads the fields of an object that was opened already.
func rest(decoder *json.Decoder) (json.RawMessage, error) {
	fields := map[string]json.RawMessage{}
	for decoder.More() {
		key, err := fieldName(decoder)
		if err != nil {
			return nil, err
		}
		var raw json.RawMessage
		if err := decoder.Decode(&raw); err != nil {
			return nil, broken(err)
		}
		fields[key] = raw
	}
	if _, err := decoder.Token(); err != nil {
		return nil, broken(err)
	}
	return json.Marshal(fields)
}

func fieldName(decoder *json.Decoder) (string, error) {
	token, err := decoder.Token()
	if err != nil {
		return "", broken(err)
	}
	name, ok := token.(string)
	if !ok {
		return "", fmt.Errorf("the answer is no config_dump: %v stands for the name of a field", token)
	}
	return name, nil
}

func skip(decoder *json.Decoder) error {
	var raw json.RawMessage
	return broken(decoder.Decode(&raw))
}

func open(decoder *json.Decoder, delim json.Delim, what string) error {
	token, err := decoder.Token()
	if err != nil {
		return broken(err)
	}
	if token != delim {
		return fmt.Errorf("the answer is no config_dump: %s begins with %v, not with %v", what, token, delim)
	}
	return nil
}

func broken(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("the dump cannot be read to its end: %w", err)
}
