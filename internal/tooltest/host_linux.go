package tooltest

import (
	"os/exec"
	"syscall"
	"testing"
)

// Lstat follows no link.
func Lstat(t testing.TB, path string) Stat {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Lstat(path, &st); err != nil {
		t.Fatalf("lstat %s: %v", path, err)
	}
	out := Stat{Mode: st.Mode, UID: st.Uid, GID: st.Gid, Size: st.Size, MTime: st.Mtim.Sec, Nlink: uint64(st.Nlink), Ino: st.Ino, Rdev: st.Rdev}
	caps := make([]byte, 64)
	if st.Mode&syscall.S_IFMT == syscall.S_IFREG {
		if n, err := syscall.Getxattr(path, "security.capability", caps); err == nil {
			out.Capabilities = string(caps[:n])
		}
	}
	return out
}

// Chroot has cmd run in dir as its root.
func Chroot(t testing.TB, cmd *exec.Cmd, dir string) {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: dir}
}

// AsNobody has cmd run as the user that owns nothing.
func AsNobody(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
}
