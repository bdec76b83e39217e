package stage

// evidenceSubstitution lets decisions be recorded, where Options.Evidence wants it.
var evidenceSubstitution = substitution{"log: {level: info, format: json}\n",
	"evidence: {file: evidence/decisions.jsonl, within: 1s}\n\nlog: {level: info, format: json}\n"}
