package scriptlet

import (
	"errors"
	"strings"
	"testing"
)

// TestLeftOut shows what is said of work that is left out, and what is refused instead.
func TestLeftOut(t *testing.T) {
	file := func(p string, mode uint32) func(*FS) {
		return func(f *FS) {
			if err := f.MkdirAll("/", p[:strings.LastIndexByte(p, '/')], 0o755); err != nil {
				t.Fatal(err)
			}
			withFile(t, p, "\x7fELF", mode)(f)
		}
	}
	dir := func(p string, mode uint32) func(*FS) {
		return func(f *FS) {
			if err := f.MkdirAll("/", p, mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, test := range []struct {
		name, script string
		setup        []func(*FS)
		log          string
		warning      string // "" for none
		refused      string // part of the error
		what         What
	}{
		{name: "SELinux", script: "restorecon -R /etc; echo $? > /log; selinuxenabled || echo off >> /log", log: "0\noff\n", what: NoOp},
		{name: "nothing runs", script: "firewall-cmd --state; echo $? > /log; service x status; echo $? >> /log; service x restart && pgrep x || echo none >> /log", log: "252\n3\nnone\n", what: NoOp},
		{name: "a cache", setup: []func(*FS){file("/usr/bin/fc-cache", 0o755)}, script: "fc-cache -s &>/dev/null", warning: "%post of a-1-1.noarch: /var/cache/fontconfig is left out, which fc-cache makes", what: NoOp},
		{name: "a cache that nobody would make", script: "fc-cache; /usr/bin/gio-querymodules-64 /usr/lib64/gio/modules", what: NoOp},
		{name: "schemas", setup: []func(*FS){file("/usr/bin/glib-compile-schemas", 0o755)}, script: "glib-compile-schemas /usr/share/glib-2.0/schemas &>/dev/null || :", refused: "scriptlets: {a: {post: skip}}"},
		{name: "schemas of nobody", script: "glib-compile-schemas /usr/share/glib-2.0/schemas; echo $? > /log", log: "127\n", what: Nothing},
		{name: "types", setup: []func(*FS){file("/usr/bin/update-mime-database", 0o755)}, script: "update-mime-database /usr/share/mime || :", refused: "line 1: update-mime-database"},
		{name: "aliases", setup: []func(*FS){file("/usr/bin/newaliases", 0o755)}, script: "newaliases >/dev/null 2>&1 &", refused: "newaliases"},
		{name: "acl", setup: []func(*FS){dir("/var/log/journal", 0o755)}, script: "setfacl -Rnm g:wheel:rx,d:g:wheel:rx,g:adm:rx,d:g:adm:rx /var/log/journal/ &>/dev/null || :", warning: "what g:wheel:rx,d:g:wheel:rx,g:adm:rx,d:g:adm:rx allows on /var/log/journal/ is left out", what: Evaluated},
		{name: "acl that takes away", setup: []func(*FS){file("/etc/f", 0o644)}, script: "setfacl -m u:bin:- /etc/f || :", refused: "u:bin:- takes rights away from /etc/f"},
		{name: "acl of a directory", setup: []func(*FS){dir("/srv", 0o755)}, script: "setfacl -m u:bin:rX /srv; setfacl -m u:bin:r /srv", refused: "u:bin:r takes", warning: "u:bin:rX"},
		{name: "acl of the owner", setup: []func(*FS){file("/etc/f", 0o644)}, script: "setfacl -m u::rwx /etc/f", refused: "not u::rwx"},
		{name: "acl of all", script: "setfacl -b /etc; setfacl -m u:bin:r /none; echo $? > /log", log: "1\n", what: Evaluated},
		{name: "init script", setup: []func(*FS){file("/etc/rc.d/init.d/x", 0o755)}, script: "chkconfig --add x || :", refused: "/etc/rc.d/init.d/x, a script of System V init"},
		{name: "no init script", script: "chkconfig --add x; echo $? > /log; chkconfig x on; echo $? >> /log; chkconfig --list; echo $? >> /log", log: "1\n1\n0\n", what: Evaluated},
		{
			name: "unit", setup: []func(*FS){file("/usr/bin/systemctl", 0o755), dir("/usr/lib/systemd/system", 0o755), withFile(t, "/usr/lib/systemd/system/x.service", "[Install]\nWantedBy=a.target\n", 0o644)},
			script: "chkconfig x on; [ -L /etc/systemd/system/a.target.wants/x.service ]; echo $? > /log; chkconfig x; echo $? >> /log; chkconfig x off; chkconfig x; echo $? >> /log", log: "0\n0\n1\n", what: Evaluated,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var said []string
			o := Options{Now: 1700000000, Toolbox: true, Warn: func(m string) { said = append(said, m) }}
			e, log, err := install(t, o, test.setup, scripted("a", sh("post", test.script)))
			var u *Unsupported
			switch {
			case test.refused != "" && (!errors.As(err, &u) || !strings.Contains(err.Error(), test.refused)):
				t.Errorf("not refused as %q: %v", test.refused, err)
			case test.refused == "" && err != nil:
				t.Fatal(err)
			case err == nil && e.Outcomes()[0].What != test.what:
				t.Errorf("it is %v", e.Outcomes()[0])
			}
			if log != test.log {
				t.Errorf("log %q", log)
			}
			if text := strings.Join(said, "\n"); (text == "") != (test.warning == "") || !strings.Contains(text, test.warning) {
				t.Errorf("warned %q", said)
			}
		})
	}
}
