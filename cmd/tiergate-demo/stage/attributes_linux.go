package stage

import "syscall"

// childAttributes give a child a session of its own, so that a Ctrl-C at the terminal reaches only the supervisor, and
// have the kernel kill it if the supervisor dies without a word.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
}
