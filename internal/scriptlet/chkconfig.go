package scriptlet

import (
	"path"
	"slices"
	"strings"
)

// initScripts is where the scripts of System V init are.
const initScripts = "/etc/rc.d/init.d"

// chkconfig does what chkconfig(8) does where no script of System V init is concerned: what a unit of systemd does it
// hands on to systemctl, of others it says that they are not there. Links for init scripts are not made here.
func chkconfig(r *toolRun) error {
	names := r.args
	action := r.lastOf("add", "del", "list", "override")
	if action == "" && len(names) > 0 {
		action = "ask"
		if len(names) > 1 {
			action = names[len(names)-1]
			names = names[:len(names)-1]
		}
	}
	if len(names) == 0 && action != "list" {
		return r.die(1, "no service is named")
	}
	if action == "list" && len(names) == 0 {
		names = r.FS.list(initScripts)
	}
	for _, name := range names {
		script := path.Join(initScripts, name)
		if r.FS.Exists("/", script) {
			return r.unsupported("links for %s, a script of System V init, are not made here", script)
		}
		unit := strings.TrimSuffix(name, ".service") + ".service"
		verb := map[string]string{"on": "enable", "off": "disable", "reset": "preset", "ask": "is-enabled"}[action]
		there := slices.ContainsFunc([]string{"/etc/systemd/system/", "/usr/lib/systemd/system/"}, func(dir string) bool { return r.FS.Exists("/", dir+unit) })
		if !there || verb == "" {
			r.complain("error reading information on service %s: No such file or directory", name)
			continue
		}
		if err := r.child([]string{"systemctl", verb, unit}); err != nil {
			return err
		}
	}
	return nil
}

// list are the names in a directory, none of one that is not there.
func (f *FS) list(dir string) []string {
	names, err := f.ReadDir("/", dir)
	if err != nil {
		return nil
	}
	return names
}
