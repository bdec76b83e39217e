// Package policytest reads golden cases and runs them against a policy: who asks for what with which device, and what must
// come of it. The cases stand in files beside the policy; `tiergate policy test` and our own tests run the same ones.
// README.md, beside this file, teaches the format by an example; this is all of it.
//
//	people:                                  # users by a name of their own
//	  ana: {issuer: corp, name: ana@acme.example, groups: [staff]}
//	devices:                                 # devices by a name, with what is known of them unless a case says otherwise
//	  laptop:
//	    name: serial:C02LAPTOP1              # KIND:VALUE, as the certificate names it
//	    aliases: [uuid:0A1B…]                # other names of the same device
//	    facts: [{source: acme-mdm, age: 1h, attributes: {platform: macos, disk_encryption: true}}]
//	defaults: {request: GET app.acme.example/reports}
//	cases:
//	  - name: an employee on a healthy laptop
//	    who: ana on laptop
//	    expect: allow
//	  - name: the same with one thing wrong
//	    who: ana on laptop
//	    expect: deny posture
//	    each:                                # variants: what is different, and what comes of it
//	      - {name: the disk, attributes: {disk_encryption: false}, expect: {unmet: [disk-encrypted failing]}}
//	      - {name: its age, age: 27h, expect: {unmet: [disk-encrypted unknown]}}
//
// A variant is a case named "CASE / VARIANT". Fields of defaults hold where the case says nothing, fields of the case where
// the variant says nothing; what is written replaces what was there as a whole, but attributes and expect are joined field
// by field. A gap takes away what is known of the device, and the other way round; to a case without a device nothing
// counts that is said further out of one. Names are unique in a file.
//
// Whatever expect does not name is not compared; an empty list says that there must be none. A device without facts is one
// that nobody has reported; gap names another reason for which nothing is known. The value unknown is a source's word that
// it cannot tell.
//
// A device is enrolled for whoever asks, by every source of its facts of which the settings say how it names users, unless
// some fact of the case is an enrolled_user. Without settings nobody has to say it.
//
// Every time is an age, seen from the instant of the case, which is DefaultAt unless the case says at: 2h is two hours
// before it. All that a case may say:
//
//	at: 2026-11-20T08:00:00Z               # RFC 3339; for exceptions that the policy itself dates
//	request: GET app.acme.example/reports  # METHOD HOST/PATH
//	who: ana on laptop                     # or ana; or spiffe://acme.example/ns/ci/sa/deployer; or:
//	who:
//	  user: {issuer: corp, name: ana@acme.example, groups: [staff], acr: phr, amr: [hwk], login: 10m}
//	          # besides: subject (the token's sub; default: the name), email (default: none), and
//	          # person: ana, a name under people, whose fields hold where none is written here; user: ana is short for it
//	  workload: spiffe://acme.example/ns/ci/sa/deployer
//	  svid: {audience: deploy, age: 2m}    # a JWT-SVID that the workload shows besides its certificate
//	  device: serial:C02LAPTOP1            # as the certificate names it, or a name under devices
//	  doubt: the signature does not verify # a proof was shown and is not believed
//	  expired: true                        # certificate and token were valid until an hour ago
//	  risk: high                           # the identity provider holds the user for a risk that the settings refuse
//	  revoked: 5m                          # how long ago the identity provider ended the login (Shared Signals)
//	aliases: [uuid:0A1B…]                  # other names of the same device
//	facts: [{source: acme-mdm, age: 3h, attributes: {edr_healthy: true}}]
//	age: 3h                                # of all facts, in place of their own
//	attributes: {edr_healthy: false}       # what the facts say otherwise; what none says, the first will
//	without: [edr_healthy]                 # what no fact says
//	heard: {acme-mdm: 1m}                  # when a source last reported any device; default: its newest fact here
//	asOf: 10m                              # how old our copy of the facts is; default: current
//	renewals: [2h]                         # of the device's grace
//	graceEnded: 1h                         # when somebody ended it
//	granted:                               # exceptions granted at run time; written as those of the policy, but for the
//	  - name: loaner                       # name and the owner, and for from and until, which are a moment: 2h (ago),
//	    owner: iam                         # now, in 1h, or RFC 3339
//	    from: 2h
//	    until: in 1h
//	    subjects: [{issuer: corp, user: ana@acme.example}]
//	    …
//	gap: unknown                           # or contested, unreachable; instead of facts
//	expect: deny posture                   # outcome and reason; or:
//	expect:
//	  outcome: step-up                     # or allow, deny
//	  reason: step-up
//	  route: payroll-console               # or none
//	  tier: privileged                     # or none
//	  unmet: [os-current]                  # in the order of the tier's lists, and so are noted, waived and disputed
//	  noted: [firewall-on unknown]         # with its status: failing or unknown; both lists take mappings too:
//	                                       # {signal: os-current, status: failing, list: stepUp, owner: endpoint,
//	                                       # contact: endpoint@acme.example, fix: text that occurs in the fix}
//	  waived: [disk-encrypted by exception ana-loaner, edr-healthy by grace]
//	  disputed: [disk-encrypted]           # sources disagree
//	  challenge: {acr: [phr], maxAge: 15m} # the login that is asked for, or none
//	  monitored: posture                   # why a tier in monitor mode would have refused; none: it would not have
//	  detail: [at most 15m0s is wanted]    # texts, each of which must occur in what the operator reads
//	  explanation: [Sign in again]         # and in what `tiergate policy explain` prints
package policytest
