package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/tiergate/tiergate/authz/policy"
)

// sayUnenrolled names the sources that never say for whom a device is enrolled, where a tier wants to know.
func sayUnenrolled(out io.Writer, compiled *policy.Policy) {
	if without := compiled.WithoutEnrolledUser(); len(without) > 0 {
		fmt.Fprintf(out, "of a device that only these sources report nobody says for whom it is enrolled: %s "+
			"(settings: enrolledUser, and enrolled_user among attests)\n", strings.Join(without, ", "))
	}
}
