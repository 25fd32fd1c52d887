package scriptlet

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

var systemctlScripts = []string{
	"systemctl preset-all",
	"systemctl preset nginx.service redis-server.service haproxy memcached",
	"systemctl --no-reload preset apache-htcacheclean.service apache2.service",
	"systemctl enable nginx; systemctl is-enabled nginx; systemctl enable nginx; systemctl disable nginx; systemctl is-enabled nginx; systemctl --quiet is-enabled nginx",
	"systemctl enable redis-server; systemctl is-enabled redis; systemctl disable redis-server; systemctl is-enabled redis-server",
	"systemctl enable nginx redis-server haproxy; systemctl preset-all; systemctl enable nosuch; systemctl disable nosuch; systemctl preset nginx nosuch; systemctl is-enabled nosuch",
	"systemctl mask nginx; systemctl is-enabled nginx; systemctl enable nginx; systemctl preset nginx; systemctl disable nginx; systemctl unmask nginx; systemctl enable nginx; systemctl mask nginx; systemctl unmask nginx; systemctl unmask nosuch; systemctl mask nosuch",
	"systemctl enable getty@tty3; systemctl enable getty@.service; systemctl is-enabled getty@tty3.service getty@tty9 getty@.service; systemctl disable getty@.service; systemctl preset getty@.service; systemctl disable getty@tty1",
	"systemctl get-default; systemctl set-default multi-user; systemctl get-default; systemctl set-default nosuch.target; systemctl set-default graphical.target",
	"systemctl reenable nginx; systemctl reenable nosuch; systemctl enable systemd-networkd; systemctl is-enabled systemd-networkd.socket systemd-networkd-wait-online; systemctl disable systemd-networkd",
	"systemctl add-wants multi-user.target nginx; systemctl add-requires multi-user haproxy; systemctl is-enabled nginx; systemctl is-enabled systemd-journald.service basic.target reboot.target ctrl-alt-del.target; systemctl disable nginx",
	"mkdir -p /etc/systemd/system; printf '[Install]\\nWantedBy=a.target b.target\\nRequiredBy=c.target\\nAlias=x.service y.service\\nAlso=nginx.service\\n' >/etc/systemd/system/t.service; systemctl enable t; systemctl is-enabled t x nginx; systemctl disable t",
	"mkdir -p /etc/systemd/system/t.service.d /etc/systemd/system-preset; printf '[Unit]\\nA=b\\n[Install]\\nWantedBy = \\\\\\n a.target \\\\\\n# c\\n b.target\\nWantedBy=\\nWantedBy=%%p-x.target\\n' >/etc/systemd/system/t.service; printf 'enable t*\\ndisable *\\n' >/etc/systemd/system-preset/10-a.preset; systemctl preset t nginx; systemctl preset-all",
	"printf '[Unit]\\nA=b\\n' >/etc/systemd/system/s.service; systemctl enable s; systemctl is-enabled s; : >/etc/systemd/system/e.service; systemctl is-enabled e; systemctl enable e; systemctl preset e",
	"printf '[Install]\\nWantedBy=m.target\\n' >/etc/systemd/system/a@.service; systemctl enable a@; systemctl enable a@1 a@2; systemctl is-enabled a@1; systemctl disable a@1; systemctl disable a@",
	"mkdir -p /etc/systemd/system-preset; printf '[Install]\\nWantedBy=m.target\\n' >/etc/systemd/system/a@.service; printf 'enable a@.service one two\\n' >/etc/systemd/system-preset/00.preset; systemctl preset a@.service; systemctl preset a@one a@three",
	"mkdir -p /etc/systemd/system-preset; printf '# c\\n;c\\nenable nginx.*\\n' >/etc/systemd/system-preset/90-systemd.preset; systemctl preset nginx haproxy; systemctl preset-all",
	"systemctl; systemctl enable; systemctl bogus; systemctl is-system-running; systemctl is-active nginx; systemctl is-failed nginx; systemctl status; systemctl show nginx",
	"systemctl --global preset dbus.socket; systemctl --global enable nosuch",
	"systemctl enable nginx --no-block; systemctl preset --preset-mode=enable-only nginx; systemctl preset --preset-mode=disable-only nginx",
}

// systemctlLinks compares the links that systemctl makes with those of the distribution's own.
func systemctlLinks(t *testing.T, from string) {
	root := smallRoot(t, from, "/usr/bin/systemctl", "/usr/bin/bash", "/usr/bin/mkdir", "/usr/bin/cat")
	for _, dir := range []string{"home", "var", "run", "usr/lib", "etc"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("usr/bin", filepath.Join(root, "bin")); err != nil && !errors.Is(err, os.ErrExist) {
		t.Fatal(err)
	}
	for _, dir := range []string{"etc/systemd", "usr/lib/systemd"} {
		if out, err := exec.Command("cp", "-a", filepath.Join(from, dir), filepath.Join(root, filepath.Dir(dir))).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	if err := os.RemoveAll(filepath.Join(root, "etc/systemd/system")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, "etc/systemd/system"), 0o755); err != nil {
		t.Fatal(err)
	}
	// The small root has a /lib of its own, so the way that systemd calls its units has to be made.
	lib, err := os.Lstat(filepath.Join(root, "lib"))
	switch {
	case errors.Is(err, os.ErrNotExist):
		err = os.Symlink("usr/lib", filepath.Join(root, "lib"))
	case err == nil && lib.IsDir():
		err = os.Symlink("../usr/lib/systemd", filepath.Join(root, "lib/systemd"))
	}
	if err != nil {
		t.Fatal(err)
	}
	// A masked unit is one that leads to a device.
	if err := os.MkdirAll(filepath.Join(root, "dev"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := exec.Command("mknod", filepath.Join(root, "dev/null"), "c", "1", "3").Run(); err != nil {
		t.Skip("skipped: needs to make devices")
	}
	for _, script := range sampled(systemctlScripts, 10) {
		compareInRoot(t, root, script)
	}
}
