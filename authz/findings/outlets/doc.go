// Package outlets tells what is found: it keeps notices in a durable queue until the outlet that a monitor names has taken
// them, or three days have passed, and keeps those that nobody took as dead letters. Nothing that was put is lost, what is
// about one subject is told in its order, and what is told twice has the same id.
//
// An outlet is a webhook (Standard Webhooks, a Slack channel, CloudEvents) or a file of JSON lines. README.md shows what each
// sends and how to check it.
package outlets
