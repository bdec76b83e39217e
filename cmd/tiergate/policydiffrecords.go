package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tiergate/tiergate/authz/evidence"
	"github.com/tiergate/tiergate/authz/policydiff"
	"github.com/tiergate/tiergate/config"
)

// decisionsRun judges recorded decisions under two policies.
type decisionsRun struct {
	judge *policydiff.Judge
	blast *policydiff.Blast
	from  time.Time // older decisions do not count; zero: all do
	stdin io.Reader
	bar   *bar

	names, notes []string
}

// recordFile is a file of records that is open, so that a rotation meanwhile takes nothing away.
type recordFile struct {
	name string
	io.Reader
	close func()
}

// read reads files in their order: those that are named, or else those that the settings name.
func (d *decisionsRun) read(ctx context.Context, named []string, settings *config.Settings) error {
	if len(named) == 0 {
		if settings.Evidence.File == "" {
			return errors.New("the settings record no decisions: set evidence.file, or name records with --decisions FILE")
		}
		all, err := rotated(settings.Evidence.File)
		if err != nil {
			return err
		}
		if named = all; len(named) == 0 {
			d.notes = append(d.notes, fmt.Sprintf("there is no record yet: evidence.file %s does not exist; `tiergate serve` writes it",
				settings.Evidence.File))
		}
	}
	files, size, err := d.open(named)
	defer func() {
		for _, f := range files {
			f.close()
		}
	}()
	if err != nil {
		return err
	}
	d.bar.begin(size)
	defer d.bar.end()
	for _, f := range files {
		d.names = append(d.names, f.name)
		if err := d.file(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// open opens all files before any is read. size is how much there is to read, -1 if that is not known. The caller closes
// those that are open, also after an error.
func (d *decisionsRun) open(named []string) (files []recordFile, size int64, err error) {
	opened := map[string]os.FileInfo{}
	for _, name := range named {
		if name == "-" {
			files, size = append(files, recordFile{name, d.stdin, func() {}}), -1
			continue
		}
		f, err := os.Open(name)
		if err != nil {
			return files, 0, fmt.Errorf("the record cannot be read: %w", err)
		}
		files = append(files, recordFile{name, f, func() { _ = f.Close() }}) // nothing was written
		info, err := f.Stat()
		switch {
		case err != nil:
			return files, 0, fmt.Errorf("the record cannot be read: %w", err)
		case info.IsDir():
			return files, 0, fmt.Errorf("%s is a directory; name the files of records in it", name)
		}
		for other, seen := range opened {
			if os.SameFile(seen, info) {
				return files, 0, fmt.Errorf("%s and %s are one file, which would count twice; name it once", other, name)
			}
		}
		opened[name] = info
		if size >= 0 {
			size += info.Size()
		}
	}
	return files, size, nil
}

// rotated lists an evidence file with the older ones beside it, the oldest first: their names sort by time.
func rotated(file string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(file))
	if err != nil {
		return nil, fmt.Errorf("the directory of evidence.file cannot be read: %w", err)
	}
	var names []string
	current := false
	for _, e := range entries {
		at, older := strings.CutPrefix(e.Name(), filepath.Base(file)+".")
		if older {
			_, err := time.Parse("20060102T150405.000000000Z", at)
			older = err == nil
		}
		if older {
			names = append(names, filepath.Join(filepath.Dir(file), e.Name()))
		}
		current = current || e.Name() == filepath.Base(file)
	}
	slices.Sort(names)
	if current {
		names = append(names, file)
	}
	return names, nil
}

// file judges the records of one file, on all cores, and adds them up in their order.
func (d *decisionsRun) file(ctx context.Context, f recordFile) error {
	counted := &countedReader{from: f, ctx: ctx, bar: d.bar}
	decide := func(r *evidence.Record) judgedAt {
		j := judgedAt{at: r.Input.At}
		if r.Policy == "" || r.Input.At.Before(d.from) {
			j.none = r.Policy == ""
			j.outside = !j.none
			return j
		}
		j.Judged = d.judge.Judge(&r.Input)
		return j
	}
	unread := 0
	for r, err := range evidence.Apply(counted, runtime.GOMAXPROCS(0), decide) {
		d.bar.show(d.blast.Judged())
		switch j := &r.Result; {
		case ctx.Err() != nil:
			return fmt.Errorf("stopped: %w", ctx.Err())
		case errors.Is(err, evidence.ErrTorn):
			d.notes = append(d.notes, fmt.Sprintf("%s: %v: it is being written, or a crash ended it", f.name, err))
		case err != nil:
			d.blast.Unreadable()
			if unread++; unread <= 3 {
				d.notes = append(d.notes, fmt.Sprintf("%s: %v", f.name, err))
			}
		case r.ID == "":
			d.blast.Lost(r.Lost)
		case r.Annulled:
			d.blast.Annulled()
		case j.none:
			d.blast.NoPolicy()
		case j.outside:
			d.blast.Outside()
		default:
			d.blast.Add(r.ID, j.at, &j.Judged)
		}
	}
	if unread > 3 {
		d.notes = append(d.notes, fmt.Sprintf("%s: and %d more lines that cannot be read", f.name, unread-3))
	}
	return nil
}

// judgedAt is what is kept of a record.
type judgedAt struct {
	policydiff.Judged
	at            time.Time
	none, outside bool
}

// countedReader tells the bar how much was read, and ends with the context.
type countedReader struct {
	from io.Reader
	ctx  context.Context //nolint:containedctx // a reader has no other way to end
	bar  *bar
}

func (r *countedReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.from.Read(p)
	r.bar.read.Add(int64(n))
	return n, err
}

// bar shows on a terminal how far the records are read.
type bar struct {
	write func(string)
	size  int64 // -1: not known
	read  atomic.Int64
	last  time.Time
}

// newBar writes to a terminal that knows how to go back in a line; elsewhere nothing.
func newBar(w io.Writer) *bar {
	b := &bar{write: progressLine(w)}
	if term := os.Getenv("TERM"); term == "" || term == "dumb" {
		b.write = func(string) {}
	}
	return b
}

func (b *bar) begin(size int64) { b.size, b.last = size, time.Now() }

func (b *bar) end() { b.write("") }

// show draws it anew a few times a second.
func (b *bar) show(judged int) {
	if judged%256 != 0 || time.Since(b.last) < 200*time.Millisecond {
		return
	}
	b.last = time.Now()
	b.write(barText(judged, b.read.Load(), b.size))
}

const barWidth = 30

func barText(judged int, read, size int64) string {
	if size <= 0 {
		return fmt.Sprintf("%d decisions judged, %d MiB read", judged, read>>20)
	}
	full := int(min(read, size) * barWidth / size)
	return fmt.Sprintf("[%s%s] %3d%%  %d decisions judged", strings.Repeat("=", full), strings.Repeat(" ", barWidth-full),
		min(read, size)*100/size, judged)
}
