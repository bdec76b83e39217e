package svid_test

import (
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tiergate/tiergate/authz/svid"
)

const ours = "spiffe://acme.example/tiergate"

func x509Of(federated map[string][]byte, own ...*workload.X509SVID) *workload.X509SVIDResponse {
	return &workload.X509SVIDResponse{Svids: own, FederatedBundles: federated}
}

func bundleOf(s *svid.Source, domain string) string {
	bundle, err := s.X509(domain)
	if err != nil {
		return "none: " + err.Error()
	}
	return string(bundle)
}

// TestNothingYet: before the agent is there, everything says why there is nothing, and nobody waits.
func TestNothingYet(t *testing.T) {
	a := newAgent(t)
	source, told := follow(t, a)
	eventually(t, "word that it is away", func() bool { return told.has("failed x509 the agent is out of reach") })
	if _, err := source.Certificate(); err == nil || !strings.Contains(err.Error(), a.socket) ||
		!strings.Contains(err.Error(), "out of reach") {
		t.Errorf("certificate: %v", err)
	}
	if got := bundleOf(source, "acme.example"); !strings.Contains(got, "out of reach") {
		t.Errorf("bundle: %s", got)
	}
	eventually(t, "the reason there are no keys", func() bool {
		_, err := source.Keys("acme.example").Keys(time.Now())
		return err != nil && strings.Contains(err.Error(), "out of reach")
	})
	if source.Domain() != "" || told.has("changed") {
		t.Errorf("domain %q, %v", source.Domain(), told.lines)
	}
}

// TestRotation: a new SVID, a new CA, a domain that comes and goes, and an agent that is gone and back.
func TestRotation(t *testing.T) {
	a, acme, next, partner := newAgent(t), newCA(t, "acme"), newCA(t, "next"), newCA(t, "partner")
	first := acme.svid(t, ours, time.Hour)
	a.x509 = x509Of(nil, first)
	a.start()
	source, told := follow(t, a)
	eventually(t, "the first SVID", func() bool { return told.has("updated " + ours + " [acme.example]") })
	shown, err := source.Certificate()
	if err != nil || string(shown.Certificate[0]) != string(first.X509Svid) || source.Domain() != "acme.example" {
		t.Fatalf("%v, %v", shown, err)
	}
	if got := bundleOf(source, "acme.example"); got != acme.pem() {
		t.Errorf("bundle %s", got)
	}
	if got := bundleOf(source, "partner.example"); !strings.Contains(got, "delivers no bundle of trust domain partner.example") {
		t.Errorf("bundle of a stranger: %s", got)
	}
	second := next.svid(t, ours, time.Hour)
	second.Bundle = append(append([]byte{}, acme.certificate.Raw...), next.certificate.Raw...)
	a.says(func() {
		a.x509 = x509Of(map[string][]byte{"spiffe://partner.example": partner.certificate.Raw}, second)
	})
	eventually(t, "the second SVID", func() bool { return told.has("[acme.example partner.example]") })
	if shown, err = source.Certificate(); err != nil || string(shown.Certificate[0]) != string(second.X509Svid) {
		t.Errorf("%v", err)
	}
	if bundleOf(source, "acme.example") != acme.pem()+next.pem() || bundleOf(source, "partner.example") != partner.pem() {
		t.Error("the bundles are not those that were sent")
	}
	a.stop()
	eventually(t, "word that it is gone", func() bool { return told.has("failed x509") })
	if _, err := source.Certificate(); err != nil || bundleOf(source, "partner.example") != partner.pem() {
		t.Errorf("what was sent is lost with the agent: %v", err)
	}
	third := next.svid(t, ours, time.Hour)
	a.says(func() { a.x509 = x509Of(nil, third) })
	a.start()
	eventually(t, "the third SVID", func() bool {
		shown, err := source.Certificate()
		return err == nil && string(shown.Certificate[0]) == string(third.X509Svid)
	})
	eventually(t, "word of it", func() bool { return told.count("changed") >= 3 }) // it counts before that is told
	if got := bundleOf(source, "partner.example"); !strings.HasPrefix(got, "none") {
		t.Error("a domain that is federated no more still has a bundle")
	}
	if n := told.count("changed"); n != 3 {
		t.Errorf("%d changes, want 3: %v", n, told.lines)
	}
}

