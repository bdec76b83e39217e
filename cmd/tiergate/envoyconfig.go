package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/tiergate/tiergate/authz/policy"
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/xds"
)

func newEnvoyConfig() *cobra.Command {
	var file, adminSocket, node string
	c := &cobra.Command{
		Use:   "config --config FILE",
		Short: "Print Envoy's whole configuration as one file, for an Envoy without xDS",
		Long: "Prints what serve would deliver over xDS as one YAML file that works with envoy -c: listeners with their routes,\n" +
			"upstreams with their endpoints, limits, ext_authz to tiergate's socket. Certificates and keys are named by the files\n" +
			"of the settings; no private key is printed. The file says what is lost without xDS.",
		Args: cobra.NoArgs,
	}
	configFlag(c, &file, true)
	c.Flags().StringVar(&adminSocket, "admin-socket", "",
		"`PATH` of the Unix socket of Envoy's admin interface (default: envoy.adminSocket of the settings)")
	c.Flags().StringVar(&node, "node-id", "envoy", "Envoy's node id, as it shows in its logs")
	c.RunE = func(c *cobra.Command, _ []string) error {
		settings, err := loadSettings(file)
		if err != nil {
			return err
		}
		if settings.Policy.Dir == "" {
			return errors.New("the settings name no policy: write policy: {dir: DIR}")
		}
		compiled, err := compilePolicy(settings.Policy.Dir, file)
		if err != nil {
			return err
		}
		printed, err := staticConfig(settings, compiled, adminSocket, node)
		if err != nil {
			return err
		}
		_, err = c.OutOrStdout().Write(printed)
		return err
	}
	return c
}

func staticConfig(s *config.Settings, p *policy.Policy, adminSocket, node string) ([]byte, error) {
	if err := onlyFromFiles(s); err != nil {
		return nil, err
	}
	in, err := inputOfFiles(s, p)
	if err != nil {
		return nil, err
	}
	if adminSocket == "" {
		adminSocket = s.EnvoyAdminSocket()
	}
	o := xds.StaticOptions{NodeID: node, AdminSocket: adminSocket, Listeners: map[string]xds.StaticFiles{},
		UpstreamCA: s.Envoy.UpstreamCA}
	for _, l := range s.Envoy.Listeners {
		o.Listeners[l.Name] = xds.StaticFiles{CertFile: l.TLS.CertFile, KeyFile: l.TLS.KeyFile, CAFile: l.ClientCAFile}
	}
	if c := s.Envoy.Client; c != nil {
		o.Client = xds.StaticFiles{CertFile: c.CertFile, KeyFile: c.KeyFile}
	}
	return xds.Static(in, o)
}

// onlyFromFiles refuses listeners whose clients are told by bundles that rotate: there would be nobody to tell Envoy.
func onlyFromFiles(s *config.Settings) error {
	inFile := map[string]bool{}
	for _, d := range s.Identity.TrustDomains {
		inFile[d.Name] = d.BundleFile != ""
	}
	for _, l := range s.Envoy.Listeners {
		for _, domain := range l.ClientTrustDomains {
			if !inFile[domain] {
				return fmt.Errorf("envoy.listeners[%s].clientTrustDomains: the CA certificates of %s come from the Workload API and "+
					"rotate, which a static configuration cannot follow: give the domain a bundleFile, or let tiergate program this "+
					"Envoy (tiergate envoy bootstrap)", l.Name, domain)
			}
		}
	}
	return nil
}

// inputOfFiles is what Envoy's configuration is made of, with the files as they are now and nothing that rotates.
func inputOfFiles(s *config.Settings, p *policy.Policy) (xds.Input, error) {
	sockets, err := s.Sockets()
	if err != nil {
		return xds.Input{}, err
	}
	return envoyInput(s, sockets, nil, func(string) []byte { return nil }, p)
}

// askEnvoy is what `policy check` adds with settings that name Envoy's executable.
func askEnvoy(ctx context.Context, s *config.Settings, p *policy.Policy, out io.Writer) error {
	ask := newPreflight(s.Envoy.Binary, s.Envoy.MinVersion)
	if ask == nil {
		return nil
	}
	in, err := inputOfFiles(s, p)
	if err != nil {
		return err
	}
	snapshot, err := xds.Build(in)
	if err == nil {
		err = snapshot.Consistent()
	}
	if err == nil {
		err = ask.check(ctx, snapshot)
	}
	if err == nil {
		_, err = fmt.Fprintf(out, "%s would take the configuration that follows from it\n", s.Envoy.Binary)
	}
	return err
}
