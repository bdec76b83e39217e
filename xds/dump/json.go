package dump

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// syntaxError is text that is no JSON.
type syntaxError struct{ error }

type jsonReader struct {
	decoder *json.Decoder
	nodes   int
}

func parseJSON(text []byte) (any, error) {
	r := &jsonReader{decoder: json.NewDecoder(bytes.NewReader(text))}
	r.decoder.UseNumber()
	tree, err := r.value(0)
	if err == nil {
		if _, end := r.decoder.Token(); !errors.Is(end, io.EOF) {
			err = &syntaxError{errors.New("something follows the end of the JSON value")}
		}
	}
	if err == nil {
		return tree, nil
	}
	at := r.decoder.InputOffset()
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		at = syntax.Offset
	}
	line, column := place(text, at)
	return nil, fmt.Errorf("line %d, column %d: %w", line, column, err)
}

func (r *jsonReader) value(depth int) (any, error) {
	token, err := r.decoder.Token()
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, &syntaxError{err}
	}
	if r.nodes++; r.nodes > maxNodes || depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d or more than %d values", maxDepth, maxNodes)
	}
	switch token {
	case json.Delim('{'):
		return r.object(depth)
	case json.Delim('['):
		list := []any{}
		for r.decoder.More() {
			item, err := r.value(depth + 1)
			if err != nil {
				return nil, err
			}
			list = append(list, item)
		}
		return list, r.end()
	}
	return token, nil
}

func (r *jsonReader) object(depth int) (any, error) {
	o := newObject()
	for r.decoder.More() {
		token, err := r.decoder.Token()
		if err != nil {
			return nil, &syntaxError{err}
		}
		key, _ := token.(string)
		value, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if err := o.put(key, value); err != nil {
			return nil, err
		}
	}
	return o.fields, r.end()
}

// end takes the closing bracket.
func (r *jsonReader) end() error {
	_, err := r.decoder.Token()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return &syntaxError{err}
	}
	return nil
}
