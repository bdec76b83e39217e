package config_test

import (
	"time"

	"github.com/tiergate/tiergate/config"
)

// outlets are those of full.yaml.
func outlets(at func(string) string) []config.Outlet {
	return []config.Outlet{
		{Name: "secops", Type: "webhook", Default: true, Details: true, URL: "https://hooks.acme.example/tiergate?team=secops",
			SecretFiles: []string{at("secret"), at("secret.old")}, TokenFile: at("secret"), Headers: map[string]string{"X-Tenant": "acme"},
			HeaderFiles: map[string]string{"X-Key": at("secret")}, CAFile: at("ca.pem"), ProxyURL: "http://proxy.acme.example:3128",
			Timeout: 20 * time.Second},
		{Name: "channel", Type: "slack", URLFile: at("secret"), SecretFiles: []string{at("secret")}, Timeout: 15 * time.Second},
		{Name: "bus", Type: "cloudevents", URL: "http://127.0.0.1:8083/events", Source: "/tiergate/eu", Timeout: 15 * time.Second},
		{Name: "siem", Type: "jsonlines", File: at("findings.jsonl")},
	}
}
