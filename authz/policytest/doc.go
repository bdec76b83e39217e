// Package policytest reads golden cases and runs them against a policy: who asks for what with which device, and what must
// come of it. The cases stand in files beside the policy; `tiergate policy test` and our own tests run the same ones.
//
// A file of cases:
//
//	cases:
//	  - name: an employee on a healthy laptop
//	    request: GET app.acme.example/reports
//	    who:
//	      user: {issuer: corp, name: ana@acme.example, groups: [staff]}
//	      device: serial:C02LAPTOP1
//	    facts:
//	      - {source: acme-mdm, age: 1h, attributes: {platform: macos, disk_encryption: true}}
//	    expect: {outcome: allow, tier: internal}
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
//	who:
//	  user: {issuer: corp, name: ana@acme.example, groups: [staff], acr: phr, amr: [hwk], login: 10m}
//	  workload: spiffe://acme.example/ns/ci/sa/deployer
//	          # besides: subject (the token's sub; default: the name) and email (default: none)
//	  device: serial:C02LAPTOP1            # as the certificate names it
//	  doubt: the signature does not verify # a proof was shown and is not believed
//	aliases: [uuid:0A1B…]                  # other names of the same device
//	facts: [{source: acme-mdm, age: 3h, attributes: {edr_healthy: true}}]
//	heard: {acme-mdm: 1m}                  # when a source last reported any device; default: its newest fact here
//	asOf: 10m                              # how old our copy of the facts is; default: current
//	renewals: [2h]                         # of the device's grace
//	granted:                               # exceptions granted at run time; written as those of the policy, but for the
//	  - name: loaner                       # name and the owner, and for from and until, which are a moment: 2h (ago),
//	    owner: iam                         # now, in 1h, or RFC 3339
//	    from: 2h
//	    until: in 1h
//	    subjects: [{issuer: corp, user: ana@acme.example}]
//	    …
//	gap: unknown                           # or contested, unreachable; instead of facts
//	expect:
//	  outcome: step-up                     # or allow, deny
//	  reason: step-up
//	  route: payroll-console
//	  tier: privileged
//	  unmet: [os-current]                  # in the order of the tier's lists, and so are noted, waived and disputed
//	  noted: []
//	  waived: [disk-encrypted by exception ana-loaner, edr-healthy by grace]
//	  disputed: [disk-encrypted]           # sources disagree
//	  challenge: {acr: [phr], maxAge: 15m} # the login that is asked for
//	  monitored: posture                   # why a tier in monitor mode would have refused; none: it would not have
package policytest
