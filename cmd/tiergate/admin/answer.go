package admin

import (
	"encoding/json"
	"net/http"
)

// Answer writes a value as JSON.
func Answer(w http.ResponseWriter, status int, value any) {
	raw, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		status, raw = http.StatusInternalServerError, []byte(`{"error":"the answer has no JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(raw, '\n')) // the reader went away; there is nobody to tell
}

// Refuse writes {"error": text}, which says what is wrong and what to do.
func Refuse(w http.ResponseWriter, status int, text string) {
	Answer(w, status, map[string]string{"error": text})
}
