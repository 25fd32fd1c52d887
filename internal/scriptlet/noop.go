package scriptlet

import (
	"maps"
	"strings"
)

// doNothing are programs that succeed.
const doNothing = `
	restorecon fixfiles load_policy semodule semanage setsebool setenforce chcon matchpathcon genhomedircon sefcontext_compile
	udevadm systemd-hwdb systemd-random-seed systemd-run systemd-notify journalctl systemd-binfmt systemd-sysctl sysctl
	modprobe insmod rmmod lsmod depmod dracut mkinitrd kernel-install new-kernel-pkg grubby weak-modules grub2-mkconfig update-grub
	gtk-update-icon-cache gtk4-update-icon-cache update-desktop-database update-mime-database glib-compile-schemas fc-cache
	gdk-pixbuf-query-loaders gdk-pixbuf-query-loaders-32 gdk-pixbuf-query-loaders-64
	gio-querymodules gio-querymodules-32 gio-querymodules-64
	gtk-query-immodules-2.0 gtk-query-immodules-2.0-32 gtk-query-immodules-2.0-64
	gtk-query-immodules-3.0 gtk-query-immodules-3.0-32 gtk-query-immodules-3.0-64
	gconftool-2 scrollkeeper-update update-xscreensaver-hacks iconvconfig
	install-info fix-info-dir mandb makewhatis
	firewall-cmd firewall-offline-cmd dbus-send gdbus busctl
	service chkconfig initctl telinit invoke-rc.d update-rc.d insserv systemd-sysv-convert
	newaliases logger wall nscd sss_cache
	setfacl chattr`

// findNothing are programs that look for something which a root that is not running does not have.
const findNothing = "selinuxenabled getsebool pgrep pidof pkill killall killall5 mountpoint runlevel"

// noopCommands are programs whose work means nothing in a root that is not running (daemons, kernel, SELinux, desktop caches,
// indexes of documentation), with the status that each has there, and systemctl, of which the offline part is done.
func noopCommands() map[string]Command {
	all := map[string]Command{}
	for _, name := range strings.Fields(doNothing) {
		all[name] = fixedStatus(0)
	}
	for _, name := range strings.Fields(findNothing) {
		all[name] = fixedStatus(1)
	}
	all["getenforce"] = rawTool(func(r *toolRun) error { r.printf("Disabled\n"); return nil })
	all["systemd-machine-id-setup"] = rawTool(machineID)
	maps.Copy(all, systemctlCommands())
	return all
}

func fixedStatus(status int) Command {
	return rawTool(func(r *toolRun) error {
		r.status = status
		return nil
	})
}

// machineID leaves an empty /etc/machine-id where there is none: every machine that the image becomes fills it in itself.
func machineID(r *toolRun) error {
	for _, a := range r.args {
		if a != "--commit" && a != "--print" {
			return r.unsupported("the option %s is not known here", a)
		}
	}
	if _, err := r.FS.Lstat("/", "/etc/machine-id"); !isNotExist(err) {
		return nil
	}
	return r.FS.WriteFile("/", "/etc/machine-id", nil, 0o444)
}
