package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// cores returns two cores that this process may use: one for the server under test, one for the driver.
func cores() (server, driver int, err error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return 0, 0, fmt.Errorf("which cores there are: %w", err)
	}
	var usable []int
	for core := range 1024 {
		if set.IsSet(core) {
			usable = append(usable, core)
		}
	}
	if len(usable) < 2 {
		return 0, 0, errors.New("the bench needs two cores, one for the server and one for the driver; it has one")
	}
	return usable[1], usable[0], nil
}

// runOn becomes another program that runs on one core: args are its number, the program and its arguments. Go sizes
// GOMAXPROCS by what it may use.
func runOn(args []string) error {
	if len(args) < 2 {
		return errors.New("on CORE PROGRAM [ARGUMENT]")
	}
	core, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	path, err := exec.LookPath(args[1])
	if err != nil {
		return err
	}
	runtime.LockOSThread() // the thread that becomes the program is the one that was bound
	var set unix.CPUSet
	set.Set(core)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("bind to core %d: %w", core, err)
	}
	return syscall.Exec(path, args[1:], os.Environ())
}

// cpuTime is the CPU time that a process has used, to the nanosecond: the clock that clock_getcpuclockid(3) names.
func cpuTime(pid int) (time.Duration, error) {
	const scheduled = 2 // CPUCLOCK_SCHED
	var used unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduled), &used); err != nil {
		return 0, err
	}
	return time.Duration(used.Nano()), nil
}

// resident is the memory of a process that is in RAM, in bytes: all of it, and the part that no file backs. The rest is
// the program itself and what it has mapped.
func resident(pid int) (all, anonymous int64, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	for name, into := range map[string]*int64{"VmRSS": &all, "RssAnon": &anonymous} {
		_, after, found := strings.Cut(string(status), "\n"+name+":")
		fields := strings.Fields(after)
		if !found || len(fields) == 0 {
			return 0, 0, fmt.Errorf("process %d has no %s", pid, name)
		}
		kib, err := strconv.ParseInt(fields[0], 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("%s of process %d: %w", name, pid, err)
		}
		*into = kib << 10
	}
	return all, anonymous, nil
}

// pause stops a process, resume lets it go on.
func pause(pid int) error  { return syscall.Kill(pid, syscall.SIGSTOP) }
func resume(pid int) error { return syscall.Kill(pid, syscall.SIGCONT) }

// processor is the model of the CPU.
func processor() string {
	raw, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	for line := range strings.Lines(string(raw)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}

// busyness is the load average of the last minute: how many others wanted a core when the bench began.
func busyness() string {
	raw, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(raw), " ")
	return first
}
