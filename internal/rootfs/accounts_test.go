package rootfs

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	basePasswd = "root:x:0:0:root:/root:/bin/bash\nbin:x:1:1:bin:/bin:/sbin/nologin\n"
	baseGroup  = "root:x:0:\nbin:x:1:\nwheel:x:10:root\n"
)

func accounts(t *testing.T) *Accounts {
	t.Helper()
	a, err := ParseAccounts([]byte(basePasswd), []byte(baseGroup))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAccountsUnchanged(t *testing.T) {
	a := accounts(t)
	if err := a.Sysusers([]byte("u root 0\ng wheel 10\n")); err != nil {
		t.Fatal(err)
	}
	if a.Changed() || string(a.Passwd()) != basePasswd || string(a.GroupFile()) != baseGroup {
		t.Errorf("changed:\n%s%s", a.Passwd(), a.GroupFile())
	}
}

func TestSysusers(t *testing.T) {
	a := accounts(t)
	err := a.Sysusers([]byte(`# users
u httpd 48 "Apache, the server" /usr/share/httpd
m httpd web
u! daemon - - - /bin/false
u app 700:wheel 'An app' /srv
u other 48 - -
g fixed 33
u fixed - - /f
r - 500-900
`))
	if err != nil {
		t.Fatal(err)
	}
	want := basePasswd + `httpd:x:48:48:Apache, the server:/usr/share/httpd:/usr/sbin/nologin
daemon:x:999:999::/:/bin/false
app:x:700:10:An app:/srv:/usr/sbin/nologin
other:x:998:998::/:/usr/sbin/nologin
fixed:x:33:33::/f:/usr/sbin/nologin
`
	if d := cmp.Diff(want, string(a.Passwd())); d != "" {
		t.Error(d)
	}
	wantGroup := baseGroup + "fixed:x:33:\nhttpd:x:48:\ndaemon:x:999:\nother:x:998:\nweb:x:997:httpd\n"
	if d := cmp.Diff(wantGroup, string(a.GroupFile())); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff("root:*:1::::::\nhttpd:!*:20:::::", strings.Join(strings.SplitN(string(a.Shadow([]byte("root:*:1::::::"), 20)), "\n", 3)[:2], "\n")[:len("root:*:1::::::\nhttpd:!*:20:::::")]); d != "" {
		t.Error(d)
	}
}

func TestAccountFaults(t *testing.T) {
	a := accounts(t)
	for _, bad := range []string{"u a:b -", "u x 12x", "u \"x", "u", "m x"} {
		if err := a.Sysusers([]byte(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	if err := a.AddUser(NewUser{Name: "bin", UID: 7}); err == nil {
		t.Error("a user changed its id")
	}
	if err := a.AddUser(NewUser{Name: "x", UID: 7, Home: "/a:b"}); err == nil {
		t.Error("a colon in a home")
	}
	if _, err := ParseAccounts([]byte("root:x:0:0\n"), nil); err == nil {
		t.Error("a passwd line of four fields")
	}
}

func TestSysusersOf(t *testing.T) {
	line, ok, err := SysusersOf("user(redis)", "dSByZWRpcyAtICJSZWRpcyIgL3Zhci9saWIvcmVkaXMgLQAA")
	if err != nil || !ok || line != `u redis - "Redis" /var/lib/redis -` {
		t.Errorf("%q %v %v", line, ok, err)
	}
	if _, ok, _ := SysusersOf("user(redis)", ""); ok {
		t.Error("a provide without a line")
	}
	if _, ok, _ := SysusersOf("libfoo(x)", "AAAA"); ok {
		t.Error("something else")
	}
	if _, _, err := SysusersOf("group(x)", "!!"); err == nil {
		t.Error("no base64")
	}
}

func FuzzSysusers(f *testing.F) {
	f.Add("u httpd 48 \"x\" /y\ng a -\nm a b\n")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseAccounts([]byte(basePasswd), []byte(baseGroup))
		if err != nil {
			t.Fatal(err)
		}
		if a.Sysusers([]byte(text)) != nil {
			return
		}
		if _, err := ParseAccounts(a.Passwd(), a.GroupFile()); err != nil {
			t.Errorf("what was written does not read: %v", err)
		}
	})
}
