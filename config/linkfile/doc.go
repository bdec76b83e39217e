// Package linkfile reads the documents of kind DeviceLink (settings: ingest.links), which forbid or force that names belong
// to one device. All faults of all files are named at once, and with any fault there are no documents.
//
//	apiVersion: tiergate.dev/v1alpha1
//	kind: DeviceLink
//	metadata: {name: board-4711, owner: endpoint}
//	spec:
//	  same: ["serial:C02AAAAAAAA1", "serial:C02BBBBBBBB2"]   # or forbid: these never are one device
//	  reason: the logic board was replaced, and with it the serial number
//	  ticket: HELP-4711
package linkfile
