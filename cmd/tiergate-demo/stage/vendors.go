package stage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// The vendors that Options.Vendors adds. Both know one laptop, each by its serial and by an id of its own.
const (
	KandjiName = "kandji"
	FalconName = "falcon"
)

const (
	kandjiDevice = "f9ac2a1e-1f6d-4f6b-9f1e-0a5c6d7e8f90"
	falconHost   = "4a027b0c95404062be4148c989dcf4ce"
	kandjiToken  = "kandji-token-of-the-demo"
	falconSecret = "falcon-secret-of-the-demo"
	falconToken  = "falcon-token-of-the-demo"
)

// vendors plays the APIs of Kandji and of CrowdStrike Falcon, as far as their lists go, on loopback.
type vendors struct {
	address string
	serial  string
	server  *http.Server

	mu        sync.Mutex
	encrypted string // what Falcon's assessment says of FileVault: yes, no or unknown
	changed   time.Time
}

// newVendors lays out their secrets, and listens.
func (s *Stage) newVendors(device string) error {
	known := slices.IndexFunc(devices, func(d Device) bool { return d.Name == device })
	if known < 0 {
		return fmt.Errorf("there is no laptop %q", device)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	v := &vendors{address: listener.Addr().String(), serial: devices[known].Serial, encrypted: "unknown", changed: time.Now()}
	v.server = &http.Server{Handler: v, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = v.server.Serve(listener) }() // ends with the stage
	s.vendors = v
	write := func(name, text string) error { return os.WriteFile(s.Path("secrets", name), []byte(text+"\n"), 0o600) }
	return errors.Join(write("kandji.token", kandjiToken), write("falcon.secret", falconSecret))
}

func (v *vendors) close() error {
	if v == nil {
		return nil
	}
	return v.server.Close()
}

// substitution names both vendors, which are asked.
func (v *vendors) substitution() substitution {
	return substitution{"ingest:\n  listen:", `  - name: ` + KandjiName + `
    type: kandji
    attests: [disk_encryption, platform]
    api: {url: "http://` + v.address + `/kandji", tokenFile: secrets/kandji.token, rate: 1000}
    kandji: {tables: [filevault]}
  - name: ` + FalconName + `
    type: crowdstrike
    attests: [disk_encryption, edr_present, edr_risk_score]
    api: {url: "http://` + v.address + `/falcon", clientID: demo, clientSecretFile: secrets/falcon.secret, rate: 1000}
    crowdstrike: {assessments: true}

ingest:
  listen:`}
}

// Assess has Falcon find the laptop's disk encrypted ("yes") or not ("no").
func (s *Stage) Assess(encrypted string) {
	s.vendors.mu.Lock()
	defer s.vendors.mu.Unlock()
	s.vendors.encrypted, s.vendors.changed = encrypted, time.Now()
}

// Sync runs `tiergate source sync` for a source, and waits for its end.
func (s *Stage) Sync(ctx context.Context, source string) error {
	_, err := s.verb(ctx, "source", "sync", source)
	return err
}

// ServeHTTP answers as the vendors do: samples of their documented answers, with this laptop in them.
func (v *vendors) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var answer any
	last := r.URL.Query().Get("offset") != "" && r.URL.Query().Get("offset") != "0"
	seen := v.changed.UTC().Format(time.RFC3339Nano)
	switch path := r.URL.Path; {
	case path == "/falcon/oauth2/token":
		if r.FormValue("client_secret") == falconSecret {
			answer = map[string]any{"access_token": falconToken, "token_type": "bearer", "expires_in": 1799}
		}
	case strings.HasPrefix(path, "/kandji/") && r.Header.Get("Authorization") == "Bearer "+kandjiToken:
		answer = v.kandji(path, seen, last)
	case strings.HasPrefix(path, "/falcon/") && r.Header.Get("Authorization") == "Bearer "+falconToken:
		answer = v.falcon(path, seen, last)
	}
	if answer == nil {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	_ = json.NewEncoder(w).Encode(answer) // whoever went away asks again
}

func (v *vendors) kandji(path, seen string, last bool) any {
	rows := []any{}
	switch {
	case last:
	case path == "/kandji/api/v1/devices":
		rows = append(rows, map[string]any{"device_id": kandjiDevice, "serial_number": v.serial, "platform": "Mac",
			"os_version": "15.6.1", "last_check_in": seen, "mdm_enabled": true, "is_removed": false, "is_missing": false, "user": ""})
	default:
		rows = append(rows, map[string]any{"device_id": kandjiDevice, "serial_number": v.serial, "status": true,
			"last_collected_at": seen})
	}
	if path == "/kandji/api/v1/devices" {
		return rows
	}
	return map[string]any{"offset": 0, "limit": 300, "total": len(rows), "data": rows}
}

func (v *vendors) falcon(path, seen string, last bool) any {
	resources := []any{}
	switch {
	case last:
	case strings.Contains(path, "scroll"):
		resources = append(resources, falconHost)
	case strings.Contains(path, "assessments"):
		resources = append(resources, map[string]any{"aid": falconHost, "modified_time": seen, "assessment": map[string]any{"overall": 19},
			"assessment_items": map[string]any{"os_signals": []any{
				map[string]any{"signal_id": "file_vault_enabled_mac", "meets_criteria": v.encrypted}}}})
	default:
		resources = append(resources, map[string]any{"device_id": falconHost, "serial_number": v.serial, "platform_name": "Mac",
			"os_version": "Sequoia (15)", "os_build": "24G90", "last_seen": seen, "status": "normal",
			"reduced_functionality_mode": "no", "device_policies": map[string]any{"prevention": map[string]any{"applied": true}}})
	}
	return map[string]any{"meta": map[string]any{"pagination": map[string]any{"total": 1, "offset": "1"}}, "resources": resources,
		"errors": []any{}}
}
