package scriptlet

import (
	"path"
	"slices"
	"strings"
)

// noop are programs that do nothing to a root which is not running.
type noop struct {
	why    string
	names  string // separated by blanks
	status int    // what each ends with there
	leaves string // a cache that the real program makes; that it is missing is warned of
}

// noops are those whose work means nothing in an image, with the reason. What changes what programs find in it does not
// belong here: it is done, or refused. So glib-compile-schemas, update-mime-database, gdk-pixbuf-query-loaders,
// gtk-query-immodules, gconftool-2, newaliases and firewall-offline-cmd are left to the rule for programs of the tree.
func noops() []noop {
	return []noop{
		{why: "an image has no labels of SELinux, and the policy is that of the machine", names: `restorecon fixfiles load_policy semodule semanage
			setsebool setenforce chcon matchpathcon genhomedircon sefcontext_compile`},
		{why: "SELinux is off in it", names: "selinuxenabled getsebool", status: 1},
		{why: "it has no kernel and no devices of its own", names: `udevadm systemd-binfmt systemd-sysctl sysctl modprobe insmod rmmod lsmod depmod
			dracut mkinitrd kernel-install new-kernel-pkg grubby weak-modules grub2-mkconfig update-grub`},
		{why: "nothing runs that could be told", names: `systemd-run systemd-notify dbus-send gdbus busctl initctl telinit invoke-rc.d logger wall
			nscd sss_cache`},
		{why: "firewalld says that it does not run", names: "firewall-cmd", status: 252},
		{why: "there is no process to find, and nothing is mounted", names: "pgrep pidof pkill killall killall5 mountpoint runlevel", status: 1},
		{why: "each machine makes a seed of its own, and an image must not hold one", names: "systemd-random-seed"},
		{why: "attributes belong to the file system of the machine", names: "chattr"},
		{why: "man and info find pages without an index", names: "install-info fix-info-dir mandb makewhatis scrollkeeper-update"},
		{why: "fontconfig looks through the fonts by itself", names: "fc-cache", leaves: "/var/cache/fontconfig"},
		{why: "GTK looks through the icons by itself", names: "gtk-update-icon-cache gtk4-update-icon-cache", leaves: "icon-theme.cache"},
		{
			why: "GIO asks each module by itself", names: "gio-querymodules gio-querymodules-32 gio-querymodules-64",
			leaves: "giomodule.cache",
		},
	}
}

// noopCommands are the programs of the table as commands.
func noopCommands() map[string]Command {
	all := map[string]Command{}
	for _, n := range noops() {
		for name := range strings.FieldsSeq(n.names) {
			all[name] = n.command()
		}
	}
	all["getenforce"] = rawTool(func(r *toolRun) error { r.printf("Disabled\n"); return nil })
	all["service"] = rawTool(func(r *toolRun) error {
		if slices.Contains(r.args, "status") {
			r.status = 3 // it does not run
		}
		return nil
	})
	return all
}

func (n noop) command() Command {
	return rawTool(func(r *toolRun) error {
		r.status = n.status
		if n.leaves != "" && r.programThere() {
			r.warn("%s is left out, which %s makes to save time: %s", n.leaves, r.name, n.why)
		}
		return nil
	})
}

// programThere reports whether the tree has the program that is run: without it nothing would come of it in rpm's hands.
func (r *toolRun) programThere() bool {
	name := r.Call.Args[0]
	if strings.Contains(name, "/") {
		return r.FS.Exists(r.Dir, name)
	}
	for dir := range strings.SplitSeq(scriptPath, ":") {
		if r.FS.Exists("/", path.Join(dir, name)) {
			return true
		}
	}
	return false
}

// doesNothing are the names of commands that leave the tree as it is.
func doesNothing() map[string]bool {
	all := map[string]bool{"journalctl": true, "systemd-hwdb": true}
	for name := range noopCommands() {
		all[name] = true
	}
	return all
}
