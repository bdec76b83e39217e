package main

import (
	"net/http"
	"time"

	"github.com/tiergate/tiergate/cmd/tiergate-demo/stage"
)

// nearly is how long before its end something is shown to hold: long enough for a slow machine to be in time for it.
const nearly = 3 * time.Second

// silentFor is how long after its last report a laptop is admitted: until edr-healthy ages out (baseline laptops), and the
// grace of tier internal.
const silentFor = 2*time.Hour + 8*time.Hour

func refusedFor(demands ...unmet) want {
	return want{status: http.StatusForbidden, reason: "posture", decided: yes, unmet: demands}
}

func admitted(excused string) want {
	return want{status: http.StatusOK, reason: "allowed", decided: yes, excused: excuses(excused)}
}

func exceptions() scene {
	bens := ask{as: "ben", host: stage.PortalHost, path: "/"}
	diskOff := refusedFor(unmet{"disk-encrypted", "require", "failing", "endpoint"})
	unencrypted := map[string]any{"disk_encryption": false, "edr_healthy": true}
	return scene{"7. An exception excuses one signal, until its end", []step{
		{theMDM, "reports disk_encryption=false", report{device: "ana-laptop", attributes: unencrypted, then: portal}, diskOff},
		{theMDM, "reports the same of ben-laptop", report{device: "ben-laptop", attributes: unencrypted, then: bens}, diskOff},
		{iam, "writes an exception that ended two days ago",
			except{name: "ana-last-week", from: -96 * time.Hour, until: -48 * time.Hour}, want{}},
		{anaOnLaptop, "opens the portal", portal, diskOff},
		{iam, "writes one that ends in three seconds", except{name: "ana-new-disk", from: -time.Hour, until: nearly}, want{}},
		{anaOnLaptop, "opens the portal", portal, admitted("disk-encrypted by exception ana-new-disk")},
		{benOnLaptop, "opens the portal; it is not about him", bens, diskOff},
		{anaOnLaptop, "goes on until it ends", outlast{portal}, diskOff},
		{theMDM, "reports disk_encryption=true", report{device: "ana-laptop", attributes: healthy, then: portal}, admitted("nothing")},
	}}
}

func silentLaptop() scene {
	doras, elis := ask{as: "dora", host: stage.PortalHost, path: "/"}, ask{as: "eli", host: stage.PortalHost, path: "/"}
	silent := refusedFor(unmet{"edr-healthy", "require", "unknown", "endpoint"})
	return scene{"8. A laptop that fell silent lives in grace, then past it", []step{
		{theMDM, "has not seen dora-laptop for nearly ten hours",
			report{device: "dora-laptop", attributes: healthy, then: doras, ago: silentFor - nearly, lasts: silentFor},
			admitted("edr-healthy by grace")},
		{theMDM, "has not seen eli-laptop for twelve",
			report{device: "eli-laptop", attributes: healthy, then: elis, ago: 12 * time.Hour}, silent},
		{theMDM, "sees eli-laptop again", report{device: "eli-laptop", attributes: healthy, then: elis}, admitted("nothing")},
		{doraOnLaptop, "goes on until the grace is over", outlast{doras}, silent},
	}}
}

func strongerLogin() scene {
	old, fresh := console, console
	old.as, fresh.as = "ana-key-old", "ana-key"
	return scene{"9. Payroll's console asks for a stronger, fresher login", []step{
		{anaOnLaptop, "opens the console", console, stepUp},
		{anaOnLaptop, "shows an hour-old login with a security key", old, stepUp},
		{anaOnLaptop, "signs in with it again, as she was asked to", fresh, onConsole},
		{anaOnLaptop, "takes that login to the portal", ask{as: "ana-key", host: stage.PortalHost, path: "/"}, admitted("nothing")},
	}}
}
