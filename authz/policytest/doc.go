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
// Whatever `expect` does not name is not compared. A device without facts is one that nobody has reported; `gap` names
// another reason for which nothing is known. The value `unknown` is a source's word that it cannot tell.
package policytest
