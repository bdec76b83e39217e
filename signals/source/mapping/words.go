package mapping

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Texts returns the texts, numbers and truths that stand at the path of a JSON body, in their JSON spelling: nothing where
// the path is not there. Anything else there, such as an object, is an error, and so is a body that is no JSON.
func (p Path) Texts(body []byte) ([]string, error) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, fmt.Errorf("the body is no JSON: %w", err)
	}
	found, err := p.find(value)
	if err != nil {
		return nil, err
	}
	texts := make([]string, 0, len(found))
	for _, v := range found {
		word, said := wordOf(v)
		if !said {
			return nil, fmt.Errorf("at %s stands neither a text nor a number", p)
		}
		texts = append(texts, word)
	}
	return texts, nil
}
