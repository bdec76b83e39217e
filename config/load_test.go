package config_test

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/config/strictyaml"
)

var update = flag.Bool("update", false, "write what is said now as what should be said")

var words = config.Vocabulary{Attributes: []string{"disk_encryption", "enrolled_user", "os_version", "platform"}, Path: onePath}

// site is a directory with the files that settings name.
func site(t *testing.T, settings []byte) (dir, file string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range []string{"ca.pem", "key.pem", "jwks.json", "secret", "secret.old", "seal.pub", "seal.old.pub", "assert.key", "assert.old.key"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"policy", "links", "bin", "texts"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "bin", "envoy"), nil, 0o700); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(dir, "settings.yaml")
	if err := os.WriteFile(file, settings, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, file
}

func TestLoadEveryField(t *testing.T) {
	text, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir, file := site(t, text)
	got, err := config.Load(file, words)
	if err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	pair := config.KeyPair{CertFile: at("ca.pem"), KeyFile: at("key.pem")}
	want := &config.Settings{
		RuntimeDir: at("run"),
		Answers:    config.Answers{Dir: at("texts")},
		Census:     config.Census{Off: true, Name: "edge-1", Every: time.Minute},
		Policy:     config.Policy{Dir: at("policy"), History: config.PolicyHistory{Dir: at("kept"), Keep: 5}},
		Store: config.Store{Redis: &config.RedisStore{
			Address: "127.0.0.1:6379", Username: "tiergate", PasswordFile: at("secret"), CAFile: at("ca.pem"),
			ServerName: "valkey.acme.example", WaitAOF: 1, WaitReplicas: 2,
			Seal: &config.Seal{KeyFile: at("seal.key"), TrustFiles: []string{at("seal.pub"), at("seal.old.pub")},
				CheckpointMaxAge: 20 * time.Minute},
		}},
		Identity: config.Identity{
			TrustDomains: []config.TrustDomain{{Name: "acme.example", BundleFile: at("ca.pem")}, {Name: "mesh.example"},
				{Name: "partner.example"}},
			WorkloadAPI: &config.WorkloadAPI{Socket: at("agent/api.sock")},
			JWTSVIDs:    &config.JWTSVIDs{Audiences: []string{"tiergate", "spiffe://acme.example/tiergate"}},
			DPoPWindow:  5 * time.Minute, RevocationsStale: 2 * time.Hour,
			SessionLife: 1440 * time.Hour,
			Devices: &config.Devices{BundleFile: at("ca.pem"), Bind: "serialNumber",
				IgnoreURINames: []string{"tag:microsoft.com,2022-09-14:sid:"}},
			Forwarders: []string{"spiffe://acme.example/gateway", "spiffe://acme.example/ns/*/sa/edge",
				"spiffe://acme.example/mesh/**"},
			Issuers: []config.Issuer{{
				Name: "corp", Issuer: "https://login.acme.example", Audiences: []string{"apps"},
				Algorithms: []string{"ES256", "EdDSA"}, JWKSFile: at("jwks.json"), Type: "at+jwt", Leeway: 0,
				SenderConstrained: "required",
				Claims: config.Claims{User: "email", Groups: "https://acme.example/roles", ACR: "urn:acr", AMR: "methods",
					AuthTime: "login_at", Session: "session_state", Email: "email"},
				Device:     &config.DeviceClaim{Claim: "device_id", Names: "directory", Bearer: true},
				VerifiedBy: "tiergate", AuthTime: "login",
			}, {
				Name: "partner", Issuer: "http://127.0.0.1:8081", Audiences: []string{"apps"},
				Algorithms: []string{"ES256"}, JWKSFile: at("jwks.json"), Leeway: 30 * time.Second,
				SenderConstrained: "optional",
				Claims:            config.Claims{User: "sub", Groups: "groups", ACR: "acr", AMR: "amr", AuthTime: "auth_time", Session: "sid"},
				Device:            &config.DeviceClaim{Claim: "serial", Names: "serial"}, VerifiedBy: "envoy", AuthTime: "refreshed",
			}, {
				Name: "cedar", Issuer: "https://login.cedar.example", Audiences: []string{"apps"},
				Algorithms: []string{"ES256"}, JWKSURL: "https://login.cedar.example/keys?tenant=acme",
				JWKSCAFile: at("ca.pem"), JWKSStale: 0, Leeway: 30 * time.Second,
				SenderConstrained: "optional", VerifiedBy: "tiergate", AuthTime: "refreshed",
				Claims: config.Claims{User: "sub", Groups: "groups", ACR: "acr", AMR: "amr", AuthTime: "auth_time", Session: "sid"},
			}, {
				Name: "birch", Issuer: "https://login.birch.example", Audiences: []string{"apps"},
				Algorithms: []string{"ES256"}, JWKSURL: "http://localhost:8082/jwks", JWKSStale: 6 * time.Hour,
				Leeway: 30 * time.Second, SenderConstrained: "optional", VerifiedBy: "tiergate", AuthTime: "refreshed",
				Claims: config.Claims{User: "sub", Groups: "groups", ACR: "acr", AMR: "amr", AuthTime: "auth_time", Session: "sid"},
			}},
		},
		Sources: append([]config.Source{{
			Name: "mdm", Type: "standard", Attests: []string{"disk_encryption", "enrolled_user", "os_version"},
			Every: 24 * time.Hour, EnrolledUser: &config.EnrolledUser{Issuer: "corp", Is: "subject"},
			SecretFiles: []string{at("secret"), at("secret.old")},
		}}, append(vendors(at), mapped(at)...)...),
		SSF:     transmitters(at),
		Outlets: outlets(at),
		Ingest: config.Ingest{
			Listen: "0.0.0.0:18090", Metrics: config.Metrics{Listen: "127.0.0.1:0"}, MaxBody: 2048,
			MaxInbox: 500, MaxRemembered: 20000, Rate: 12, Links: at("links"),
			Evidence: config.IngestEvidence{File: at("steps.jsonl"), MaxBytes: 1 << 20, Keep: 3},
			Approvals: &config.Approvals{Listen: "0.0.0.0:18092", TLS: config.CertificateFiles{CertFile: at("ca.pem"), KeyFile: at("key.pem")},
				ClientCAFile: at("ca.pem"), Certificates: "spiffe", Issuers: []string{"corp"}, Audiences: []string{"tiergate-approvals"},
				MaxLogin: 8 * time.Hour, Rate: 5},
		},
		Metrics: config.Metrics{Listen: "[::1]:9000"},
		Authz: config.Authz{Reader: "proto", Transport: "grpc-go", Listen: &config.MutualTLS{Address: "10.0.0.7:9001",
			Envoys: []string{"spiffe://mesh.example/envoy", "spiffe://partner.example/edge/*"}}},
		Assertion: &config.Assertion{Issuer: "https://gateway.acme.example", Lifetime: 30 * time.Second, RotateEvery: 24 * time.Hour,
			KeyFiles: []string{at("assert.key"), at("assert.old.key")}, Listen: "10.0.0.7:9003",
			TLS: &config.CertificateFiles{CertFile: at("ca.pem"), KeyFile: at("key.pem")}},
		Login: &config.Login{KeyFile: at("secret")},
		Envoy: config.Envoy{
			Listeners: []config.Listener{
				{Name: "employees", Address: "127.0.0.1:8443", TLS: pair, ClientCAFile: at("ca.pem"),
					ClientCertificates: "optional"},
				{Name: "contractors", Address: "127.0.0.1:8444", Audience: "contractors", TLS: pair, ClientCAFile: at("ca.pem"),
					ClientSPIFFEIDs: []string{"spiffe://partner.example/contractor/*"}},
				{Name: "workloads", Address: "127.0.0.1:8445", TLS: config.KeyPair{WorkloadAPI: true},
					ClientTrustDomains: []string{"mesh.example", "partner.example"}, Serves: "workloads"},
			},
			Health: &config.EnvoyHealth{Address: "127.0.0.1:8446"},
			AccessLog: &config.AccessLog{File: "/dev/stdout",
				GRPC: &config.AccessLogService{Address: "10.0.0.8:9002", SPIFFEID: "spiffe://mesh.example/als"}},
			Client: &config.KeyPair{WorkloadAPI: true}, UpstreamCA: at("ca.pem"), CheckTimeout: time.Second,
			Binary: at("bin/envoy"), AdminSocket: at("run/envoy.sock"),
			MinVersion: "1.40.1",
		},
		Log: config.Log{Level: "debug", Format: "console"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDefaults(t *testing.T) {
	for env, want := range map[string]string{
		"": "/run/tiergate", "relative": "/run/tiergate", "/run/user/7": "/run/user/7/tiergate",
	} {
		t.Setenv("XDG_RUNTIME_DIR", env)
		dir, file := site(t, []byte("store: {embedded: {file: tiergate.db}}\nidentity: {devices: {bundleFile: ca.pem}}\n"))
		got, err := config.Load(file, config.Vocabulary{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&config.Settings{
			RuntimeDir: want,
			Policy:     config.Policy{History: config.PolicyHistory{Dir: want + "/policies", Keep: 20}},
			Store:      config.Store{Embedded: &config.EmbeddedStore{File: filepath.Join(dir, "tiergate.db")}},
			Identity: config.Identity{Devices: &config.Devices{BundleFile: filepath.Join(dir, "ca.pem"), Bind: "certificate"},
				DPoPWindow: time.Minute, SessionLife: 720 * time.Hour, RevocationsStale: time.Hour},
			Ingest: config.Ingest{
				Listen: "127.0.0.1:8090", Metrics: config.Metrics{Listen: "127.0.0.1:9465"}, MaxBody: 1 << 20,
				MaxInbox: 100_000, MaxRemembered: 1_000_000,
			},
			Metrics: config.Metrics{Listen: "127.0.0.1:9464"},
			Authz:   config.Authz{Reader: "fast", Transport: "tiergate"},
			Census:  config.Census{Every: 30 * time.Second},
			Envoy:   config.Envoy{CheckTimeout: 250 * time.Millisecond},
			Log:     config.Log{Level: "info", Format: "json"},
		}, got); diff != "" {
			t.Error(diff)
		}
	}
}

// Each file of testdata/bad is loaded; what is said stands beside it, word for word. Between them, every field of Settings
// is bad at least once.
func TestBadSettings(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", "/run/user/7")
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	faulty := map[string]bool{}
	index := regexp.MustCompile(`\[\d+\]`)
	for _, bad := range files {
		t.Run(strings.TrimSuffix(filepath.Base(bad), ".yaml"), func(t *testing.T) {
			text, err := os.ReadFile(bad)
			if err != nil {
				t.Fatal(err)
			}
			dir, file := site(t, text)
			settings, err := config.Load(file, words)
			problems, ok := errors.AsType[strictyaml.Problems](err)
			if !ok || settings != nil {
				t.Fatalf("want problems, got %v, %v", settings, err)
			}
			for _, p := range problems {
				faulty[index.ReplaceAllString(p.Path, "")] = true
			}
			golden(t, strings.TrimSuffix(bad, ".yaml")+".txt", strings.ReplaceAll(err.Error(), dir, "$DIR")+"\n")
		})
	}
	for _, path := range leaves("", reflect.TypeFor[config.Settings]()) {
		if !faulty[path] {
			t.Errorf("no file of testdata/bad has a bad %s", path)
		}
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s:\n%s", file, diff)
	}
}

// leaves are the paths of all fields that hold a value.
func leaves(path string, t reflect.Type) []string {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		return leaves(path, t.Elem())
	case reflect.Struct:
		var all []string
		for i := range t.NumField() {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
			all = append(all, leaves(strings.TrimPrefix(path+"."+name, "."), t.Field(i).Type)...)
		}
		return all
	}
	return []string{path}
}

func TestUnreadableSettings(t *testing.T) {
	dir, _ := site(t, nil)
	big := filepath.Join(dir, "big.yaml")
	if err := os.WriteFile(big, bytes.Repeat([]byte("#"), strictyaml.MaxFileBytes+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		dir:                             "the settings file $DIR is no regular file: name a YAML file with --config",
		filepath.Join(dir, "none.yaml"): "there is no settings file $DIR/none.yaml: write one or name another with --config",
		filepath.Join(dir, "ca.pem/x"):  "the settings file cannot be read: stat $DIR/ca.pem/x: not a directory",
		big:                             "$DIR/big.yaml: the file is larger than 1048576 bytes\n   split it into several files",
	} {
		_, err := config.Load(file, words)
		if err == nil || strings.ReplaceAll(err.Error(), dir, "$DIR") != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
}

// FuzzLoad: whatever the file holds, Load answers with settings that hold what they promise, or says what is wrong.
func FuzzLoad(f *testing.F) {
	files, _ := filepath.Glob("testdata/bad/*.yaml")
	for _, file := range append(files, "testdata/full.yaml") {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		_, file := site(t, text)
		s, err := config.Load(file, words)
		if err != nil {
			if strings.TrimSpace(err.Error()) == "" {
				t.Error("an error that says nothing")
			}
			return
		}
		if (s.Store.Embedded == nil) == (s.Store.Redis == nil) {
			t.Error("not exactly one store")
		}
		for _, i := range s.Identity.Issuers {
			for _, a := range i.Algorithms {
				if strings.HasPrefix(strings.ToUpper(a), "HS") || strings.EqualFold(a, "none") {
					t.Errorf("algorithm %s was accepted", a)
				}
			}
			if len(i.Algorithms) == 0 || len(i.Audiences) == 0 || i.Leeway < 0 || i.Leeway > 5*time.Minute {
				t.Errorf("a loose issuer: %+v", i)
			}
		}
		if _, err := s.Sockets(); err != nil || !filepath.IsAbs(s.RuntimeDir) {
			t.Error("no sockets", err)
		}
	})
}
