package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// webhook signs a report of a laptop's posture and sends it to a demo that stays up.
func webhook(ctx context.Context, args []string, out, complaints io.Writer) error {
	flags := flag.NewFlagSet("tiergate-demo webhook", flag.ContinueOnError)
	dir := flags.String("stage", "", "the directory of the running demo")
	device := flags.String("device", "ana-laptop", "the laptop that is reported")
	if err := parse(flags, args, complaints); err != nil {
		return err
	}
	if *dir == "" || flags.NArg() == 0 {
		return fmt.Errorf("%w: webhook needs -stage and at least one ATTRIBUTE=VALUE", errUsage)
	}
	attributes, err := parseAttributes(flags.Args())
	if err != nil {
		return err
	}
	sender, err := stage.OpenSender(*dir)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	receipt, err := sender.Report(ctx, *device, attributes)
	if err != nil {
		return err
	}
	if receipt.Status != http.StatusAccepted {
		return fmt.Errorf("the receiver answered %d: %s", receipt.Status, receipt.Body)
	}
	_, err = fmt.Fprintf(out, "%d %s after %s\n", receipt.Status, receipt.ID, milliseconds(receipt.Took))
	return err
}

// parseAttributes reads NAME=VALUE with VALUE a truth, a number, a text, or unknown.
func parseAttributes(args []string) (map[string]any, error) {
	attributes := make(map[string]any, len(args))
	for _, arg := range args {
		name, text, ok := strings.Cut(arg, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("%w: %q is no ATTRIBUTE=VALUE", errUsage, arg)
		}
		if _, twice := attributes[name]; twice {
			return nil, fmt.Errorf("%w: %s is given twice", errUsage, name)
		}
		attributes[name] = attributeValue(text)
	}
	return attributes, nil
}

func attributeValue(text string) any {
	if text == "unknown" {
		return nil
	}
	var value any
	if json.Unmarshal([]byte(text), &value) == nil {
		switch value.(type) {
		case bool, float64, nil:
			return value
		}
	}
	return text
}