// TestExpiry: an SVID that nobody renews ends, and one that had ended when it came is not taken.
func TestExpiry(t *testing.T) {
	a, acme := newAgent(t), newCA(t, "acme")
	a.x509 = x509Of(nil, acme.svid(t, ours, time.Hour))
	a.start()
	source, told := follow(t, a)
	eventually(t, "the SVID", func() bool { _, err := source.Certificate(); return err == nil })
	a.says(func() { a.x509 = x509Of(nil, acme.svid(t, ours, -time.Minute)) })
	eventually(t, "the refusal", func() bool { return told.has(`refused x509 "" the SVID of "` + ours + `" had run out at`) })
	if _, err := source.Certificate(); err != nil {
		t.Errorf("the good one is lost: %v", err)
	}
	eventually(t, "the end", func() bool {
		brief := x509Of(nil, acme.svid(t, ours, 2*time.Second)) // certificates count whole seconds
		a.says(func() { a.x509 = brief })
		for range 300 { // on a busy machine it may have ended when it comes, and is not taken: then another
			if _, err := source.Certificate(); err != nil {
				return strings.Contains(err.Error(), "ran out at")
			}
			time.Sleep(10 * time.Millisecond)
		}
		return false
	})
}

// TestNoIdentity: an agent that knows nobody like us is named with its own words, and asked again.
func TestNoIdentity(t *testing.T) {
	a, acme := newAgent(t), newCA(t, "acme")
	a.refuse = status.Error(codes.PermissionDenied, "no identity issued")
	a.start()
	source, told := follow(t, a)
	eventually(t, "the refusal", func() bool {
		return told.has(`failed x509 ` + svid.ErrNoIdentity.Error() + `; it says: "no identity issued"`)
	})
	if _, err := source.Certificate(); err == nil || !strings.Contains(err.Error(), "registration entry") {
		t.Errorf("%v", err)
	}
	for code, words := range map[codes.Code]string{codes.InvalidArgument: "InvalidArgument", codes.Canceled: "Canceled",
		codes.Unimplemented: "Unimplemented"} { // none of them ends Run
		a.says(func() { a.refuse = status.Error(code, "odd") })
		eventually(t, words, func() bool { return told.has("failed x509 the agent ended the stream: " + words) })
	}
	a.says(func() { a.refuse, a.x509 = nil, x509Of(nil, acme.svid(t, ours, time.Hour)) })
	eventually(t, "an identity", func() bool { _, err := source.Certificate(); return err == nil })
}

// TestGarbage: what cannot be used changes nothing, and nothing but its own part.
func TestGarbage(t *testing.T) {
	a, acme, next, partner := newAgent(t), newCA(t, "acme"), newCA(t, "next"), newCA(t, "partner")
	other := next.svid(t, "spiffe://acme.example/somebody-else", time.Hour)
	wrongName, wrongKey, noPath := next.svid(t, ours, time.Hour), next.svid(t, ours, time.Hour), next.svid(t, "spiffe://acme.example", time.Hour)
	wrongName.X509Svid, wrongName.X509SvidKey = other.X509Svid, other.X509SvidKey
	wrongKey.X509SvidKey = other.X509SvidKey
	federated := map[string][]byte{"spiffe://partner.example": partner.certificate.Raw}
	for name, c := range map[string]*workload.X509SVIDResponse{
		"nobody":       x509Of(federated),
		"an empty one": x509Of(federated, &workload.X509SVID{}),
		"another name": x509Of(federated, wrongName),
		"another key":  x509Of(federated, wrongKey),
		"no path":      x509Of(federated, noPath),
		"a bundle of noise": x509Of(federated, &workload.X509SVID{SpiffeId: ours, X509Svid: []byte("x"), X509SvidKey: []byte("y"),
			Bundle: []byte("z")}),
	} {
		t.Run(name, func(t *testing.T) {
			good := acme.svid(t, ours, time.Hour)
			a := newAgent(t)
			a.x509 = c
			a.start()
			source, told := follow(t, a)
			eventually(t, "the refusal", func() bool { return told.has("refused x509") })
			if _, err := source.Certificate(); err == nil || source.Domain() != "" || told.has("changed") {
				t.Errorf("taken: %v", told.lines)
			}
			a.says(func() { a.x509 = x509Of(federated, good) })
			eventually(t, "the good one", func() bool { _, err := source.Certificate(); return err == nil })
			refusals := told.count("refused")
			a.says(func() { a.x509 = c })
			eventually(t, "the refusal", func() bool { return told.count("refused") > refusals })
			shown, err := source.Certificate()
			if err != nil || string(shown.Certificate[0]) != string(good.X509Svid) || bundleOf(source, "partner.example") != partner.pem() {
				t.Errorf("what was good is lost: %v, %v", err, told.lines)
			}
		})
	}
	// A federated domain's garbage stands in nobody's way, and its last bundle stays.
	a.x509 = x509Of(federated, acme.svid(t, ours, time.Hour))
	a.start()
	source, told := follow(t, a)
	eventually(t, "the first", func() bool { return bundleOf(source, "partner.example") == partner.pem() })
	a.says(func() {
		a.x509 = x509Of(map[string][]byte{"spiffe://partner.example": []byte("noise"), "spiffe://Not A Domain": nil,
			"spiffe://empty.example": nil, "spiffe://acme.example": partner.certificate.Raw}, next.svid(t, ours, time.Hour))
	})
	eventually(t, "our own new CA", func() bool { return bundleOf(source, "acme.example") == next.pem() })
	if bundleOf(source, "partner.example") != partner.pem() || !strings.HasPrefix(bundleOf(source, "empty.example"), "none") ||
		!told.has(`refused x509 "partner.example"`) || !told.has("which is no trust domain") {
		t.Errorf("%v", told.lines)
	}
}

