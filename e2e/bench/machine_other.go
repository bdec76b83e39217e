//go:build !linux

package main

import (
	"errors"
	"time"
)

// errLinux is all that the bench says elsewhere: without cores of their own, figures of driver and server mix.
var errLinux = errors.New("the bench binds processes to cores and reads their clocks as Linux does; run it there")

func cores() (server, driver int, err error)         { return 0, 0, errLinux }
func runOn([]string) error                           { return errLinux }
func cpuTime(int) (time.Duration, error)             { return 0, errLinux }
func resident(int) (all, anonymous int64, err error) { return 0, 0, errLinux }
func pause(int) error                                { return errLinux }
func resume(int) error                               { return errLinux }
func processor() string                              { return "" }
func busyness() string                               { return "" }
