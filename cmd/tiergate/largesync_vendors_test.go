package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tiergate/tiergate/config"
)

// largeVendor plays a vendor's documented list of devices.
type largeVendor struct {
	kind             string
	play             http.Handler
	settings         func(t *testing.T, x *config.Source) // what differs from a client id and its secret
	attribute, value string                               // what each device says
}

// number is a number of a query, 0 where there is none.
func number(r *http.Request, name string) int {
	n, _ := strconv.Atoi(r.FormValue(name))
	return n
}

// records are those of the devices from one to before another, comma between.
func records(from, to int, record func(i int) string) string {
	var all []string
	for i := from; i < to; i++ {
		all = append(all, record(i))
	}
	return strings.Join(all, ",")
}

func byHand(t *testing.T, x *config.Source) {
	x.API = &config.API{URL: x.API.URL, TokenFile: secretFile(t, "t0ken"), Rate: x.API.Rate}
}

func withBasic(t *testing.T, x *config.Source) {
	x.Webhook = &config.Webhook{Basic: &config.WebhookBasic{Username: "u", PasswordFiles: []string{secretFile(t, "p")}}}
}

// largeVendors are all vendors that can be asked for n devices.
func largeVendors(n int) []largeVendor {
	seen := time.Now().UTC().Add(-time.Hour).Format("2006-01-02T15:04:05.000Z")
	return append(microsofts(n, seen), []largeVendor{
		{kind: config.SourceKandji, settings: byHand, attribute: "platform", value: "macos", play: pages("offset", "limit", n, "[", "]", func(i int) string {
			return fmt.Sprintf(`{"device_id":"0a1b2c3d-1111-4111-8111-%012d","serial_number":"KSYNC%06d","platform":"Mac","os_version":"15.6.1",`+
				`"last_check_in":%q,"user":"","mdm_enabled":true,"is_missing":false,"is_removed":false}`, i, i, seen)
		})},
		{kind: config.SourceKolide, attribute: "platform", value: "macos", settings: func(t *testing.T, x *config.Source) {
			byHand(t, x)
			x.SecretFiles = []string{secretFile(t, "a secret of some length")}
		}, play: cursors("cursor", "per_page", n, func(w http.ResponseWriter, _ *http.Request, list, next string) {
			fmt.Fprintf(w, `{"data":[%s],"pagination":{"next_cursor":%q}}`, list, next)
		}, func(i int) string {
			return fmt.Sprintf(`{"id":"%d","serial":"CSYNC%06d","hardware_uuid":"0a1b2c3d-4e5f-4a6b-8c7d-%012d","operating_system":"macOS 15.6.1 (24G90)",`+
				`"device_type":"Mac","auth_state":"Good","last_seen_at":%q,"registered_owner_info":null}`, i+1, i, i+1, seen)
		})},
		{kind: config.SourceGoogle, settings: byHand, attribute: "disk_encryption", value: "true",
			play: cursors("pageToken", "pageSize", n, func(w http.ResponseWriter, _ *http.Request, list, next string) {
				fmt.Fprintf(w, `{"devices":[%s],"nextPageToken":%q}`, list, next)
			}, func(i int) string {
				return fmt.Sprintf(`{"name":"devices/Sync%06d","serialNumber":"GSYNC%06d","lastSyncTime":%q,"ownerType":"COMPANY","osVersion":"macOS 15.6.1",`+
					`"deviceType":"MAC_OS","encryptionState":"ENCRYPTED","managementState":"APPROVED"}`, i, i, seen)
			})},
		{kind: config.SourceOkta, settings: byHand, attribute: "disk_encryption", value: "true",
			play: cursors("after", "limit", n, func(w http.ResponseWriter, r *http.Request, list, next string) {
				w.Header().Add("Link", fmt.Sprintf(`<http://%s%s>; rel="self"`, r.Host, r.URL.RequestURI()))
				if next != "" {
					w.Header().Add("Link", fmt.Sprintf(`<http://%s%s?expand=user&limit=%s&after=%s>; rel="next"`, r.Host, r.URL.Path, r.FormValue("limit"), next))
				}
				fmt.Fprintf(w, "[%s]", list)
			}, func(i int) string {
				return fmt.Sprintf(`{"id":"guo1sync%012d","status":"ACTIVE","lastUpdated":%q,"profile":{"displayName":"m","platform":"MACOS","osVersion":"15.6.1",`+
					`"serialNumber":"OSYNC%06d","registered":true,"diskEncryptionType":"FULL"},"_embedded":{"users":[]}}`, i, seen, i)
			})},
		{kind: config.SourceFleet, attribute: "disk_encryption", value: "true", settings: func(t *testing.T, x *config.Source) {
			byHand(t, x)
			x.Webhook = &config.Webhook{URLSecretFiles: []string{secretFile(t, strings.Repeat("s", 32))}}
			x.Fleet = &config.Fleet{ListOnly: true, PerPage: 200}
		}, play: numbered("page", "per_page", n, 0, func(w http.ResponseWriter, list string, _ int) { fmt.Fprintf(w, `{"hosts":[%s]}`, list) }, func(i int) string {
			return fmt.Sprintf(`{"id":%d,"uuid":"","platform":"darwin","os_version":"macOS 15.6","hardware_serial":"FSYNC%06d","disk_encryption_enabled":true,`+
				`"detail_updated_at":%[3]q,"policy_updated_at":%[3]q,"seen_time":%[3]q,"mdm":{},"policies":[]}`, i+1, i, seen)
		})},
		{kind: config.SourceJamf, settings: withBasic, attribute: "disk_encryption", value: "true", play: jamfs(n, seen)},
		{kind: config.SourceWorkspaceOne, attribute: "platform", value: "macos", settings: func(t *testing.T, x *config.Source) {
			withBasic(t, x)
			x.API.HeaderFiles = map[string]string{"aw-tenant-code": secretFile(t, "tenant")}
		}, play: numbered("page", "pagesize", n, 0, func(w http.ResponseWriter, list string, page int) {
			fmt.Fprintf(w, `{"Devices":[%s],"Page":%d,"Total":%d}`, list, page, n)
		}, func(i int) string {
			return fmt.Sprintf(`{"Id":{"Value":%d},"SerialNumber":"WSYNC%06d","Platform":"AppleOsX","LastSeen":%q,"EnrollmentStatus":"Enrolled",`+
				`"CompromisedStatus":false,"LastCompromisedCheckOn":%[3]q}`, i+1, i, strings.TrimSuffix(seen, "Z"))
		})},
		{kind: config.SourceCrowdStrike, attribute: "platform", value: "macos", play: falcons(n, seen)},
		{kind: config.SourceSentinelOne, settings: byHand, attribute: "edr_healthy", value: "true",
			play: cursors("cursor", "limit", n, func(w http.ResponseWriter, _ *http.Request, list, next string) {
				fmt.Fprintf(w, `{"data":[%s],"pagination":{"nextCursor":%q,"totalItems":%d}}`, list, next, n)
			}, func(i int) string {
				return fmt.Sprintf(`{"id":"134912345%09d","serialNumber":"SSYNC%06d","osType":"macos","isActive":true,"isUpToDate":true,`+
					`"missingPermissions":[],"networkStatus":"connected","updatedAt":%[3]q,"lastActiveDate":%[3]q}`, i+1, i, seen)
			})},
		{kind: config.SourceMapping, attribute: "disk_encryption", value: "true", settings: func(_ *testing.T, x *config.Source) {
			x.Mapping = &config.Mapping{Record: &config.MappingRecord{Devices: "items[*]", Device: config.MappingDevice{ID: "id", Serial: "serial"},
				Observed: &config.MappingTime{Paths: []string{"seen"}},
				Facts:    map[string]config.MappingFact{"disk_encryption": {Path: "disk"}}},
				List: &config.MappingList{Path: "/devices", Page: "offset", Parameter: "offset", Size: 200}}
		}, play: pages("offset", "", n, `{"items":[`, "]}", func(i int) string {
			return fmt.Sprintf(`{"id":"%d","serial":"MSYNC%06d","seen":%q,"disk":true}`, i+1, i, seen)
		})},
	}...)
}

