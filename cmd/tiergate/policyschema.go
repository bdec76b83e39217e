package main

import (
	"github.com/spf13/cobra"

	"github.com/tiergate/tiergate/authz/policytest"
	"github.com/tiergate/tiergate/config/policyfile"
)

func newPolicySchema() *cobra.Command {
	var cases bool
	c := &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of a policy document, for editors",
		Long: "Prints the JSON Schema (draft 2020-12) of one policy document, whatever its kind. It is made from the\n" +
			"types that `tiergate policy check` reads into: an editor that knows it completes fields, shows what they\n" +
			"mean, and marks unknown and missing fields and wrong types as you type. What concerns several documents,\n" +
			"only `policy check` can say. With --cases it is the schema of a file of golden cases, as `policy test`\n" +
			"reads it.\n\n" +
			"Editors with yaml-language-server (VS Code, Neovim, Emacs, Helix and others) look for this line at the top\n" +
			"of a file; the path is relative to the file:\n\n" +
			"  # yaml-language-server: $schema=../policy.schema.json\n" +
			"  # yaml-language-server: $schema=../cases.schema.json",
		Example: "  tiergate policy schema >policy.schema.json\n" +
			"  tiergate policy schema --cases >cases.schema.json",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			made := policyfile.Schema
			if cases {
				made = policytest.Schema
			}
			schema, err := made()
			if err != nil {
				return err
			}
			_, err = c.OutOrStdout().Write(schema)
			return err
		},
	}
	c.Flags().BoolVar(&cases, "cases", false, "the schema of a file of golden cases")
	return c
}
