//go:build !linux

package stage

import "syscall"

// childAttributes give a child a session of its own, so that a Ctrl-C at the terminal reaches only the supervisor.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
