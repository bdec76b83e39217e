package main

import (
	"github.com/spf13/cobra"

	"github.com/tiergate/tiergate/xds"
)

func newEnvoy() *cobra.Command {
	return group("envoy", "Help with the Envoy beside this process",
		newEnvoyBootstrap(), newEnvoyDiff(), newEnvoyStatus(), newEnvoyConfig(), newEnvoyLint())
}

func newEnvoyBootstrap() *cobra.Command {
	var file, adminSocket, node string
	var sotw bool
	c := &cobra.Command{
		Use:   "bootstrap --config FILE",
		Short: "Print the bootstrap with which Envoy gets everything else from tiergate",
		Args:  cobra.NoArgs,
	}
	configFlag(c, &file, true)
	c.Flags().StringVar(&adminSocket, "admin-socket", "",
		"`PATH` of the Unix socket of Envoy's admin interface (default: envoy.adminSocket of the settings)")
	c.Flags().StringVar(&node, "node-id", "envoy", "Envoy's node id, as it shows in status and logs")
	c.Flags().BoolVar(&sotw, "sotw", false, "have Envoy take all resources at every change (state of the world), not those that differ")
	c.RunE = func(c *cobra.Command, _ []string) error {
		settings, err := loadSettings(file)
		if err != nil {
			return err
		}
		sockets, err := settings.Sockets()
		if err != nil {
			return err
		}
		if adminSocket == "" {
			adminSocket = settings.EnvoyAdminSocket()
		}
		bootstrap, err := xds.Bootstrap(xds.BootstrapOptions{NodeID: node, AdminSocket: adminSocket, XDSSocket: sockets.XDS,
			StateOfTheWorld: sotw})
		if err != nil {
			return err
		}
		_, err = c.OutOrStdout().Write(bootstrap)
		return err
	}
	return c
}
