//go:build !linux

package tooltest

import (
	"os/exec"
	"testing"
)

// What needs Linux skips the test elsewhere.

func Lstat(t testing.TB, _ string) Stat {
	t.Helper()
	missing(t, "Linux")
	return Stat{}
}

func Chroot(t testing.TB, _ *exec.Cmd, _ string) {
	t.Helper()
	missing(t, "Linux")
}

func AsNobody(t testing.TB, _ *exec.Cmd) {
	t.Helper()
	missing(t, "Linux")
}
