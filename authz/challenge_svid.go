package authz

import (
	"fmt"
	"strings"

	"github.com/tiergate/tiergate/authz/policy"
)

// svidError tells a workload which JWT-SVID would do. The code is invalid_token (RFC 6750, section 3.1: the client may ask
// for a new token and repeat the request), since that of RFC 9470 sends a person to a login. It is there also when no token
// came: the request had other authentication information, its certificate. Audiences need no quoting: policy.New refuses
// those that would.
func svidError(wanted *policy.SVIDChallenge) string {
	return fmt.Sprintf(`, error="invalid_token", error_description="A JWT-SVID for %s, at most %d seconds old, is required `+
		`besides the certificate"`, strings.Join(wanted.Audiences, " and "), int64(wanted.MaxAge.Seconds()))
}
