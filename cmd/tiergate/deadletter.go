package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

func newDeadLetter() *cobra.Command {
	c := group("deadletter", "Look at deliveries that could not be applied, and try them again",
		newDeadLetterList(), newDeadLetterShow(), newDeadLetterRetry(), newDeadLetterDrop())
	c.Long = "A delivery that was verified and taken but cannot be applied becomes a dead letter with its reason. It stays until it\n" +
		"is retried or dropped. The verbs ask the running receiver: `tiergate ingest`, or with the embedded store `tiergate serve`."
	return c
}

func newDeadLetterList() *cobra.Command {
	var file, source, format string
	var since time.Duration
	c := &cobra.Command{Use: "list --config FILE", Short: "List dead letters", Args: cobra.NoArgs}
	configFlag(c, &file, true)
	outputFlag(c, &format)
	c.Flags().StringVar(&source, "source", "", "only of this `SOURCE`")
	c.Flags().DurationVar(&since, "since", 0, "only those received within this `DURATION`, such as 24h")
	c.RunE = func(c *cobra.Command, _ []string) error {
		socket, err := socketOf(receiverSocket, file, format)
		if err != nil {
			return err
		}
		query := url.Values{}
		if source != "" {
			query.Set("source", source)
		}
		if since > 0 {
			query.Set("since", time.Now().Add(-since).UTC().Format(time.RFC3339Nano))
		}
		letters := []deadLetterSummary{}
		for {
			var page deadLetterList
			err := askAdmin(c.Context(), socket, http.MethodGet, "/v1/deadletters?"+query.Encode(), nil, &page)
			if err != nil {
				return err
			}
			letters = append(letters, page.Letters...)
			if page.After == "" {
				break
			}
			query.Set("after", page.After)
		}
		return printAs(c.OutOrStdout(), format, letters, func(w io.Writer) error { return tableOfLetters(w, letters) })
	}
	return c
}

func tableOfLetters(w io.Writer, letters []deadLetterSummary) error {
	if len(letters) == 0 {
		_, err := fmt.Fprintln(w, "no dead letters")
		return err
	}
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "SOURCE\tID\tRECEIVED\tSIZE\tREASON")
	for _, l := range letters {
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\n", l.Source, l.ID, l.Received.UTC().Format(time.RFC3339), l.Size, oneLine(l.Reason))
	}
	return table.Flush()
}

// oneLine makes a text harmless for a terminal: what is not printable is quoted.
func oneLine(text string) string {
	quoted := fmt.Sprintf("%q", text)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

func newDeadLetterShow() *cobra.Command {
	var file, format string
	var body bool
	c := &cobra.Command{
		Use: "show SOURCE ID --config FILE", Short: "Show one dead letter with what was sent", Args: cobra.ExactArgs(2),
		Long: "Shows why a delivery could not be applied, and its headers and body. A body that is no text is shown as a Go string\n" +
			"with escapes; --body prints the bytes as they came and nothing else. JSON and YAML have it in base64.",
	}
	configFlag(c, &file, true)
	outputFlag(c, &format)
	c.Flags().BoolVar(&body, "body", false, "print the body alone, byte for byte")
	c.RunE = func(c *cobra.Command, args []string) error {
		socket, err := socketOf(receiverSocket, file, format)
		if err != nil {
			return err
		}
		var l deadLetterWhole
		query := url.Values{"source": {args[0]}, "id": {args[1]}}
		if err := askAdmin(c.Context(), socket, http.MethodGet, "/v1/deadletters/one?"+query.Encode(), nil, &l); err != nil {
			return err
		}
		if body {
			_, err := c.OutOrStdout().Write(l.Body)
			return err
		}
		return printAs(c.OutOrStdout(), format, l, func(w io.Writer) error { return showLetter(w, l) })
	}
	return c
}

func showLetter(w io.Writer, l deadLetterWhole) error {
	fmt.Fprintf(w, "source    %s\nid        %s\nreceived  %s\nreason    %s\n", l.Source, l.ID, l.Received.UTC().Format(time.RFC3339Nano),
		oneLine(l.Reason))
	for name, values := range l.Headers {
		fmt.Fprintf(w, "header    %s: %s\n", name, oneLine(strings.Join(values, ", ")))
	}
	text := string(l.Body)
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r == 0x7f }) {
		text = fmt.Sprintf("%q", text)
	}
	_, err := fmt.Fprintf(w, "body      %d bytes\n\n%s\n", l.Size, text)
	return err
}

