package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestOsqueryREADME: with the settings that the README shows a device enrols, fetches its schedule and logs a snapshot, also several of
// one query at once, as after a time without network; who has no node key of ours is told to enrol, and nothing of it counts.
func TestOsqueryREADME(t *testing.T) {
	t.Parallel()
	settings := readmeSettings(t, sourceREADME(t, "osquery"), map[string]string{"osquery.enroll": "the secret of all devices",
		"osquery.key": "the key of the receivers"})
	store, door := receiveFrom(t, &settings.Sources[0])
	send := func(body string, want int) string {
		t.Helper()
		status, answer := sendTo(t, http.MethodPost, door, nil, body)
		if status != want {
			t.Fatalf("%s is answered %d %s", body, status, answer)
		}
		return answer
	}
	hello := `{"enroll_secret":"%s","host_identifier":"h","host_details":{"system_info":{"hardware_serial":"C02OSQUERY01","uuid":""}}}`
	send(fmt.Sprintf(hello, "a guess"), http.StatusUnauthorized)
	var told struct {
		Key string `json:"node_key"`
	}
	if err := json.Unmarshal([]byte(send(fmt.Sprintf(hello, "the secret of all devices"), http.StatusOK)), &told); err != nil {
		t.Fatal(err)
	}
	if config := send(fmt.Sprintf(`{"node_key":%q}`, told.Key), http.StatusOK); !strings.Contains(config, `"tiergate_alf":{"query":"SELECT`) {
		t.Errorf("the schedule is %s", config)
	}
	line := func(state string, ago time.Duration) string {
		return fmt.Sprintf(`{"name":"tiergate_alf","action":"snapshot","unixTime":"%d","snapshot":[{"global_state":%q}]}`,
			time.Now().Add(-ago).Unix(), state)
	}
	log := func(key string, lines ...string) string {
		return fmt.Sprintf(`{"node_key":%q,"log_type":"result","data":[%s]}`, key, strings.Join(lines, ","))
	}
	send(log(told.Key, line("1", time.Minute), line("0", time.Hour)), http.StatusAccepted)
	awaitFact(t, store, "osquery", "C02OSQUERY01", "firewall", "true")
	if answer := send(log("this_is_a_node_secret", line("1", 0)), http.StatusOK); answer != `{"node_invalid":true}` {
		t.Errorf("a node key of nobody is answered %s", answer)
	}
	send(log(told.Key, line("0", time.Second)), http.StatusAccepted)
	awaitFact(t, store, "osquery", "C02OSQUERY01", "firewall", "false")
}
