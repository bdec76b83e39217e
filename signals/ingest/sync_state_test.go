package ingest

import (
	"testing"
	"time"
)

// Which of two listings is the one that was asked for.
func TestAnswered(t *testing.T) {
	t.Parallel()
	at := func(s int) time.Time {
		if s == 0 {
			return time.Time{}
		}
		return time.Unix(int64(s), 0)
	}
	for name, c := range map[string]struct {
		requested, started, finished int
		answered                     bool
	}{
		"never listed":                             {5, 0, 0, false},
		"it waits":                                 {5, 1, 2, false},
		"another runs":                             {5, 4, 2, false},
		"another has ended since, and it waits":    {5, 4, 6, false},
		"another has ended since, and it runs":     {5, 7, 6, false},
		"it runs":                                  {5, 7, 2, false},
		"it has ended":                             {5, 7, 9, true},
		"it has ended, and the next one runs":      {5, 12, 9, false},
		"nobody asked, and one runs":               {0, 7, 0, false},
		"nobody asked, and the listing has an end": {0, 7, 9, true},
		"it began in the instant of the question":  {5, 5, 9, false},
		"its end is in the instant of its start":   {5, 9, 9, true},
	} {
		s := SyncState{Requested: at(c.requested), Started: at(c.started), Finished: at(c.finished)}
		if s.Answered() != c.answered {
			t.Errorf("%s: %t", name, s.Answered())
		}
	}
}
