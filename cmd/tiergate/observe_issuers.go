package main

import (
	"fmt"
	"io"

	"go.uber.org/zap"

	"github.com/tiergate/tiergate/config"
)

// bearers says once, at start, whose tokens count for whoever holds them: a stolen one is as good as its owner's, and
// where its device claim binds too, its owner's device comes along.
func (o *observer) bearers(issuers []config.Issuer) {
	for _, issuer := range issuers {
		if issuer.SenderConstrained != config.ConstrainedRequired {
			o.log.Warn("tokens of this issuer that are bound to no certificate and no key count for whoever holds them; once "+
				"it binds them (RFC 8705, RFC 9449), set senderConstrained: required", zap.String("issuer", issuer.Name))
		}
		if said := bearerDevice(issuer); said != "" {
			o.log.Warn(said+"; once the issuer binds its tokens, remove device.bearer", zap.String("issuer", issuer.Name))
		}
	}
}

// bearerDevice says that what bearer tokens of an issuer say of a device counts; "" if it does not, because all of its
// tokens must be bound or the settings do not take it.
func bearerDevice(issuer config.Issuer) string {
	if issuer.Device == nil || !issuer.Device.Bearer || issuer.SenderConstrained == config.ConstrainedRequired {
		return ""
	}
	return fmt.Sprintf("issuer %s: device claims of bearer tokens bind: a stolen token brings its owner's device along",
		issuer.Name)
}

// sayBearerDevices says the same of the issuers of a settings file, if one is named.
func sayBearerDevices(out io.Writer, file string) error {
	if file == "" {
		return nil
	}
	s, err := loadSettings(file)
	if err != nil {
		return err
	}
	for _, issuer := range s.Identity.Issuers {
		if said := bearerDevice(issuer); said != "" {
			fmt.Fprintln(out, said)
		}
	}
	return nil
}
