package scriptlet

import (
	"bytes"
	"context"
	"errors"
	"testing"
)

func TestMachineIDSetup(t *testing.T) {
	f := fsOf(hostTree(t, t.TempDir()))
	if err := f.Mkdir("/", "/etc", 0o755); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if a := callNative(t, f, "", "systemd-machine-id-setup"); a.Status != 0 {
			t.Fatalf("%+v", a)
		}
		if n := f.Tree().Node("/etc/machine-id"); n == nil || n.Size != 0 || n.Perm() != 0o444 {
			t.Fatalf("%+v", n)
		}
	}
	if err := f.WriteFile("/", "/etc/machine-id", []byte("uninitialized\n"), 0o444); err != nil {
		t.Fatal(err)
	}
	callNative(t, f, "", "systemd-machine-id-setup")
	if b, err := f.ReadFile("/", "/etc/machine-id"); err != nil || string(b) != "uninitialized\n" {
		t.Errorf("%q %v", b, err)
	}
}

// What is not known must stop the build.
func TestUnknownOptionsAreRefused(t *testing.T) {
	for _, args := range [][]string{
		{"ldconfig", "--frobnicate"},
		{"ldconfig", "-c", "old"},
		{"ldconfig", "-r", "/mnt"},
		{"alternatives", "--config", "editor"},
		{"alternatives", "--frobnicate"},
		{"alternatives", "--test", "--list"},
		{"systemd-tmpfiles", "--create", "--user"},
		{"systemd-tmpfiles", "--create", "--root=/mnt"},
		{"systemd-tmpfiles", "--image=x", "--create"},
		{"iconvconfig", "--frobnicate"},
		{"journalctl", "-b"},
		{"systemd-hwdb", "query"},
		{"systemd-machine-id-setup", "--print"},
	} {
		f := fsOf(hostTree(t, t.TempDir()))
		for _, dir := range []string{"/etc/alternatives", "/var/lib/alternatives"} {
			if err := f.MkdirAll("/", dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		var out bytes.Buffer
		_, err := nativeCommands()[args[0]](context.Background(), &Call{
			Args: args, Env: func(string) string { return "" }, Dir: "/",
			Stdin: &out, Stdout: &out, Stderr: &out, FS: f, Host: &Host{Arch: "x86_64"},
		})
		var u *Unsupported
		if !errors.As(err, &u) {
			t.Errorf("%q: %v", args, err)
		}
	}
}