// pages plays a list by place and length.
func pages(from, most string, n int, before, after string, record func(i int) string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		size := number(r, most)
		if most == "" {
			size = 200
		}
		if strings.HasPrefix(r.URL.Path, "/api/v1/prism/") {
			fmt.Fprint(w, `{"cursor":null,"data":[],"total":null}`)
			return
		}
		at := min(number(r, from), n)
		fmt.Fprint(w, before+records(at, min(at+size, n), record)+after)
	})
}

// cursors plays a list whose pages name the next.
func cursors(cursor, most string, n int, say func(w http.ResponseWriter, r *http.Request, list, next string), record func(i int) string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at, next := number(r, cursor), ""
		to := min(at+number(r, most), n)
		if to < n {
			next = strconv.Itoa(to)
		}
		say(w, r, records(at, to, record), next)
	})
}

// numbered plays a list by the number of the page.
func numbered(page, most string, n, first int, say func(w http.ResponseWriter, list string, page int), record func(i int) string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at := min((number(r, page)-first)*number(r, most), n)
		say(w, records(at, min(at+number(r, most), n), record), number(r, page))
	})
}

// microsofts are Graph and Defender.
func microsofts(n int, seen string) []largeVendor {
	graph := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from := number(r, "$skiptoken")
		to := min(from+50, n)
		next := ""
		if to < n {
			next = fmt.Sprintf(`,"@odata.nextLink":"http://%s%s?%%24skiptoken=%d"`, r.Host, r.URL.Path, to)
		}
		fmt.Fprintf(w, `{"value":[%s]%s}`, records(from, to, func(i int) string {
			return fmt.Sprintf(`{"id":"11111111-0000-4000-8000-%012d","serialNumber":"PF2SYNC%06d","azureADDeviceId":"5d3c2b1a-0000-4041-8041-%012d",`+
				`"operatingSystem":"Windows","osVersion":"10.0.26100.2894","isEncrypted":true,"jailBroken":"Unknown","complianceState":"compliant",`+
				`"managedDeviceOwnerType":"company","lastSyncDateTime":%q}`, i, i, i+1, seen)
		}), next)
	})
	tenant := "acme.example"
	return []largeVendor{
		{kind: config.SourceIntune, play: graph, attribute: "disk_encryption", value: "true",
			settings: func(_ *testing.T, x *config.Source) { x.Intune = &config.Intune{Tenant: tenant} }},
		{kind: config.SourceDefender, attribute: "platform", value: "windows",
			settings: func(_ *testing.T, x *config.Source) { x.Defender = &config.Defender{Tenant: tenant} },
			play: pages("$skip", "$top", n, `{"value":[`, "]}", func(i int) string {
				return fmt.Sprintf(`{"id":"%040x","aadDeviceId":"5d3c2b1a-0000-4041-8041-%012d","osPlatform":"Windows11","lastSeen":%q,"healthStatus":"Active",`+
					`"onboardingStatus":"Onboarded"}`, i+1, i+1, seen)
			})},
	}
}

