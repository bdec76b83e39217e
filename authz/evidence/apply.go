package evidence

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"

	"github.com/tiergate/tiergate/authz/policy"
)

// The most that a worker of Apply is handed at a time: so many lines, and no further line once they have so many bytes.
const (
	applyLines = 256
	applyBytes = 1 << 20
)

// Applied is a record with what was made of it. Its Input and Verdict are not kept.
type Applied[T any] struct {
	Record
	Result T // the zero one where ID is empty
}

// Apply is Read for many records: lines are decoded, and work is done on every decision, by so many goroutines at once.
// What it yields is in the order of the file, with Annulled as right as by Read; work was done on annulled records too. It
// ends its goroutines before it ends, and no more than a few MiB are under way (of lines as we write them; the longest that
// can be read has 16 MiB). work must be safe for concurrent use and must not keep the record.
func Apply[T any](from io.Reader, workers int, work func(*Record) T) iter.Seq2[Applied[T], error] {
	return func(yield func(Applied[T], error) bool) {
		workers = max(workers, 1)
		stop, todo, inOrder := make(chan struct{}), make(chan *applyBatch[T]), make(chan *applyBatch[T], 2*workers)
		var ended sync.WaitGroup
		ended.Go(func() {
			defer close(todo)
			defer close(inOrder)
			cutBatches(from, func(b *applyBatch[T]) bool {
				select {
				case inOrder <- b:
				case <-stop:
					return false
				}
				select {
				case todo <- b:
					return true
				case <-stop:
					return false
				}
			})
		})
		for range workers {
			ended.Go(func() {
				for b := range todo {
					b.apply(work)
				}
			})
		}
		defer ended.Wait()
		defer close(stop)
		g := &gathering[T]{}
		g.holder = holder{yield: func(r Record, err error) bool {
			done := Applied[T]{Record: r, Result: g.results[0]}
			g.results = g.results[1:]
			return yield(done, err)
		}}
		for b := range inOrder {
			<-b.done
			if !g.take(b) {
				return
			}
		}
		g.drain(0)
	}
}

// applyBatch is a few lines on their way. The worker writes all but the texts, and then closes done.
type applyBatch[T any] struct {
	first int // number of the first line
	lines []applyLine[T]
	done  chan struct{}
}

type applyLine[T any] struct {
	text   []byte
	size   int
	err    error // of reading; then of decoding
	ends   bool  // the reader can read no more
	line   line
	result T
}

// cutBatches reads lines until the end, or until put wants no more.
func cutBatches[T any](from io.Reader, put func(*applyBatch[T]) bool) {
	lines := bufio.NewReaderSize(from, 256<<10)
	b, bytes := &applyBatch[T]{first: 1, done: make(chan struct{})}, 0
	for {
		text, err := readLine(lines)
		over := errors.Is(err, io.EOF)
		if !over {
			ends := err != nil && !errors.Is(err, errTooLong)
			b.lines = append(b.lines, applyLine[T]{text: text, size: len(text), err: err, ends: ends})
			over = ends
			bytes += len(text)
		}
		if over || len(b.lines) >= applyLines || bytes >= applyBytes {
			if len(b.lines) > 0 && !put(b) {
				return
			}
			b, bytes = &applyBatch[T]{first: b.first + len(b.lines), done: make(chan struct{})}, 0
		}
		if over {
			return
		}
	}
}

func (b *applyBatch[T]) apply(work func(*Record) T) {
	defer close(b.done)
	for i := range b.lines {
		l := &b.lines[i]
		if l.err == nil {
			if l.line, l.err = decode(l.text); l.err == nil && l.line.Record != nil {
				l.result = work(l.line.Record)
				l.line.Input, l.line.Verdict = policy.Input{}, policy.Verdict{}
			}
		}
		l.text = nil
		if l.err != nil {
			l.err = fmt.Errorf("line %d: %w", b.first+i, l.err)
		}
	}
}

// gathering holds records back as Read does, with their results beside them.
type gathering[T any] struct {
	holder
	results []T // of the lines that are held, in their order
}

// take is false if the caller wants no more.
func (g *gathering[T]) take(b *applyBatch[T]) bool {
	for i := range b.lines {
		l := &b.lines[i]
		err, r := l.err, l.line.Record
		switch {
		case err != nil:
		case l.line.Annul != "":
			if g.annul(l.line.Annul) {
				continue
			}
			err = fmt.Errorf("line %d: it annuls %q, which is none of the %d records before it", b.first+i, l.line.Annul, batchEntries)
		case l.line.Lost > 0:
			r = &Record{Lost: l.line.Lost}
		case l.line.Change != nil:
			r = &Record{Change: l.line.Change}
		}
		if err != nil {
			r = &Record{}
		}
		g.results = append(g.results, l.result)
		if !g.add(held{record: r, err: err}, l.size) {
			return false
		}
	}
	return true
}
