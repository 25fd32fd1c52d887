package scriptlet

import "slices"

// secretCommands are programs that make what is not the same every time: keys, ids, passwords. Each machine has to make
// its own, so they are refused wherever they may be called, also where their package is left out because only
// scriptlets require it.
func secretCommands() map[string]Command {
	all := map[string]Command{"openssl": rawTool(openssl), "dbus-uuidgen": rawTool(dbusUUID)}
	for _, name := range alwaysSecret() {
		all[name] = rawTool(func(r *toolRun) error { return r.random() })
	}
	return all
}

// alwaysSecret are those that are refused whatever their arguments are.
func alwaysSecret() []string {
	return []string{
		"uuidgen", "mcookie", "pwgen", "ssh-keygen", "certutil", "gpg", "gpg2", "rndc-confgen", "tsig-keygen", "sscg", "apg", "shuf", "mkpasswd",
	}
}

func (r *toolRun) random() error {
	return r.unsupported("what it makes is random or secret, and has no place in an image")
}

// openssl says of what makes keys that they have no place in an image; of the rest, that it is not known.
func openssl(r *toolRun) error {
	if len(r.args) > 0 && slices.Contains([]string{
		"rand", "genrsa", "genpkey", "gendsa", "gendh", "dhparam", "dsaparam", "ecparam", "req", "ca", "passwd",
	}, r.args[0]) {
		return r.random()
	}
	return r.unsupported("slim does not run programs, and does not know the work of this one")
}

// dbusUUID leaves the id of the machine to whoever boots the image, as systemd-machine-id-setup here does.
func dbusUUID(r *toolRun) error {
	if len(r.args) == 1 && r.args[0] == "--ensure" {
		return nil
	}
	return r.random()
}
