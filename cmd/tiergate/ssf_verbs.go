package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tiergate/tiergate/signals/ssf"
)

func newSSF() *cobra.Command {
	c := group("ssf", "Look at the streams of Shared Signals, and verify, pause or end one",
		newSSFList(), newSSFVerify(), newSSFStatus(), newSSFDelete(), newSSFSubject("add-subject"), newSSFSubject("remove-subject"))
	c.Long = "The verbs ask the running receiver: `tiergate ingest`, or with the embedded store `tiergate serve`."
	return c
}

// streamVerb is a verb that asks the receiver about streams; f is given how.
func streamVerb(c *cobra.Command, f func(c *cobra.Command, args []string, ask func(order *streamOrder, out any) error, form string) error,
) *cobra.Command {
	var file, form string
	configFlag(c, &file, true)
	outputFlag(c, &form)
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := checkOutput(form); err != nil {
			return err
		}
		settings, err := loadSettings(file)
		if err != nil {
			return err
		}
		socket, err := receiverSocket(settings)
		if err != nil {
			return err
		}
		return f(c, args, func(order *streamOrder, out any) error {
			if order == nil {
				return askAdmin(c.Context(), socket, http.MethodGet, "/v1/ssf", nil, out)
			}
			return askAdmin(c.Context(), socket, http.MethodPost, "/v1/ssf", order, out)
		}, form)
	}
	return c
}

func newSSFList() *cobra.Command {
	c := &cobra.Command{
		Use: "list --config FILE", Short: "List the streams with what their transmitters say of them", Args: cobra.NoArgs,
		Long: "Lists each stream with its state at the transmitter, its last event and its last verification. Verified is what this\n" +
			"receiver has seen since it started. Exit 1: a stream has a fault, or is paused or disabled.",
	}
	return streamVerb(c, func(c *cobra.Command, _ []string, ask func(*streamOrder, any) error, form string) error {
		statuses := []ssf.Status{}
		if err := ask(nil, &statuses); err != nil {
			return err
		}
		if err := printAs(c.OutOrStdout(), form, statuses, func(w io.Writer) error { return tableOfStreams(w, statuses) }); err != nil {
			return err
		}
		for i := range statuses {
			if s := &statuses[i]; s.Fault != "" || s.State == "paused" || s.State == "disabled" {
				return errSaid
			}
		}
		return nil
	})
}

func tableOfStreams(w io.Writer, statuses []ssf.Status) error {
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tDELIVERY\tSTATE\tSTREAM\tLAST EVENT\tVERIFIED\tFAULT")
	for i := range statuses {
		s := &statuses[i]
		id, fault := s.StreamID, oneLine(s.Fault)
		if id == "" {
			id = "-"
		}
		if fault == "" {
			fault = "-"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.Name, s.Delivery, s.State, id, sourceTime(s.LastEvent),
			sourceTime(s.Verified), fault)
	}
	return table.Flush()
}

func newSSFVerify() *cobra.Command {
	var wait time.Duration
	c := &cobra.Command{
		Use: "verify NAME --config FILE", Short: "Have a transmitter show that its stream arrives", Args: cobra.ExactArgs(1),
		Long: "Has the transmitter send a verification event and waits until it came back to this receiver. Exit 1: it did not.",
	}
	c.Flags().DurationVar(&wait, "wait", 30*time.Second, "how long to wait for it; 0s: do not wait")
	return streamVerb(c, func(c *cobra.Command, args []string, ask func(*streamOrder, any) error, form string) error {
		var status ssf.Status
		if err := ask(&streamOrder{Stream: args[0], Do: "verify"}, &status); err != nil {
			return err
		}
		asked := status.Asked
		for end := time.Now().Add(wait); status.Verified.Before(asked) && time.Now().Before(end); {
			select {
			case <-c.Context().Done():
				return c.Context().Err()
			case <-time.After(200 * time.Millisecond):
			}
			var statuses []ssf.Status
			if err := ask(nil, &statuses); err != nil {
				return err
			}
			for i := range statuses {
				if statuses[i].Name == args[0] {
					status = statuses[i]
				}
			}
		}
		verified := !status.Verified.Before(asked)
		err := printAs(c.OutOrStdout(), form, status, func(w io.Writer) error {
			said := "verified"
			if !verified {
				said = "asked for, and not seen here yet"
			}
			_, err := fmt.Fprintf(w, "%s: %s\n", args[0], said)
			return err
		})
		if err == nil && !verified && wait > 0 {
			return errSaid
		}
		return err
	})
}

func newSSFStatus() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use: "status NAME enabled|paused|disabled --config FILE", Short: "Have a transmitter enable, pause or disable a stream",
		Args: cobra.ExactArgs(2),
		Long: "Asks the transmitter for another status of the stream. Enable one that the transmitter has disabled, as after many pushes that\n" +
			"nobody took. What is paused comes later, what is disabled never: meanwhile nobody is signed out by this stream.",
	}
	c.Flags().StringVar(&reason, "reason", "", "why, for whoever runs the transmitter")
	return streamVerb(c, func(c *cobra.Command, args []string, ask func(*streamOrder, any) error, form string) error {
		if !slices.Contains(ssf.Statuses, args[1]) {
			return fmt.Errorf("%.40q is no status of a stream; use one of %s", args[1], listed(ssf.Statuses, "none"))
		}
		var status ssf.Status
		if err := ask(&streamOrder{Stream: args[0], Do: "status", Status: args[1], Reason: reason}, &status); err != nil {
			return err
		}
		return printAs(c.OutOrStdout(), form, status, func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "%s: %s\n", args[0], status.State)
			return err
		})
	})
}

func newSSFDelete() *cobra.Command {
	c := &cobra.Command{
		Use: "delete NAME --config FILE", Short: "End a stream at its transmitter", Args: cobra.ExactArgs(1),
		Long: "Deletes the stream at its transmitter. The running receiver makes no other; one that starts with the same settings does.",
	}
	return streamVerb(c, func(c *cobra.Command, args []string, ask func(*streamOrder, any) error, form string) error {
		var status ssf.Status
		if err := ask(&streamOrder{Stream: args[0], Do: "delete"}, &status); err != nil {
			return err
		}
		return printAs(c.OutOrStdout(), form, status, func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "%s: deleted\n", args[0])
			return err
		})
	})
}

func newSSFSubject(do string) *cobra.Command {
	short := map[string]string{"add-subject": "Have a transmitter send the events of a subject too",
		"remove-subject": "Have a transmitter no longer send the events of a subject"}[do]
	c := &cobra.Command{
		Use: do + " NAME SUBJECT --config FILE", Short: short, Args: cobra.ExactArgs(2),
		Long: short + ". SUBJECT is JSON as sub_id has it:\n" +
			`{"format":"email","email":"ana@acme.example"} or {"format":"iss_sub","iss":"https://idp.acme.example","sub":"42"}.`,
	}
	return streamVerb(c, func(c *cobra.Command, args []string, ask func(*streamOrder, any) error, form string) error {
		if _, err := ssf.ReadSubject(json.RawMessage(args[1]), false); err != nil {
			return fmt.Errorf("%w; write it as sub_id has it, such as {\"format\":\"email\",\"email\":\"ana@acme.example\"}", err)
		}
		var status ssf.Status
		if err := ask(&streamOrder{Stream: args[0], Do: do, Subject: json.RawMessage(args[1])}, &status); err != nil {
			return err
		}
		return printAs(c.OutOrStdout(), form, status, func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "%s: the transmitter has taken it\n", args[0])
			return err
		})
	})
}
