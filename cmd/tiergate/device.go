package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/tiergate/tiergate/cmd/tiergate/admin"
)

func newDevice() *cobra.Command {
	return group("device", "See what is known of devices, and why; end an alarm", newDeviceGet(), newDeviceList(), newDeviceClear())
}

func newDeviceGet() *cobra.Command {
	var file, form string
	c := &cobra.Command{
		Use:   "get NAME --config FILE",
		Short: "Print one device: its names and why they are one, each source's facts, and how it stands with the policy",
		Long: "NAME is the device's id, KIND:VALUE (kinds: certificate, directory, serial, uuid, vendor), or a value alone, which\n" +
			"is tried as every kind. A name of no device, or of several, is exit 1.",
		Args: cobra.ExactArgs(1),
	}
	configFlag(c, &file, true)
	outputFlag(c, &form)
	c.RunE = func(c *cobra.Command, args []string) error {
		var device admin.Device
		path := "/v1/devices/" + url.PathEscape(args[0])
		if err := askSidecar(c.Context(), file, form, path, &device); err != nil {
			return err
		}
		return printAs(c.OutOrStdout(), form, device, func(w io.Writer) error { return deviceTable(w, &device) })
	}
	return c
}

// deviceQuestion is the flags of `device list`.
type deviceQuestion struct {
	text               map[string]*string // parameter → value
	silentFor          time.Duration
	limit              int
	summary, contested bool
}

func newDeviceList() *cobra.Command {
	var file, form string
	q := deviceQuestion{text: map[string]*string{}}
	c := &cobra.Command{
		Use:   "list --config FILE",
		Short: "List devices, one a line, sorted by id; or count why they fail",
		Long: "Filters add up. A device whose stored record cannot be believed or is gone passes every filter: nothing can be said of it.\n" +
			"With -o json each line is one device.",
		Args: cobra.NoArgs,
	}
	configFlag(c, &file, true)
	outputFlag(c, &form)
	for _, flag := range [][3]string{
		{"failing", paramFailing, "only devices on which this `SIGNAL` is failing or unknown"},
		{"tier", paramTier, "only devices that this `TIER` refuses, whoever uses them"},
		{"source", paramSource, "only devices of which this `SOURCE` has told something"},
		{"platform", paramPlatform, "only devices of this `PLATFORM`"},
		{"ownership", paramOwnership, "only devices of this `OWNERSHIP`"},
		{"user", paramUser, "only devices enrolled for this `USER`"},
		{"after", paramAfter, "begin behind the device with this `ID`"},
	} {
		q.text[flag[1]] = c.Flags().String(flag[0], "", flag[2])
	}
	c.Flags().DurationVar(&q.silentFor, "silent-for", 0, "only devices of which nothing (or nothing of --source) was told for so long")
	c.Flags().IntVar(&q.limit, "limit", 0, "at most `N` devices")
	c.Flags().BoolVar(&q.summary, "summary", false, "count, by signal and tier, how many of them fail")
	c.Flags().BoolVar(&q.contested, "contested", false, "list the names that several devices claim instead")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := errors.Join(checkOutput(form), q.check(c)); err != nil {
			return usageError{err}
		}
		socket, err := socketOf(sidecarSocket, file, form)
		if err != nil {
			return err
		}
		return q.ask(c.Context(), socket, c.OutOrStdout(), form)
	}
	return c
}

func (q *deviceQuestion) check(c *cobra.Command) error {
	switch {
	case q.silentFor < 0 || c.Flags().Changed("silent-for") && q.silentFor == 0:
		return errors.New("--silent-for is a time above 0 such as 26h")
	case q.limit < 0:
		return errors.New("--limit is a number of devices; 0 is all")
	case q.contested && len(q.values()) > 0:
		return errors.New("--contested lists names, not devices: leave the filters out")
	}
	return nil
}

func (q *deviceQuestion) values() url.Values {
	values := url.Values{}
	for name, text := range q.text {
		if *text != "" {
			values.Set(name, *text)
		}
	}
	if q.silentFor > 0 {
		values.Set(paramSilentFor, q.silentFor.String())
	}
	if q.limit > 0 {
		values.Set(paramLimit, strconv.Itoa(q.limit))
	}
	if q.summary {
		values.Set(paramSummary, "true")
	}
	return values
}

func (q *deviceQuestion) ask(ctx context.Context, socket string, w io.Writer, form string) error {
	path := "/v1/devices?" + q.values().Encode()
	switch {
	case q.contested:
		var names admin.ContestedNames
		if err := askAdmin(ctx, socket, http.MethodGet, "/v1/contested", nil, &names); err != nil {
			return err
		}
		return printAs(w, form, names, func(w io.Writer) error { return contestedTable(w, &names) })
	case q.summary:
		var s admin.DeviceSummary
		if err := askAdmin(ctx, socket, http.MethodGet, path, nil, &s); err != nil {
			return err
		}
		return printAs(w, form, s, func(w io.Writer) error { return summaryTable(w, &s) })
	}
	out := bufio.NewWriter(w)
	if form == asTable {
		deviceLineHead(out)
	}
	err := eachAdminLine(ctx, socket, path, func(raw []byte) error {
		switch form {
		case asJSON:
			_, err := out.Write(append(raw, '\n'))
			return err
		case asYAML:
			text, err := yamlOf(raw)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(out, "---\n%s", text)
			return err
		}
		var line admin.DeviceLine
		if err := json.Unmarshal(raw, &line); err != nil {
			return fmt.Errorf("a line of the answer cannot be read: %w", err)
		}
		return deviceLineRow(out, &line, time.Now())
	})
	return errors.Join(err, out.Flush())
}