// jamfs has computers alone.
func jamfs(n int, seen string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		have := n
		if !strings.HasSuffix(r.URL.Path, "/computers-inventory") {
			have = 0
		}
		at := min(number(r, "page")*number(r, "page-size"), have)
		fmt.Fprintf(w, `{"totalCount":%d,"results":[%s]}`, have, records(at, min(at+number(r, "page-size"), have), func(i int) string {
			return fmt.Sprintf(`{"id":"%d","udid":"5d3c2b1a-0000-4041-8041-%012d","general":{"platform":"Mac","reportDate":%q,"remoteManagement":{"managed":true}},`+
				`"diskEncryption":{"bootPartitionEncryptionDetails":{"partitionFileVault2State":"ENCRYPTED"}},"hardware":{"serialNumber":"JSYNC%06d"}}`,
				i+1, i+1, seen, i)
		}))
	})
}

// falcons gives out ids by a scroll, and the hosts for them.
func falcons(n int, seen string) http.Handler {
	host := func(i int) string { return fmt.Sprintf("%032x", i+1) }
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			var asked struct{ IDs []string }
			_ = json.NewDecoder(r.Body).Decode(&asked)
			fmt.Fprintf(w, `{"resources":[%s],"errors":[]}`, records(0, len(asked.IDs), func(i int) string {
				return fmt.Sprintf(`{"device_id":%q,"serial_number":"CS%.10s","platform_name":"Mac","os_version":"Sequoia (15)","os_build":"24G90",`+
					`"last_seen":%[3]q,"modified_timestamp":%[3]q,"status":"normal","reduced_functionality_mode":"no","provision_status":"Provisioned"}`,
					asked.IDs[i], asked.IDs[i][22:], seen)
			}))
			return
		}
		at := number(r, "offset")
		to := min(at+number(r, "limit"), n)
		fmt.Fprintf(w, `{"meta":{"pagination":{"total":%d,"offset":"%d"}},"resources":[%s],"errors":[]}`, n, to,
			records(at, to, func(i int) string { return strconv.Quote(host(i)) }))
	})
}
