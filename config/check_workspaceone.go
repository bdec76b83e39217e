package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// tenantCode is the header without which the console answers nobody.
const tenantCode = "aw-tenant-code"

func (c *check) workspaceOne(at string, s *Source) {
	if a := s.API; s.Type == SourceWorkspaceOne && a != nil {
		if !hasHeader(a.Headers, tenantCode) && !hasHeader(a.HeaderFiles, tenantCode) {
			c.fault(at+".api", "the header "+tenantCode+" is not set", "name the file with the REST API key in headerFiles: {"+tenantCode+": FILE}")
		}
		if a.ClientID != "" && (a.Token == nil || a.Token.URL == "") {
			c.fault(at+".api", "the token endpoint is not said",
				"write token: {url: https://na.uemauth.workspaceone.com/connect/token}, or that of your region")
		}
	}
	w := s.WorkspaceOne
	if w == nil {
		return
	}
	at += ".workspaceOne"
	c.within(at+".pageSize", w.PageSize, 1, 500)
	if number, err := strconv.ParseUint(w.OrganizationGroup, 10, 63); w.OrganizationGroup != "" &&
		(err != nil || strconv.FormatUint(number, 10) != w.OrganizationGroup || number == 0) {
		c.fault(at+".organizationGroup", fmt.Sprintf("%q is no number of a group", w.OrganizationGroup),
			"write the number in the URL of the group's page")
	}
	c.oneOf(at+".user", w.User, "email", "username")
	for _, word := range slices.Sorted(maps.Keys(w.Ownership)) {
		if meanings := []string{"corporate", "shared", "byod", "contractor"}; !slices.Contains(meanings, w.Ownership[word]) {
			c.fault(at+".ownership", fmt.Sprintf("ownership of %q is %q", word, w.Ownership[word]),
				"write one of "+strings.Join(meanings, ", "))
		}
	}
	c.oneOf(at+".encryption", w.Encryption, "DataEncryptionYN", "DataEncrypted")
}

func hasHeader(headers map[string]string, name string) bool {
	for other := range headers {
		if strings.EqualFold(other, name) {
			return true
		}
	}
	return false
}
