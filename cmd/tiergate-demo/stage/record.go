package stage

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"
)

// Record is what the log of `serve` tells of a decision. Refusals are logged, and admissions that something excused.
type Record struct {
	Decision string   `json:"decision"`
	Outcome  string   `json:"outcome"`
	Waived   []Waived `json:"waived"`
}

// Waived is a demand that was not met, and what excused it until when.
type Waived struct {
	Signal string    `json:"signal"`
	By     string    `json:"by"`
	Name   string    `json:"name"` // of the exception
	Until  time.Time `json:"until"`
}

func (w Waived) String() string {
	if w.Name == "" {
		return w.Signal + " by " + w.By
	}
	return w.Signal + " by " + w.By + " " + w.Name
}

// maxLogLine is far above any line that a decision writes.
const maxLogLine = 1 << 20

// Record finds a decision in the log. Found is false if there is no word of it, as of an admission that nothing had to
// excuse. A decision stands in the log before it is answered.
func (s *Stage) Record(decision string) (record Record, found bool, err error) {
	if decision == "" {
		return Record{}, false, errors.New("an answer without a decision is on no record")
	}
	file, err := os.Open(s.log("serve"))
	if err != nil {
		return Record{}, false, err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, maxLogLine)
	for lines.Scan() {
		if !bytes.Contains(lines.Bytes(), []byte(decision)) {
			continue
		}
		var line Record
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return Record{}, false, fmt.Errorf("the log tells of decision %s in no JSON: %w", decision, err)
		}
		if line.Decision == decision {
			return line, true, nil
		}
	}
	return Record{}, false, lines.Err()
}
