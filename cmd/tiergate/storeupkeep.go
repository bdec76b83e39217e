package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tiergate/tiergate/cmd/tiergate/admin"
	"github.com/tiergate/tiergate/signals/boltstore"
)

// storePaths serves what the owner of an embedded store alone can do with it.
func storePaths(mux *http.ServeMux, store *boltstore.Store) {
	mux.HandleFunc("GET /v1/store/check", func(w http.ResponseWriter, _ *http.Request) {
		storeAnswer(w, store.Check)
	})
	mux.HandleFunc("POST /v1/store/backup", func(w http.ResponseWriter, r *http.Request) {
		var order storeBackup
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&order); err != nil {
			admin.Refuse(w, http.StatusBadRequest, err.Error())
			return
		}
		storeAnswer(w, func() (boltstore.Report, error) { return store.Backup(order.To) })
	})
}

// storeBackup is the order to write a backup to a path of the process's own file system.
type storeBackup struct {
	To string `json:"to"`
}

// storeWithin bounds the work on a store, as askAdmin does: a second is enough for a few hundred megabytes.
const storeWithin = time.Minute

func storeAnswer(w http.ResponseWriter, do func() (boltstore.Report, error)) {
	if err := admin.Grant(w, storeWithin); err != nil {
		admin.Refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	report, err := do()
	if err != nil {
		admin.Refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	admin.Answer(w, http.StatusOK, report)
}

// embeddedStore is the file of the settings and, where a `serve` has it open, that process's socket.
type embeddedStore struct{ file, socket string }

func openEmbedded(ctx context.Context, settingsFile string) (embeddedStore, error) {
	settings, err := loadSettings(settingsFile)
	if err != nil {
		return embeddedStore{}, err
	}
	if settings.Store.Embedded == nil {
		return embeddedStore{}, errors.New("the settings name a shared store, which Redis or Valkey looks after; this verb is for " +
			"store.embedded")
	}
	found := embeddedStore{file: settings.Store.Embedded.File}
	socket, err := sidecarSocket(settings)
	if err != nil {
		return embeddedStore{}, err
	}
	if conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", socket); err == nil {
		_ = conn.Close() // it only shows that somebody listens
		found.socket = socket
	}
	return found, nil
}

// fileOrSettings takes one of the two.
func fileOrSettings(c *cobra.Command, args []string, config string) error {
	if (len(args) == 1) == (config != "") {
		return usageError{fmt.Errorf("say which store: FILE or --config FILE; see '%s --help'", c.CommandPath())}
	}
	return nil
}

func newStoreCheck() *cobra.Command {
	var config, form string
	c := &cobra.Command{
		Use:   "check FILE | check --config FILE",
		Short: "Read every value of an embedded store",
		Long: "Reads every posture and record, and compares the sum of the postures. With --config it asks the `tiergate serve`\n" +
			"that has the store open, or reads the file if none runs. Exit 1 if there is anything that cannot be believed.",
		Args: cobra.MaximumNArgs(1),
	}
	configFlag(c, &config, false)
	outputFlag(c, &form)
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := errors.Join(fileOrSettings(c, args, config), checkOutput(form)); err != nil {
			return err
		}
		report, err := checkStore(c.Context(), args, config)
		if err != nil {
			return err
		}
		if err := printAs(c.OutOrStdout(), form, report, func(w io.Writer) error { return storeTable(w, &report) }); err != nil {
			return err
		}
		if report.FaultCount > 0 {
			return errSaid
		}
		return nil
	}
	return c
}

func checkStore(ctx context.Context, args []string, config string) (report boltstore.Report, err error) {
	if len(args) == 1 {
		return boltstore.Check(args[0])
	}
	store, err := openEmbedded(ctx, config)
	switch {
	case err != nil:
		return report, err
	case store.socket == "":
		return boltstore.Check(store.file)
	}
	return report, askAdmin(ctx, store.socket, http.MethodGet, "/v1/store/check", nil, &report)
}

func newStoreCompact() *cobra.Command {
	var config string
	c := &cobra.Command{
		Use:   "compact FILE | compact --config FILE",
		Short: "Write an embedded store anew without unused space, while nothing has it open",
		Args:  cobra.MaximumNArgs(1),
	}
	configFlag(c, &config, false)
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := fileOrSettings(c, args, config); err != nil {
			return err
		}
		var file string
		if len(args) == 1 {
			file = args[0]
		} else {
			store, err := openEmbedded(c.Context(), config)
			if err != nil {
				return err
			}
			if store.socket != "" {
				return fmt.Errorf("the store file %s is in use by the process behind %s; stop that one first", store.file, store.socket)
			}
			file = store.file
		}
		before, after, err := boltstore.Compact(file)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "%s: %d bytes, before %d\n", file, after, before)
		return err
	}
	return c
}

func newStoreBackup() *cobra.Command {
	var config, form string
	c := &cobra.Command{
		Use:   "backup TO --config FILE",
		Short: "Copy an embedded store to a new file, while it is in use or not",
		Long: "The file TO is written by the `tiergate serve` that has the store open, or by this process if none runs; it is there\n" +
			"whole and checked, or not at all, and replaces nothing. To restore, stop serve and put it in the store's place.",
		Args: cobra.ExactArgs(1),
	}
	configFlag(c, &config, true)
	outputFlag(c, &form)
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := checkOutput(form); err != nil {
			return err
		}
		to, err := filepath.Abs(args[0])
		if err != nil {
			return err
		}
		store, err := openEmbedded(c.Context(), config)
		if err != nil {
			return err
		}
		report, err := store.backup(c.Context(), to)
		if err != nil {
			return err
		}
		return printAs(c.OutOrStdout(), form, report, func(w io.Writer) error { return storeTable(w, &report) })
	}
	return c
}

func (e embeddedStore) backup(ctx context.Context, to string) (report boltstore.Report, err error) {
	if e.socket != "" {
		return report, askAdmin(ctx, e.socket, http.MethodPost, "/v1/store/backup", storeBackup{To: to}, &report)
	}
	if _, err := boltstore.Check(e.file); err != nil { // opening would make a file that is not there
		return report, err
	}
	store, err := boltstore.Open(e.file)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return store.Backup(to)
}

func storeTable(to io.Writer, r *boltstore.Report) error {
	w := tabwriter.NewWriter(to, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "file\t%s\nlayout\t%s\nbytes\t%d\n", r.File, r.Layout, r.Bytes)
	if r.Free >= 0 {
		fmt.Fprintf(w, "free\t%d\n", r.Free)
	}
	for _, version := range slices.Sorted(maps.Keys(r.Schemas)) {
		fmt.Fprintf(w, "values of schema %d\t%d\n", version, r.Schemas[version])
	}
	fmt.Fprintf(w, "postures\t%d\n", r.Postures)
	for _, kind := range slices.Sorted(maps.Keys(r.Records)) {
		fmt.Fprintf(w, "records %s\t%d\n", kind, r.Records[kind])
	}
	fmt.Fprintf(w, "faults\t%d\n", r.FaultCount)
	for _, fault := range r.Faults {
		fmt.Fprintf(w, "  %s\n", oneLine(fault))
	}
	return w.Flush()
}