// TestKeys: JWT keys by domain, the same pointer while they are the same.
func TestKeys(t *testing.T) {
	a, acme, partner := newAgent(t), newCA(t, "acme"), newCA(t, "partner")
	of := func(acmeSet, partnerSet []byte) *workload.JWTBundlesResponse {
		return &workload.JWTBundlesResponse{Bundles: map[string][]byte{"spiffe://acme.example": acmeSet,
			"spiffe://partner.example": partnerSet}}
	}
	a.jwt = of(acme.keySet(t, "jwt-svid", false), partner.keySet(t, "x509-svid", false))
	a.start()
	source, told := follow(t, a)
	keys := source.Keys("acme.example")
	eventually(t, "keys", func() bool { return told.has("keys [acme.example]") })
	first, err := keys.Keys(time.Now())
	if err != nil || len(first.Keys) != 1 || first.Keys[0].KeyID != "acme" {
		t.Fatalf("%v, %v", first, err)
	}
	if _, err := source.Keys("partner.example").Keys(time.Now()); err == nil {
		t.Error("a key for certificates counts for tokens")
	}
	keys.Ask()
	a.says(func() { a.jwt = of(acme.keySet(t, "jwt-svid", false), partner.keySet(t, "", false)) })
	eventually(t, "both", func() bool { return told.has("keys [acme.example partner.example]") })
	if again, _ := keys.Keys(time.Now()); again != first {
		t.Error("the same keys are another pointer")
	}
	a.says(func() { a.jwt = of([]byte(`{"keys":[{"kty":"EC"}]}`), partner.keySet(t, "", true)) })
	eventually(t, "the refusals", func() bool {
		return told.has(`refused jwt "acme.example"`) && told.has(`refused jwt "partner.example"`)
	})
	eventually(t, "the end of an exposed key", func() bool { _, err := source.Keys("partner.example").Keys(time.Now()); return err != nil })
	if again, err := keys.Keys(time.Now()); again != first {
		t.Errorf("garbage ended good keys: %v", err)
	}
	a.stop()
	eventually(t, "word that it is gone", func() bool { return told.has("failed jwt") })
	if again, err := keys.Keys(time.Now()); err != nil || again != first {
		t.Errorf("an agent that went away took the keys with it: %v", err)
	}
	eventually(t, "an end of keys that nobody renews", func() bool {
		_, err := keys.Keys(time.Now().Add(svid.MaxStale + time.Minute))
		return err != nil && strings.Contains(err.Error(), "count until")
	})
	a.says(func() { a.jwt = of([]byte(`{"keys":[]}`), partner.keySet(t, "", false)) })
	a.start()
	eventually(t, "the withdrawal", func() bool { _, err := keys.Keys(time.Now()); return err != nil })
	if _, err := source.Keys("partner.example").Keys(time.Now().Add(10 * svid.MaxStale)); err != nil {
		t.Errorf("keys of an agent that is back: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, socket := range []string{"", "api.sock", "/" + strings.Repeat("x", 107)} {
		if _, err := svid.New(svid.Options{Socket: socket}); err == nil {
			t.Errorf("%q was taken", socket)
		}
	}
	if source, err := svid.New(svid.Options{Socket: "/" + strings.Repeat("x", 106)}); err != nil || source.Domain() != "" {
		t.Error(err)
	}
}
