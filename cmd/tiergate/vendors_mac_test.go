package main

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals"
	"github.com/tiergate/tiergate/signals/sourcetest"
)

// TestOneMacOfTwoVendors: the Mac of which Kandji and CrowdStrike both have public recordings becomes one device, by its serial
// number and no other name, and what they say of it stands side by side: FileVault is on for the one and unknown to the other.
// Where the recordings are not there, the demo's scene of the same is what proves it.
func TestOneMacOfTwoVendors(t *testing.T) {
	t.Parallel()
	const serial = "C02D91CNPV4M"
	recordings := filepath.Join("..", "..", "..", "shared", "samples")
	if files, err := filepath.Glob(filepath.Join(recordings, "kandji", "*.json")); err != nil || len(files) == 0 {
		return
	}
	vendor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var name string
		path := r.URL.Path
		offset := r.URL.Query().Get("offset")
		switch {
		case path == "/falcon/oauth2/token":
			_, _ = w.Write([]byte(`{"access_token":"t0ken","token_type":"bearer","expires_in":1799}`))
			return
		case offset != "" && offset != "0" && strings.Contains(path, "scroll"):
			_, _ = w.Write([]byte(`{"meta":{"pagination":{"total":1,"offset":"x"}},"resources":[],"errors":[]}`))
			return
		case offset != "" && offset != "0":
			_, _ = w.Write([]byte(`[]`))
			return
		case path == "/kandji/api/v1/devices":
			name = "kandji/api_devices_list.json"
		case strings.HasSuffix(path, "/details"):
			name = "kandji/api_device_details_mac.json"
		case strings.HasPrefix(path, "/kandji/api/v1/prism/"): // the recorded rows are of another Mac
			_, _ = w.Write([]byte(`{"cursor":null,"data":[],"total":null}`))
			return
		case strings.Contains(path, "scroll"):
			name = "crowdstrike/api_devices_scroll.json"
		case strings.Contains(path, "assessments"):
			name = "crowdstrike/api_zta_assessment.json"
		case strings.Contains(path, "/devices/v2"):
			name = "crowdstrike/api_devices_entities_v2.json"
		default:
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = w.Write(sourcetest.Content(t, filepath.Join(recordings, name)))
	}))
	defer vendor.Close()
	attests := []string{"disk_encryption", "edr_healthy", "edr_present", "edr_risk_score", "firewall", "os_build", "os_version", "platform"}
	store, _ := receiveFrom(t,
		&config.Source{Name: "kandji", Type: config.SourceKandji, Attests: attests, Kandji: &config.Kandji{Details: true, Tables: []string{"filevault"}},
			API: &config.API{URL: vendor.URL + "/kandji", TokenFile: secretFile(t, "t0ken"), Rate: 1000}},
		&config.Source{Name: "falcon", Type: config.SourceCrowdStrike, Attests: attests, CrowdStrike: &config.CrowdStrike{Assessments: true},
			API: &config.API{URL: vendor.URL + "/falcon", ClientID: "id", ClientSecretFile: secretFile(t, "s3cret"), Rate: 1000}})
	awaitFact(t, store, "kandji", serial, "disk_encryption", "true")
	awaitFact(t, store, "falcon", serial, "edr_risk_score", "81")
	var found []signals.Posture
	if _, err := store.EachPosture(t.Context(), func(p signals.Posture) error { found = append(found, p); return nil }, nil); err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 {
		t.Fatalf("it is %d devices", len(found))
	}
	var names, said []string
	for _, alias := range found[0].Aliases {
		names = append(names, alias.String())
	}
	for _, fact := range found[0].Facts {
		said = append(said, fact.Attribute+"="+fact.Value.String()+" by "+fact.Source+" of "+fact.Observed.Format("2006-01-02"))
	}
	t.Logf("%s\n%s", strings.Join(names, ", "), strings.Join(said, "\n"))
	for _, want := range []string{"disk_encryption=true by kandji of 2022-09-19", "disk_encryption=unknown by falcon of 2023-05-22",
		"os_build=21A559 by kandji of 2022-09-19", "os_build=21A559 by falcon of 2023-05-23", "edr_healthy=true by falcon of 2023-05-23"} {
		if !slices.Contains(said, want) {
			t.Errorf("nobody says %s", want)
		}
	}
}
