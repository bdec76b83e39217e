package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tiergate/tiergate/authz/policy"
)

func newPolicy() *cobra.Command {
	return group("policy", "Check the policy directory", newPolicyCheck(), newPolicyTest(), newPolicyExplain(),
		newPolicySchema(), newPolicyDiff(), newPolicyProve(),
		newPolicyKept(), newPolicyRollback(), newPolicyInit())
}

func newPolicyCheck() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "check DIR",
		Short: "Say whether a policy directory compiles, and name every fault",
		Long: "Reads every *.yaml and *.yml file below DIR and names all faults in one run, each with file:line:col. With\n" +
			"--config the names of sources, issuers and trust domains are checked against the settings too, and if these name\n" +
			"Envoy's executable (envoy.binary), it is asked whether it would take the configuration that follows.\n\n" + ownershipHelp,
		Args: cobra.ExactArgs(1),
	}
	configFlag(c, &file, false)
	var owners ownership
	owners.addTo(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := owners.usage(c); err != nil {
			return err
		}
		compiled, err := compilePolicy(args[0], file)
		said, err := owners.enforce(c.Context(), args[0], err)
		if err != nil {
			fmt.Fprintln(c.ErrOrStderr(), err)
			return errSaid
		}
		fmt.Fprintf(c.OutOrStdout(), "%s: %s, no fault\n%s\n", args[0], count(documents(compiled), "document"), compiled.Digest())
		fmt.Fprint(c.OutOrStdout(), said)
		if err := sayBearerDevices(c.OutOrStdout(), file); err != nil {
			return err
		}
		sayUnenrolled(c.OutOrStdout(), compiled)
		if err := sayUnserved(c.OutOrStdout(), file, compiled); err != nil {
			return err
		}
		if err := sayUnrecorded(c.OutOrStdout(), file, compiled); err != nil {
			return err
		}
		if err := checkEnvoy(c, file, compiled); err != nil {
			return err
		}
		if file == "" {
			fmt.Fprintln(c.OutOrStdout(), "not checked without --config: names of sources, issuers and trust domains; "+
				"what sources attest and how often they report; who says for whom a device is enrolled; whether decisions are "+
				"recorded; whether a key is shared with the login application")
		}
		return nil
	}
	return c
}

// checkEnvoy asks Envoy about the configuration, if the settings name its executable.
func checkEnvoy(c *cobra.Command, file string, compiled *policy.Policy) error {
	if file == "" {
		return nil
	}
	settings, err := loadSettings(file)
	if err != nil {
		return err
	}
	if err := askEnvoy(c.Context(), settings, compiled, c.OutOrStdout()); err != nil {
		fmt.Fprintln(c.ErrOrStderr(), err)
		return errSaid
	}
	return nil
}

func documents(p *policy.Policy) int {
	s := p.Spec()
	return len(s.Governance) + len(s.Baselines) + len(s.Tiers) + len(s.Audiences) + len(s.Upstreams) + len(s.Routes) +
		len(s.Identities) + len(s.Exceptions) + len(s.Monitors)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