func newDeadLetterRetry() *cobra.Command {
	order := &deadLetterVerb{path: "/v1/deadletters/retry", done: "put back into the inbox"}
	c := &cobra.Command{
		Use: "retry (SOURCE ID | --all --source SOURCE) --config FILE", Short: "Put dead letters back into the inbox",
		Long: "Puts dead letters back into the inbox, from where they are applied like any delivery; what fails again is a dead letter\n" +
			"again. Nothing is lost if it is interrupted, and what was applied before changes nothing.",
		Args: cobra.MaximumNArgs(2),
	}
	order.flags(c)
	c.RunE = order.run
	return c
}

func newDeadLetterDrop() *cobra.Command {
	order := &deadLetterVerb{path: "/v1/deadletters/drop", done: "dropped", asks: true}
	c := &cobra.Command{
		Use: "drop (SOURCE ID | --all --source SOURCE) --yes --config FILE", Short: "Throw dead letters away for good",
		Args: cobra.MaximumNArgs(2),
	}
	order.flags(c)
	c.Flags().BoolVar(&order.yes, "yes", false, "yes, what the sender was told is kept shall be lost")
	c.RunE = order.run
	return c
}

// deadLetterVerb is a verb that changes dead letters.
type deadLetterVerb struct {
	path, done         string
	file, source, form string
	all, asks, yes     bool
}

func (v *deadLetterVerb) flags(c *cobra.Command) {
	configFlag(c, &v.file, true)
	outputFlag(c, &v.form)
	c.Flags().BoolVar(&v.all, "all", false, "all of --source")
	c.Flags().StringVar(&v.source, "source", "", "with --all: of which `SOURCE`")
}

func (v *deadLetterVerb) run(c *cobra.Command, args []string) error {
	order := deadLetterOrder{Source: v.source, All: v.all}
	switch {
	case v.all && (len(args) > 0 || v.source == ""), !v.all && (len(args) != 2 || v.source != ""):
		return usageError{fmt.Errorf("name one as SOURCE ID, or all of a source as --all --source SOURCE; see '%s --help'", c.CommandPath())}
	case v.asks && !v.yes:
		return usageError{fmt.Errorf("this cannot be undone: say --yes if you mean it; see '%s --help'", c.CommandPath())}
	case !v.all:
		order.Source, order.ID = args[0], args[1]
	}
	socket, err := socketOf(receiverSocket, v.file, v.form)
	if err != nil {
		return err
	}
	sum := deadLetterDone{Failed: map[string]string{}}
	for {
		var part deadLetterDone
		if err := askAdmin(c.Context(), socket, http.MethodPost, v.path, order, &part); err != nil {
			return err
		}
		sum.Done += part.Done
		for id, why := range part.Failed {
			sum.Failed[id] = why
		}
		if order.After = part.After; part.After == "" {
			break
		}
	}
	err = printAs(c.OutOrStdout(), v.form, sum, func(w io.Writer) error {
		fmt.Fprintf(w, "%s %s\n", count(sum.Done, "dead letter"), v.done)
		for id, why := range sum.Failed {
			fmt.Fprintf(w, "not %s: %s\n", id, oneLine(why))
		}
		return nil
	})
	if err == nil && len(sum.Failed) > 0 {
		err = errSaid
	}
	return err
}
