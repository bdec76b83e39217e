package main

import (
	"github.com/tiergate/tiergate/config"
	"github.com/tiergate/tiergate/signals/source"
	"github.com/tiergate/tiergate/signals/source/jamfprotect"
	"github.com/tiergate/tiergate/signals/source/sentinelone"
	"github.com/tiergate/tiergate/signals/source/verifiedaccess"
)

func newSentinelOne(x *config.Source, unreadable func(source, device, reason string)) (source.Adapter, error) {
	options := sentinelone.Options{}
	if s := x.SentinelOne; s != nil {
		options = sentinelone.Options{Points: s.Points, Firewall: s.Firewall, DiskEncryption: s.DiskEncryption}
	}
	return mapped(x, sentinelone.Spec(options), asking{word: "ApiToken"}, unreadable)
}

func newJamfProtect(x *config.Source, unreadable func(source, device, reason string)) (source.Adapter, error) {
	return mapped(x, jamfprotect.Spec(), asking{}, unreadable)
}

func newVerifiedAccess(x *config.Source, unreadable func(source, device, reason string)) (source.Adapter, error) {
	return mapped(x, verifiedaccess.Spec(), asking{}, unreadable)
}
