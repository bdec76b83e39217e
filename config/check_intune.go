package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// tenantName is a GUID or a domain: it becomes a part of the URL at which a token is fetched.
var tenantName = regexp.MustCompile(`^[0-9A-Za-z]([0-9A-Za-z.-]{0,251}[0-9A-Za-z])?$`)

var policyID = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)

// tenant wants a block with the tenant, of a source that asks with a token of that tenant.
func (c *check) tenant(at, block string, is bool, tenant string) {
	switch path := at + "." + block; {
	case !is && !c.document.Has(path):
		c.fault(at, "the source does not say of which tenant it is", "write "+block+": {tenant: ID}")
	case tenant != "" && (!tenantName.MatchString(tenant) || strings.EqualFold(tenant, "common") ||
		strings.EqualFold(tenant, "organizations")):
		c.fault(path+".tenant", fmt.Sprintf("%q is no tenant", tenant),
			"write its Directory (tenant) ID, a GUID, or one of its domains")
	}
}

func (c *check) intune(at string, s *Source) {
	i := s.Intune
	if s.Type == SourceIntune {
		tenant := ""
		if i != nil {
			tenant = i.Tenant
		}
		c.tenant(at, "intune", i != nil, tenant)
	}
	if i == nil {
		return
	}
	at += ".intune"
	c.oneOf(at+".apiVersion", i.APIVersion, IntuneV1, IntuneBeta)
	c.oneOf(at+".user", i.User, IntuneUPN, IntuneEmail)
	if c.document.Has(at + ".clientStateFiles") {
		c.files(at+".clientStateFiles", i.ClientStateFiles)
	}
	for _, attribute := range slices.Sorted(maps.Keys(i.Policies)) {
		c.attribute(at+".policies", attribute)
		for _, id := range i.Policies[attribute] {
			if !policyID.MatchString(id) {
				c.fault(at+".policies", fmt.Sprintf("%q is no id of a compliance policy", id),
					"write the GUID in the URL of the policy")
			}
		}
		if len(i.Policies[attribute]) == 0 {
			c.fault(at+".policies", attribute+" has no policy", "write the ids of compliance policies, or remove it")
		}
	}
	c.intuneValidation(at, i)
	if b := i.SecureBoot; b != nil {
		c.list(at+".secureBoot.on", b.On)
		for _, word := range b.Off {
			if slices.ContainsFunc(b.On, func(on string) bool { return strings.EqualFold(on, word) }) {
				c.fault(at+".secureBoot.off", fmt.Sprintf("%q stands in on too", word), "write it in one of the two")
			}
		}
	}
}

func (c *check) intuneValidation(at string, i *Intune) {
	v := i.Validation
	if v == nil {
		return
	}
	at += ".validation"
	if len(i.ClientStateFiles) == 0 {
		c.fault(at, "no notification of Graph is taken, so there is no token to judge",
			"write intune.clientStateFiles, or remove validation")
	}
	if !policyID.MatchString(i.Tenant) {
		c.fault(at, "the issuer of validation tokens has the tenant's GUID, and intune.tenant is none",
			"write the Directory (tenant) ID in intune.tenant")
	}
	c.list(at+".appIDs", v.AppIDs)
	for j, id := range v.AppIDs {
		if !policyID.MatchString(id) {
			c.fault(fmt.Sprintf("%s.appIDs[%d]", at, j), fmt.Sprintf("%q is no application id", id),
				"write the Application (client) ID of the app that made the subscription")
		}
	}
	c.httpsURL(at+".authority", v.Authority)
	if c.document.Has(at + ".caFile") {
		c.file(at+".caFile", &v.CAFile)
	}
}
