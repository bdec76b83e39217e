// Package evidence keeps on record what was decided, and on what grounds, so that an auditor can decide it again.
//
// The file is append-only JSON lines, mode 0600. Each decision is one line:
//
//	{"v":1,"id":"0199…","took":48211,"policy":"sha256:…","input":{…},"verdict":{…}}
//
// v is Version; id is the decision's UUIDv7, as clients and upstreams were told it; took is in nanoseconds; policy is
// the digest of the policy that judged, empty if none was in force; input and verdict are policy.Input and
// policy.Verdict. The instant is input.at, RFC 3339 with nanoseconds. Evaluating input with that policy gives verdict,
// byte for byte of its JSON. A line of its own says which policy came into force from when on, and why:
//
//	{"v":1,"change":{"at":"…","kind":"rollback","policy":"sha256:…","before":"sha256:…","by":"ana (uid 1000)",
//	                 "reason":"…","ticket":"…"}}
//
// kind is policy-in-force, rollback or release (see ChangeKind); by is start, edit, or who asked over the admin socket;
// before is empty at the start of a process; kept, reason and ticket are there if they say something. A change stands
// behind the decisions that were told before it, but for those that must be on record (Demanded), which overtake others; each
// decision has the digest that it was made with. A tiergate that does not know changes says that it cannot read the line,
// and reads on. Two more lines speak of others:
//
//	{"v":1,"annul":"0199…"}  the decision of that id was not given: its record came too late. It stands in the same file and
//	                         at most 256 records behind what it annuls; the refusal that was given has a record of its own.
//	{"v":1,"lost":17}        17 decisions since the line before it are in no record.
//
// A text that came over the network may hold any bytes, and JSON holds UTF-8. A byte that is no part of UTF-8 is
// written as U+FFFD and two hex digits, and so are the three bytes of U+FFFD itself: "a\xffb" is "a�ffb". Every text of
// a record that has U+FFFD is to be read so.
//
// No token, certificate or cookie is ever in a record: policy.Input has no field for one. A path is cut at its '?',
// because queries carry secrets and no decision looks at them, and of user:password@host all but the host is blotted
// out.
package evidence
