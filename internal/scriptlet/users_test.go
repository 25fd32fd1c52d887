package scriptlet

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slim/internal/rootfs"
)

// accountsRoot is a small root with the programs that change users and groups, and its files of them.
func accountsRoot(t *testing.T, from string) string {
	t.Helper()
	var programs []string
	for _, p := range []string{
		"/usr/sbin/useradd", "/usr/sbin/usermod", "/usr/sbin/userdel", "/usr/sbin/groupadd", "/usr/sbin/groupmod",
		"/usr/sbin/groupdel", "/usr/bin/gpasswd", "/usr/bin/getent", "/usr/bin/id", "/usr/bin/bash", "/usr/sbin/pwconv", "/usr/sbin/grpconv",
		"/usr/bin/systemd-sysusers", "/usr/bin/mkdir", "/usr/bin/chown", "/usr/bin/cat", "/usr/bin/rm", "/usr/bin/touch", "/usr/bin/passwd",
		"/usr/bin/chmod", "/usr/bin/cp", "/usr/bin/chage",
	} {
		if _, err := os.Stat(from + p); err == nil {
			programs = append(programs, p)
		}
	}
	root := smallRoot(t, from, programs...)
	for _, dir := range []string{"etc/skel", "etc/default", "etc/sysusers.d", "usr/lib/sysusers.d", "home", "var/mail", "tmp", "root", "here"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range [][2]string{{"usr/bin", "bin"}, {"usr/sbin", "sbin"}, {"bash", "usr/bin/sh"}} {
		if err := os.Symlink(l[0], filepath.Join(root, l[1])); err != nil && !errors.Is(err, os.ErrExist) {
			t.Fatal(err)
		}
	}
	nss, err := filepath.Glob(from + "/usr/lib/x86_64-linux-gnu/libnss_files*")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range nss {
		copyTestFile(t, p, root+strings.TrimPrefix(p, from))
	}
	for _, p := range []string{"etc/login.defs", "etc/default/useradd", "etc/passwd", "etc/group", "etc/shadow", "etc/gshadow", "etc/nsswitch.conf"} {
		if b, err := os.ReadFile(filepath.Join(from, p)); err == nil {
			if err := os.WriteFile(filepath.Join(root, p), b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for p, content := range map[string]string{"etc/skel/.profile": "profile\n", "etc/skel/x": "x\n"} {
		if err := os.WriteFile(filepath.Join(root, p), []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	for p, mode := range map[string]os.FileMode{"etc/shadow": 0, "etc/gshadow": 0o400} {
		if err := os.Chmod(filepath.Join(root, p), mode); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func copyTestFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o755); err != nil {
		t.Fatal(err)
	}
}

var userScripts = []string{
	"groupadd -r nginx; groupadd -r redis; useradd -r -g nginx -s /sbin/nologin -d /var/lib/nginx -c 'Nginx web server' nginx; useradd -r -g redis -d / redis",
	"groupadd -g 33 -r www; useradd -r -u 33 -g www -s /sbin/nologin -d /var/www -c Apache www",
	"groupadd -f -g 188 -r haproxy; groupadd -f -r redis; groupadd -f -g 188 -r other; groupadd -f other",
	"useradd -r plain; useradd -r -U own; useradd -r -N none; useradd person; useradd -m home",
	"useradd -M -d /srv/x nohome; useradd -m -d /srv/deep/er deep; useradd -m -k /nosuch -d /srv/noskel noskel",
	"mkdir -p /home/there; useradd -m there",
	"useradd -G bin,adm -c 'A B' member; useradd -r -G 4,audio more; useradd -G nosuch x; useradd -g nosuch x; useradd -g 100 users1; useradd -g users users2",
	"useradd root; useradd -u 0 zero; useradd -o -u 0 zero; groupadd root; groupadd -g 0 zero; groupadd -o -g 0 zero",
	"useradd; groupadd; useradd a b; useradd -d relative x; useradd -c 'a:b' x; useradd -s relative x; groupadd 'a b'; useradd 'a:b'; useradd ''; groupadd ''",
	"useradd -p '*' pw; groupadd -p secret pw2; useradd -u 5000 high; useradd next; groupadd -g 70000 big; groupadd after",
	"useradd --system --home-dir /x --shell /bin/false --comment C --gid 0 --no-create-home long; useradd --system --user-group --home /var/lib/es --comment 'E U' es",
	"useradd -K UID_MIN=2000 k; useradd -r -K SYS_UID_MAX=500 k2; groupadd -K GID_MIN=3000 k3",
	"groupadd -r a; groupdel a; groupadd -r b; groupdel root; groupdel nosuch; groupadd c; useradd -g c d; groupdel c",
	"useradd u; userdel u; useradd -m v; touch /var/mail/v; userdel -r v; useradd -m v; chown v /var/mail/v; userdel -r v; userdel nosuch; useradd -G u2 w; userdel w",
	"useradd -G audio u; userdel u; useradd -U u; usermod -a -G u bin; userdel u",
	"usermod -a -G audio,video bin; usermod -aG audio daemon; usermod -G tape bin; usermod -G '' bin; usermod -r -G audio daemon",
	"usermod -d /new bin; usermod -s /bin/x -c comment bin; usermod -g users bin; usermod -u 777 bin; usermod -l bin2 bin; usermod -L daemon; usermod -U daemon; usermod -U daemon",
	"usermod bin; usermod nosuch; usermod -a bin; usermod -s /usr/sbin/nologin bin; usermod -u 0 bin; usermod -g nosuch bin; usermod -G nosuch bin; usermod -l root bin; usermod -d rel bin; usermod -p '*' bin",
	"useradd -m u; usermod -u 4444 u; groupadd -g 5555 g; usermod -g g u; usermod -d /home/v -m u; usermod -m u",
	"groupmod -g 777 audio; groupmod -n sound audio; groupmod -g 0 sound; groupmod -n bin sound; groupmod -g 778 users; groupmod nosuch; groupmod -g 999 nosuch",
	"useradd -g users u; groupmod -g 778 users; id u; id -Gn u; id -u bin; id nosuch; getent passwd u",
	"gpasswd -a bin audio; gpasswd -a daemon audio; gpasswd -d bin audio; gpasswd -d bin audio; gpasswd -M bin,daemon video; gpasswd -a nosuch audio; gpasswd -a bin nosuch",
	"getent passwd root; getent passwd 0; getent group 0 root; getent group nosuch; getent passwd nosuch root; getent passwd 4242; getent bogus x; getent; getent shadow root; getent passwd | cat; getent group | cat",
	"touch /etc/subuid /etc/subgid; useradd a; useradd b; useradd -r c; userdel a; useradd d",
	"rm /etc/gshadow; groupadd g; useradd u; usermod -a -G g u; gpasswd -a bin g",
	"rm /etc/shadow /etc/gshadow; useradd u; usermod -L u",
	"rm /etc/gshadow /etc/shadow; pwconv; grpconv; pwconv",
	"echo '+::::::' >>/etc/passwd; echo '# c' >>/etc/group; useradd u; groupadd g",
	"printf 'old:x:500:500::/:/bin/sh' >>/etc/passwd; useradd u",
	"cp /etc/default/useradd /tmp/d; echo CREATE_MAIL_SPOOL=yes >>/etc/default/useradd; echo 'GROUP=100' >>/etc/default/useradd; echo HOME=/srv >>/etc/default/useradd; useradd -N a; useradd -m b; useradd -r c",
	"echo 'CREATE_HOME yes' >>/etc/login.defs; echo 'UMASK 077' >>/etc/login.defs; useradd a; useradd -r b; useradd -M c; useradd -m d",
	"echo 'HOME_MODE 0711' >>/etc/login.defs; echo 'SYS_UID_MIN 201' >>/etc/login.defs;  echo 'SYS_GID_MIN 201' >>/etc/login.defs; useradd -m a; useradd -r b; groupadd -r -g 201 low; groupadd -r c; groupadd -r d",
	"passwd -l bin; passwd -u bin; passwd -d bin; chage -d 5 -M 10 bin; chage -E -1 -I 3 bin",
	"rm /etc/passwd /etc/group; pwconv; grpconv; groupadd g; useradd u; usermod -L u",
	"rm -r /etc; groupadd g; useradd u; usermod -L u; userdel u; groupdel g; groupmod -n h g; pwconv; grpconv",
	"groupadd -g 999 x; groupadd -r y; useradd -r -g y -u 999 z; useradd -r w",
}

var sysusersScripts = []string{
	"echo 'u nginx - \"Nginx web server\" /var/lib/nginx /sbin/nologin' | systemd-sysusers -",
	"printf 'g a -\\nu b -\\nu c 555\\nu d 556:557\\nu e -:bin\\nm bin audio\\nm new a\\nm b fresh\\n' | systemd-sysusers -",
	"printf 'u a 0\\nu b 1 \"B\"\\ng c 4\\nu d 77:4\\nu e 78:nosuch\\n' | systemd-sysusers -",
	"printf 'u e 78:nosuch\\n' | systemd-sysusers -; printf 'u f 79:9999\\n' | systemd-sysusers -",
	"printf 'u redis - R /var/lib/redis\\n' >/usr/lib/sysusers.d/redis.conf; printf 'u early 300\\ng adm 4\\n' >/usr/lib/sysusers.d/basic.conf; systemd-sysusers; systemd-sysusers",
	"printf 'u redis - R /var/lib/redis\\n' >/usr/lib/sysusers.d/redis.conf; systemd-sysusers redis.conf; systemd-sysusers /usr/lib/sysusers.d/redis.conf; systemd-sysusers nosuch.conf",
	"printf 'u two 700\\n' >/usr/lib/sysusers.d/b.conf; printf 'u one 700\\n' | systemd-sysusers --replace=/usr/lib/sysusers.d/a.conf -",
	"printf 'u one 700\\n' >/usr/lib/sysusers.d/a.conf; printf 'u two 700\\n' >/etc/sysusers.d/a.conf; systemd-sysusers; echo 'u three - ' | systemd-sysusers --replace=/usr/lib/sysusers.d/a.conf -",
	"touch /tmp/f; chown 345:346 /tmp/f; echo 'u file /tmp/f' | systemd-sysusers -; echo 'g file2 /tmp/f' | systemd-sysusers -; echo 'u file3 /nosuch' | systemd-sysusers -",
	`printf 'u sp - "a b" /\nu q - \047single q\047\nu e - "a \\"b\\""\n' | systemd-sysusers -; printf 'x bad\nu ok -\n' >/etc/sysusers.d/a.conf; systemd-sysusers`,
	"printf '# c\\n\\n  u   sp   -   \"a b\"  /  \\nu  q - \\047single q\\047\\nu e - \"a \\\\\"b\\\\\"\"\\nx bad\\nu\\nu a:b -\\nu ok -\\nu long - a / /bin/sh more\\n' | systemd-sysusers -",
	"printf 'r - 500-510\\nu a -\\nu b -\\n' | systemd-sysusers -",
	"printf 'u a -\\nu a 500\\nu a -\\ng x 600\\ng x 600\\n' | systemd-sysusers -; printf 'm a audio\\nm a audio\\nm bin audio\\nm daemon audio\\n' | systemd-sysusers -",
	"rm /etc/shadow /etc/gshadow; echo 'u a -' | systemd-sysusers -",
	"systemd-sysusers --inline 'u a -' 'g b 555'; systemd-sysusers --replace=/x; useradd -r first; echo 'u second -' | systemd-sysusers -; groupadd -r third",
}

// accountsLikeShadowUtils runs scripts that change users and groups with the distribution's own programs and with those here.
func accountsLikeShadowUtils(t *testing.T, from string) {
	root := accountsRoot(t, from)
	for _, script := range sampled(append(append([]string(nil), userScripts...), sysusersScripts...), 20) {
		compareInRoot(t, root, script)
	}
}

// compareInRoot runs a script in a copy of a root with the programs there, and natively, and compares what they say and
// leave. "; " between programs prints the status of the first.
func compareInRoot(t *testing.T, root, script string) {
	t.Helper()
	script = strings.ReplaceAll(script, "; ", "; echo =$?; ")
	t.Run(script, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "root")
		if out, err := exec.Command("cp", "-al", root, dir).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		// What is changed in place must not be shared with the original.
		for _, sub := range []string{"etc", "home", "var"} {
			p := filepath.Join(dir, sub)
			if err := os.RemoveAll(p); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command("cp", "-a", filepath.Join(root, sub), p).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
		skip := func(p string) bool {
			return p == "/etc/.pwd.lock" || strings.HasPrefix(p, "/usr/bin") || strings.HasPrefix(p, "/usr/sbin") || strings.HasPrefix(p, "/usr/lib/") ||
				strings.HasPrefix(p, "/lib") || strings.HasPrefix(p, "/dev")
		}
		f := fsOf(loadTree(t, dir))
		cmd := exec.Command("chroot", dir, "/usr/bin/bash", "--posix", "-c", script)
		cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "SOURCE_DATE_EPOCH=1700000000"}
		var realErrs bytes.Buffer
		cmd.Stderr = &realErrs
		out, err := cmd.Output()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		want := outcome{cmd.ProcessState.ExitCode(), strings.Split(string(out), "\n"), splitListing(listing(t, fsOf(hostTree(t, dir)), skip))}

		m := New(f.Tree(), nil, Options{Now: 1700000000, Host: Host{Arch: "x86_64"}}).machine()
		m.toolbox = true
		var stdout, stderr bytes.Buffer
		status, err := m.shellProgram(context.Background(), process{
			args: []string{"sh", "script"}, env: map[string]string{"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"},
			dir: "/", umask: 0o022, stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, body: &script,
		})
		if err != nil {
			t.Fatalf("%v\nreal: %s", err, realErrs.String())
		}
		got := outcome{status, strings.Split(stdout.String(), "\n"), splitListing(listing(t, m.fs, skip))}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("real (-) and native (+) differ:\n%s\nreal stderr: %s\nnative stderr: %s", d, realErrs.String(), stderr.String())
		}
	})
}

// splitListing lets each line of a file stand by itself.
func splitListing(in []string) []string {
	var out []string
	for _, l := range in {
		head, text, _ := strings.Cut(l, ` "`)
		out = append(out, head)
		for line := range strings.SplitSeq(strings.TrimSuffix(text, `"`), `\n`) {
			out = append(out, head[strings.LastIndexByte(head, ' ')+1:]+"\t"+line)
		}
	}
	return out
}

// loadTree is hostTree with the content of files read at once.
func loadTree(t *testing.T, dir string) *rootfs.Tree {
	t.Helper()
	tree := hostTree(t, dir)
	for _, n := range tree.Nodes() {
		if !n.IsRegular() || strings.HasPrefix(n.Path, "/usr/bin/") || strings.HasPrefix(n.Path, "/usr/lib/x86") {
			continue
		}
		b, err := os.ReadFile(dir + n.Path)
		if err != nil {
			t.Fatal(err)
		}
		n.Open = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
	}
	return tree
}
