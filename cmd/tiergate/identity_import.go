package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tiergate/tiergate/authz/inventory"
	"github.com/tiergate/tiergate/config/strictyaml"
)

// identityImport is `identity import` as it was asked for.
type identityImport struct {
	identityReach
	system, part, mapping, trustDomain string
	replace                            bool
}

func newIdentityImport() *cobra.Command {
	o := &identityImport{}
	c := &cobra.Command{Use: "import --system SYSTEM FILE --config FILE", Short: "Take over what another system lists",
		Args: cobra.ExactArgs(1)}
	c.Long = "Reads what the system's own tool lists (authz/inventory/README.md has the formats), or CSV or JSON in the form of tiergate;\n" +
		"FILE - is standard input. It replaces all that was imported from that system before: what it no longer lists is kept as\n" +
		"gone. Where there are several clouds, clusters or organisations, each has a --part of its own, and replaces that alone.\n" +
		"A file with any fault changes nothing, and one that holds key material is refused."
	c.Example = "  kubectl get serviceaccounts -A -o json |\n" +
		"    tiergate identity import --system kubernetes --trust-domain acme.example - --config settings.yaml\n" +
		"  tiergate identity import --system cloud-iam --part aws-prod credential-report.csv --config settings.yaml\n" +
		"  tiergate identity import --system directory accounts.csv --mapping accounts.yaml --config settings.yaml"
	o.flags(c)
	c.Flags().StringVar(&o.system, "system", "", "which `SYSTEM`: "+strings.Join(inventory.Systems, ", "))
	c.Flags().StringVar(&o.part, "part", "", "which of several of that system: a `NAME` such as aws-prod or cluster-eu")
	c.Flags().BoolVar(&o.replace, "replace", false, "what was imported in another format before is gone")
	c.Flags().StringVar(&o.mapping, "mapping", "", "a YAML `FILE` that says where the fields stand in a file of another form")
	c.Flags().StringVar(&o.trustDomain, "trust-domain", "", "of Kubernetes: the `DOMAIN` of spiffe://DOMAIN/ns/NAMESPACE/sa/NAME")
	c.RunE = func(c *cobra.Command, args []string) error {
		if !slices.Contains(inventory.Systems, o.system) {
			return usageError{fmt.Errorf("--system %s: say one of %s", o.system, strings.Join(inventory.Systems, ", "))}
		}
		if err := inventory.CheckPart(o.part); err != nil {
			return usageError{fmt.Errorf("--part %w", err)}
		}
		if o.trustDomain != "" && (o.system != "kubernetes" || o.mapping != "") {
			return usageError{fmt.Errorf("--trust-domain is for --system kubernetes without --mapping")}
		}
		if err := checkOutput(o.form); err != nil {
			return err
		}
		listing, err := o.read(c, args[0])
		if err != nil {
			return err
		}
		var receipt identityReceipt
		if err := o.ask(c.Context(), http.MethodPost, "/v1/identities/import",
			identityOrder{System: listing.System, Part: o.part, Format: listing.Format, Replace: o.replace, Entries: listing.Entries},
			&receipt); err != nil {
			return err
		}
		receipt.Notes = listing.Notes
		return printAs(c.OutOrStdout(), o.form, receipt, func(w io.Writer) error {
			for _, note := range receipt.Notes {
				fmt.Fprintf(w, "note: %s\n", note)
			}
			_, err := fmt.Fprintf(w, "%s (%s): %d identities, %d new, %d changed, %d gone\n", inventory.Origin(receipt.System, receipt.Part),
				listing.Format, receipt.Listed, receipt.Added, receipt.Changed, receipt.Gone)
			return err
		})
	}
	return c
}

func (o *identityImport) read(c *cobra.Command, name string) (*inventory.Listing, error) {
	from, shown := c.InOrStdin(), "standard input"
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		from, shown = f, name
	}
	data, err := io.ReadAll(io.LimitReader(from, inventory.MaxImportBytes+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", shown, err)
	}
	var listing *inventory.Listing
	if o.mapping == "" {
		listing, err = inventory.Read(o.system, data, o.trustDomain)
	} else {
		var m *inventory.Mapping
		if m, err = readMapping(o.mapping); err != nil {
			return nil, err
		}
		listing, err = inventory.ReadMapped(o.system, data, m)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: nothing is imported:\n%w", shown, err)
	}
	for i := range listing.Entries {
		listing.Entries[i].Part = o.part
	}
	return listing, nil
}

func readMapping(file string) (*inventory.Mapping, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	documents, problems := strictyaml.Parse(file, data)
	if len(problems) == 0 && len(documents) != 1 {
		return nil, fmt.Errorf("%s: it holds %d documents; a mapping is one", file, len(documents))
	}
	var m inventory.Mapping
	if len(problems) == 0 {
		documents[0].Title = "the mapping"
		problems = documents[0].Decode("", &m)
	}
	if len(problems) > 0 {
		return nil, problems
	}
	if err := m.Check(); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return &m, nil
}
