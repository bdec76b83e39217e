package main

import (
	"go.uber.org/zap"

	"github.com/tiergate/tiergate/signals/ingest"
	"github.com/tiergate/tiergate/signals/source"
)

// experimental says once, at the start, which sources rest on thin evidence.
func (o *observer) experimental(sources []ingest.Source) {
	for i := range sources {
		if doubt := source.Doubt(sources[i].Adapter); doubt != "" {
			o.log.Warn("a source is experimental", zap.String("source", sources[i].Name), zap.String("why", doubt))
		}
	}
}
