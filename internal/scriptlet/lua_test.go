package scriptlet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slim/internal/rootfs"
	"slim/internal/rpm"
	"slim/internal/rpmtest"
	"slim/internal/tooltest"
)

// luaTree is a small root: directories end in "/", links have " -> ", what follows a blank is a file's content.
func luaTree(t testing.TB, lines ...string) *FS {
	t.Helper()
	tree, err := rootfs.Build(nil, rootfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		p, content, _ := strings.Cut(line, " ")
		switch {
		case strings.HasPrefix(content, "-> "):
			err = tree.Put(&rootfs.Node{Path: p, Mode: rpm.ModeSymlink | 0o777, Link: content[3:], MTime: 1})
		case strings.HasSuffix(p, "/"):
			err = tree.Put(&rootfs.Node{Path: strings.TrimSuffix(p, "/"), Mode: rpm.ModeDir | 0o755, MTime: 1})
		default:
			err = tree.PutFile(p, 0o644, 1, []byte(content))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return NewFS(tree, func(*rootfs.Node) (io.ReadCloser, error) { return nil, errors.New("no packages here") }, 1700000000)
}

// luaListing has a line for each path: kind and mode, path, content or target.
func luaListing(t testing.TB, f *FS) string {
	t.Helper()
	var b strings.Builder
	for _, n := range f.Tree().Nodes() {
		if n.Path == "/" || strings.HasPrefix(n.Path, "/db") {
			continue
		}
		fmt.Fprintf(&b, "%06o %s", n.Mode, n.Path)
		switch {
		case n.IsSymlink():
			b.WriteString(" -> " + n.Link)
		case n.IsRegular():
			content, err := f.ReadFile("/", n.Path)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, " %q", content)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

type luaAnswer struct {
	Status         int
	Stdout, Stderr string
	Tree           string
	Ran            []string
}

// runs records the commands and answers them: false with 1, missing with 127, touch makes files, cat copies.
func (a *luaAnswer) runs(f *FS) func(context.Context, []string, io.Reader, io.Writer, io.Writer) (int, error) {
	return func(_ context.Context, args []string, stdin io.Reader, stdout, _ io.Writer) (int, error) {
		a.Ran = append(a.Ran, strings.Join(args, " "))
		switch args[0] {
		case "/bin/false":
			return 1, nil
		case "/bin/touch":
			return 0, f.WriteFile("/", args[1], nil, 0o644)
		case "/bin/echo":
			fmt.Fprintln(stdout, strings.Join(args[1:], " "))
		case "/bin/cat":
			_, err := io.Copy(stdout, stdin)
			return 0, err
		case "/bin/sh":
			if args[2] == "exit 3" {
				return 3, nil
			}
			fmt.Fprintln(stdout, args[2])
		case "/bin/missing":
			return 127, nil
		}
		return 0, nil
	}
}

func runLuaTest(t testing.TB, f *FS, body string, args ...string) (luaAnswer, error) {
	t.Helper()
	var a luaAnswer
	var stdout, stderr bytes.Buffer
	status, err := runLua(context.Background(), luaScript{
		Body: body, Chunk: "%post(p-1-1.noarch)", Args: args, FS: f, Host: &Host{Arch: "x86_64", Macros: map[string]string{
			"_install_langs": "de:en", "greeting": "hello %{who}", "who": "world",
		}},
		Files: []string{"/usr/lib/a", "/usr/lib/b"}, Stdout: &stdout, Stderr: &stderr, Run: a.runs(f),
	})
	a.Status, a.Stdout, a.Stderr, a.Tree = status, stdout.String(), stderr.String(), luaListing(t, f)
	return a, err
}

// luaCases are run by rpm as a %post too. They leave traces in the tree and in what they print.
//
// The numbers that rpm's posix returns are floats and print as 2.0, here as 2, so they are compared and not printed.
var luaCases = []struct{ name, body string }{
	{"nothing", ``},
	{"arguments", `print(#arg, arg[1], arg[2], type(arg[2]), arg[3])`},
	{"arguments in a vararg function", `local function f(...) return arg[2], select("#", ...) end print(f(1, 2, 3))`},
	{"mkdir", `print(posix.mkdir("/d") == 0) whole(posix.mkdir("/d")) whole(posix.mkdir("/no/such"))`},
	{"octal", `posix.mkdir("/o") posix.chmod("/o", 0555) posix.mkdir("/p") posix.chmod("/p", 00700) posix.mkdir("/q") posix.chmod("/q", "0711") print(0555, 010 + 1, tonumber("010"))`},
	{"modes", `for i, m in ipairs{"u+x", "go-r", "a=rx", "rw-r-----", "rwsr-xr-x", "4755", "+w", "g+s", "u=rwx,go=rx"} do
  local f = "/m" .. i; io.open(f, "w"):close() posix.chmod(f, m) print(m, posix.stat(f, "mode"))
end
print(pcall(posix.chmod, "/m1", "rwz") == true) print(pcall(posix.chmod, "/m1", "u*x")) whole(posix.chmod("/none", 644))`},
	{"links", `print(posix.symlink("a/b", "/l") == 0, posix.readlink("/l")) whole(posix.symlink("x", "/l")) whole(posix.readlink("/etc")) whole(posix.readlink("/none"))
print(posix.link("/etc/motd", "/etc/motd2") == 0) io.open("/etc/motd2", "a"):write("more\n"):close()`},
	{"stat", `for _, p in ipairs{"/etc", "/etc/motd", "/etc/link"} do local s = posix.stat(p); print(s.type, s.mode) end
whole(posix.stat("/none")) print(posix.stat("/etc/motd", "type")) print(pcall(posix.stat, "/etc/motd", "colour"))
print(posix.stat("/etc/motd").size == 6, posix.stat("/etc/link").size == 4)`},
	{"access", `print(posix.access("/etc") == 0, posix.access("/etc/motd", "r") == 0) whole(posix.access("/none")) whole(posix.access("/etc/motd/x")) whole(posix.access("/etc/motd", "x")) print(pcall(posix.access, "/etc", "q"))`},
	{"access of a dangling link", `posix.symlink("nowhere", "/dangling") whole(posix.access("/dangling")) print(posix.stat("/dangling", "type"))`},
	{"files", `local t = {} for f in posix.files("/etc") do t[#t + 1] = f end table.sort(t) print(table.concat(t, " "))
t = posix.dir("/etc") table.sort(t) print(table.concat(t, " ")) whole(posix.dir("/none")) whole(posix.files("/none"))`},
	{"remove", `print(os.remove("/etc/motd")) print(os.remove("/etc/motd")) print(os.remove("/etc")) whole(posix.unlink("/etc")) whole(posix.rmdir("/etc/link")) posix.mkdir("/e") print(posix.rmdir("/e") == 0)`},
	{"rename", `print(os.rename("/etc/motd", "/etc/issue")) print(os.rename("/etc/motd", "/x")) posix.mkdir("/dir") print(os.rename("/dir", "/etc/issue")) print(os.rename("/etc/issue", "/dir"))`},
	{"empty paths", `print(os.rename("", "/etc/issue")) print(os.rename("/etc/motd", "")) print(os.remove("")) whole(posix.stat("")) whole(posix.mkdir("")) print(io.open("", "w")) whole(posix.symlink("a", "")) whole(posix.mkdir("/")) print(os.rename("/", "/x")) print(os.rename("/etc", "/"))`},
	{"crypto policies", `for _, d in ipairs{"/etc/crypto-policies", "/etc/crypto-policies/state", "/etc/crypto-policies/back-ends", "/usr", "/usr/share", "/usr/share/crypto-policies", "/usr/share/crypto-policies/DEFAULT"} do posix.mkdir(d) end
for _, n in ipairs{"gnutls", "openssl", "nss.d"} do io.open("/usr/share/crypto-policies/DEFAULT/" .. n .. ".txt", "w"):write(n):close() end
if not posix.access("/etc/crypto-policies/config") then
  local policy = "DEFAULT"
  local cf = io.open("/proc/sys/crypto/fips_enabled", "r")
  if cf then if cf:read() == "1" then policy = "FIPS" end cf:close() end
  cf = io.open("/etc/crypto-policies/config", "w") if cf then cf:write(policy.."\n") cf:close() end
  local policypath = "/usr/share/crypto-policies/" .. policy
  for fn in posix.files(policypath) do if fn ~= "." and fn ~= ".." then
    local backend = fn:gsub(".*/", ""):gsub("%..*", "")
    local cfgfn = "/etc/crypto-policies/back-ends/" .. backend .. ".config"
    posix.unlink(cfgfn)
    posix.symlink(policypath .. "/" .. fn, cfgfn)
  end end
end`},
	{"shells", `nl = '\n' sh = '/bin/sh'..nl bash = '/bin/bash'..nl
f = io.open('/etc/shells', 'a+')
if f then
  local shells = nl..f:read('*all')..nl
  if not shells:find(nl..sh) then f:write(sh) end
  if not shells:find(nl..bash) then f:write(bash) end
  f:close()
end
f = io.open('/etc/shells', 'a+') print(f:read('*all'))`},
	{"directory to link", `local path = "/etc/old"
local st = posix.stat(path)
if st and st.type == "directory" then
  local status = os.rename(path, path .. ".rpmmoved")
  if not status then
    local suffix = 0
    while not status do suffix = suffix + 1; status = os.rename(path .. ".rpmmoved", path .. ".rpmmoved." .. suffix) end
    os.rename(path, path .. ".rpmmoved")
  end
end
path = "/etc/link" st = posix.stat(path) if st and st.type == "link" then os.remove(path) end`},
	{"files of lines", `local f = io.open("/etc/lines") for l in f:lines() do print("[" .. l .. "]") end f:close()
for l in io.lines("/etc/lines") do print(l) end print(pcall(io.lines, "/none"))
f = io.open("/etc/lines") print(f:read("*l", "*n", "*a")) print(f:read("*a"), f:read("*l"), f:read(0)) f:close() print(pcall(f.read, f)) print(io.type(f), io.type(1))
f = io.open("/etc/lines") print(f:read(3), f:seek(), f:seek("set", 1), f:read("L"), f:seek("end")) f:close()`},
	{"write", `local f = io.open("/w", "w") print(io.type(f)) f:write("a", 1, 2.5, "\n"):write("b") f:close() f = io.open("/w", "r+") f:write("XY") f:seek("end") f:write("!") f:close()
f = io.open("/w", "a") f:write("end") f:close() print(io.open("/none/x", "w")) print(io.open("/etc", "w")) print(pcall(io.open, "/w", "z")) f = io.open("/w") print(f:write("no")) f:close()`},
	{"read and append", `local f = io.open("/etc/lines", "a+") local s = f:read("*all") print(#s) f:write("more") f:close() f = io.open("/new", "a+") print(f:read("*a") == "", f:read("*l")) f:write("x") f:close()`},
	{"never closed", `io.open("/kept", "w"):write("kept")`},
	{"rename while open", `local f = io.open("/tmpname", "w") f:write("x") os.rename("/tmpname", "/name") f:write("y") f:close()`},
	{"directory opened", `local f = io.open("/etc") print(f ~= nil, f:read("*a"))`},
	{"strings", `print(("abc"):rep(3, "-"), ("%d %5.2f %s %q %x %-4s| %3s %%"):format(3, 2.5, "x", "a\nb", 255, "ab", "c"))
print(("key = value"):match("^(%w+)%s*=%s*(%w+)$")) print(("a.b.c"):gsub("%.", "/")) print(("hello"):find("l"), ("hello"):find("xyz"), ("a+b"):find("+", 1, true))
print(("one two"):gsub("%w+", {one = "1"})) print(("one two"):gsub("%w+", function(w) return w:upper() end)) print(#"\x41\u{20ac}\z
   b", "\65\066\t|")`},
	{"values", `print(nil, true, 1, -3, 1 / 3, 2^0.5, 1e100, "x", tostring(nil), tostring(12)) print(tonumber("0x10"), tonumber("  12  "), tonumber("1e2") == 100, tonumber("z", 36), tonumber("8", 8), tonumber(""), tonumber("1_000"), tonumber("abc"))
print(#{1, 2, 3}, select("#", nil, nil), table.unpack({1, 2}), rawlen({1}), type(print), math.max(1, 5), table.concat({1, 2, "c"}, ","))`},
	{"concatenation", `local t = setmetatable({}, {__concat = function(a, b) return "meta" end}) print("a" .. 1 .. "b" .. 2, "x" .. t, t .. "x" .. "y") print(pcall(function() return #("a" .. nil) end) )`},
	{"errors are caught", `print(pcall(error, "boom")) print(select("#", pcall(error, {})), (pcall(error, {})))  local function f() error("here") end print(pcall(f)) print(pcall(function() posix.mkdir() end)) print(pcall(function() assert(false, "plain") end))
print(pcall(function() os.exit() end)) print(select(2, pcall(error, "lvl", 0))) print(xpcall(function() error("in", 0) end, function(m) return m .. "!" end)) print(pcall(assert, false, "no")) print(pcall(assert, nil))`},
	{"load", `print(load("return 1 + 1")() == 2, load("syntax error here") == nil) local n = 0 print(load(function() n = n + 1 return ({"return ", "'pieces'"})[n] end)()) print(load("return x", "c", "t", {x = "env"})())`},
	{"require", `print(require("posix") == posix, require "os" == os, require "io" == io, require "string" == string, type(package.path)) print(pcall(require, "nosuchmodule") == false)`},
	{"print goes on", `print("a", "b") io.write("c\n") io.stdout:write("d", 1, "\n")`},
	{"time", `print(os.date("%Y-%m-%d", 0), os.time{year = 2024, month = 2, day = 30, hour = 0} == os.time{year = 2024, month = 3, day = 1, hour = 0}, type(os.time()), os.date("!*t", 86399).hour, os.date("!%H:%M:%S %j %a %b", 86399), os.difftime(5, 3) == 2)`},
	{"umask and chdir", `print(posix.umask()) posix.umask(077) posix.mkdir("/private") print(posix.umask()) posix.chdir("/etc") print(posix.getcwd()) posix.mkdir("relative") io.open("file", "w"):close() whole(posix.chdir("/none")) whole(posix.chdir("/etc/motd"))`},
	{"errno", `posix.mkdir("/none/x") local text, number = posix.errno() print(text, number == 2)`},
	{"environment", `posix.setenv("A_VARIABLE", "x") print(posix.getenv("A_VARIABLE"), os.getenv("A_VARIABLE"), os.getenv("NO_SUCH_VARIABLE")) posix.unsetenv("A_VARIABLE") print(posix.getenv("A_VARIABLE"))`},
	{"accounts", `print(posix.getpasswd("daemon", "dir"), posix.getpasswd("daemon").shell, posix.getpasswd("nobodyknows"), posix.getgroup("daemon").name, posix.getgroup("nobodyknows")) posix.chown("/etc/motd", "daemon", "daemon") print(posix.stat("/etc/motd", "uid") == 2, posix.stat("/etc/motd", "gid") == 3)`},
	{"versions", `print(rpm.vercmp("1.0-1", "2.0-1"), rpm.vercmp("1:1", "2"), rpm.vercmp("1~rc", "1"), rpm.vercmp("1", "1")) print(rpm.ver("1:2-3") > rpm.ver("2-3"), rpm.ver("1-2") == rpm.ver("1-2"), rpm.ver("5:1.0-2").v, rpm.ver("1.0").r, tostring(rpm.ver(3, "5a", 1))) print(pcall(rpm.vercmp, "", "1"))`},
	{"base64 and lists", `print(rpm.b64encode("hello"), rpm.b64encode("hello", 0), rpm.b64decode("aGVsbG8="), rpm.b64encode(("x"):rep(60))) print(table.concat(rpm.splitargs("a  b\tc"), "|"), #rpm.splitargs(rpm.unsplitargs({"a b", "c"})))`},
	{"not forked", `print(pcall(posix.exec, "/bin/true")) print(pcall(os.exit, 0)) print(pcall(posix.redirect2null, 1)) whole(posix.wait(-1))`},
	{"bad arguments", `print(pcall(posix.mkdir)) print(pcall(posix.mkdir, {})) print(pcall(io.open)) print(pcall(posix.symlink, "a"))`},
	{"fork without exec", `local pid = posix.fork() if pid == 0 then io.open("/child", "w"):close() else posix.wait(pid) io.open("/parent", "w"):write(tostring(posix.access("/child") == 0)) end`},
	{"upvalues after errors", `local x = 1 local function inc() x = x + 1 end pcall(error, "e") inc() print(x) local ok = pcall(function() posix.mkdir() end) x = 10 inc() print(x, ok)`},
	{"goto and loops", `for i = 1, 3 do if i == 2 then goto next end print(i) ::next:: end local i = 0 repeat i = i + 1 until i > 2 print(i) while true do break end for i = 3, 1, -2 do print(i) end`},
}

// luaWhole prints what a function of posix returned for a failure.
const luaWhole = `io.stdout:setvbuf('no') local function whole(r, text, number) print(r, text, number and string.format("%d", number)) end
`

// luaRoot is what the cases start from.
var luaRoot = []string{
	"/bin/", "/etc/", "/etc/motd hello\n", "/etc/link -> motd", "/etc/lines one\n22 three\nfour", "/etc/old/", "/etc/old/file x",
	"/etc/passwd root:x:0:0:root:/root:/bin/bash\ndaemon:x:2:3:daemon:/sbin:/sbin/nologin\n",
	"/etc/group root:x:0:\ndaemon:x:3:\n",
}

// installLua installs a package with this %post by rpm into a root and returns what it printed.
func installLua(t *testing.T, root, body string) string {
	t.Helper()
	p := rpmtest.Package{Name: "p", Scriptlets: []rpmtest.Scriptlet{{Slot: "post", Program: []string{"<lua>"}, Body: body}}}
	b, err := p.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "p.rpm")
	if err := os.WriteFile(file, b, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("rpm", "--root", root, "--dbpath", "/db", "-i", "--nodeps", "--nosignature", "--noplugins", file)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TZ=UTC", "LC_ALL=C", "HOME=/nonexistent"}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("rpm: %v\n%s", err, stderr.Bytes())
	}
	return stdout.String()
}

// TestLuaLikeRPM installs a package with each case as its %post by rpm itself, and compares what it prints and leaves.
func TestLuaLikeRPM(t *testing.T) {
	tooltest.NeedRoot(t)
	tooltest.Need(t, "rpm")
	for _, c := range luaCases {
		t.Run(c.name, func(t *testing.T) {
			got, err := runLuaTest(t, luaTree(t, luaRoot...), luaWhole+c.body, "1")
			if err != nil {
				t.Fatal(err)
			}
			if got.Stderr != "" && !strings.Contains(c.name, "fork") {
				t.Errorf("stderr: %s", got.Stderr)
			}
			root := filepath.Join(t.TempDir(), "root")
			for _, line := range luaRoot {
				p, content, _ := strings.Cut(line, " ")
				at := filepath.Join(root, p)
				switch {
				case strings.HasSuffix(p, "/"):
					err = os.MkdirAll(at, 0o755)
				case strings.HasPrefix(content, "-> "):
					err = os.Symlink(content[3:], at)
				default:
					err = os.WriteFile(at, []byte(content), 0o644)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			printed := installLua(t, root, luaWhole+c.body)
			if diff := cmp.Diff(printed, got.Stdout); diff != "" {
				t.Errorf("printed (-rpm +slim):\n%s", diff)
			}
			if diff := cmp.Diff(luaListing(t, fsOf(hostTree(t, root))), got.Tree); diff != "" {
				t.Errorf("left (-rpm +slim):\n%s", diff)
			}
		})
	}
}

// luaCommandsLikeRPM runs what calls commands, in the real distribution.
func luaCommandsLikeRPM(t *testing.T, root string) {
	body := luaWhole + `print(os.execute("exit 3")) print(os.execute("true")) print(os.execute())
local p = io.popen("echo a; echo b; exit 2") print(p:read("*l")) print(p:read("*a")) print(p:close())
p = io.popen("cat >&2; exit 1", "w") p:write("to the pipe\n") print(p:close())
local pid = posix.fork() if pid == 0 then posix.exec("/bin/echo", "from", "the child") else print(posix.wait(pid) == pid) whole(posix.wait(pid)) end
pid = posix.fork() if pid == 0 then posix.redirect2null(1) posix.exec("/bin/echo", "silent") os.exit(127) elseif pid > 0 then posix.wait(pid) end
pid = posix.fork() if pid == 0 then whole(posix.exec("/bin/nosuchprogram")) os.exit(127) else posix.wait(pid) end
local n = 0
for i = 1, 3 do n = n + 1 local pid = posix.fork() if pid == 0 then posix.exec("echo", "child", tostring(i), tostring(n)) else posix.wait(pid) end end print(n)
pid = posix.fork() if pid == 0 then pcall(function() posix.exec("/bin/echo", "exec in pcall") end) print("not reached") os.exit(0) else posix.wait(pid) end
print(rpm.execute("/bin/true") == 0, (rpm.execute("/bin/false")), (rpm.execute("/bin/nosuchprogram")))
posix.setenv("A_VARIABLE", "of the script") posix.chdir("/etc") posix.umask("rwx------") print(os.execute("echo $A_VARIABLE; pwd; umask"))
`
	chroot := func(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
		cmd := exec.CommandContext(ctx, "chroot", append([]string{root}, args...)...)
		cmd.Env = []string{"PATH=/sbin:/bin:/usr/sbin:/usr/bin"}
		cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, io.Discard
		var status *exec.ExitError
		err := cmd.Run()
		if errors.As(err, &status) {
			return status.ExitCode(), nil
		}
		return 0, err
	}
	var got, stderr bytes.Buffer
	status, err := runLua(context.Background(), luaScript{
		Body: body, Chunk: "p", Args: []string{"1"},
		FS: fsOf(hostTree(t, root)), Host: &Host{}, Stdout: &got, Stderr: &stderr, Run: chroot,
	})
	if status != 0 || err != nil {
		t.Fatalf("%d, %v, %s", status, err, stderr.Bytes())
	}
	want := installLua(t, root, body)
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("printed (-rpm +slim):\n%s", diff)
	}
}

// TestLuaFork shows that nothing before a fork happens twice and that commands run where they stand.
func TestLuaFork(t *testing.T) {
	got, err := runLuaTest(t, luaTree(t, luaRoot...), `
io.open("/log", "a"):write("1"):close()
print("before")
for i = 1, 2 do
  local pid = posix.fork()
  if pid == 0 then
    posix.exec("/bin/touch", "/made" .. i)
  end
  posix.wait(pid)
  print(i, posix.access("/made" .. i) == 0)
  local f = io.open("/log", "a") f:write("+") f:close()
end
for name in posix.files("/bin") do end
print(#io.open("/log"):read("*a"))`)
	if err != nil || got.Status != 0 || got.Stderr != "" {
		t.Fatalf("%d, %v, %s", got.Status, err, got.Stderr)
	}
	if diff := cmp.Diff("before\n1\ttrue\n2\ttrue\n3\n", got.Stdout); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"/bin/touch /made1", "/bin/touch /made2"}, got.Ran); diff != "" {
		t.Error(diff)
	}
}

func TestLuaErrors(t *testing.T) {
	for _, c := range []struct{ name, body, stderr string }{
		{"raised", "\nerror('no, not this way')", "error: lua script failed: [string \"%post(p-1-1.noarch)\"]:2: no, not this way\n"},
		{"no text", "error({})", "error: lua script failed: (error object is a table value)\n"},
		{"nil called", "nosuch()", "error: lua script failed: [string \"%post(p-1-1.noarch)\"]:1: attempt to call a non-function object\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := runLuaTest(t, luaTree(t), c.body, "1")
			if err != nil || got.Status != 1 || got.Stderr != c.stderr {
				t.Errorf("got %d, %v, %q", got.Status, err, got.Stderr)
			}
		})
	}
}

// TestLuaStops shows that what must stop the build does so whatever the script makes of it.
func TestLuaStops(t *testing.T) {
	for name, body := range map[string]string{
		"endless loop":                "while true do end",
		"endless loop in pcall":       "while true do pcall(function() while true do end end) end",
		"endless recursion of pcall":  "local function f() pcall(f) while true do end end f()",
		"string that doubles":         "local s = 'x' while true do s = s .. s end",
		"rep":                         "pcall(string.rep, 'x', 1e10)",
		"gsub":                        "local s = ('x'):rep(1e5) pcall(string.gsub, s, '.', s)",
		"gsub by a function":          "local s = ('x'):rep(1e5) pcall(string.gsub, s, '.', function() return s end)",
		"format":                      "local s = ('x'):rep(6e7) pcall(string.format, '%s%s', s, s)",
		"table.concat":                "local s = ('x'):rep(6e7) pcall(table.concat, {s, s})",
		"forks":                       "while true do if posix.fork() == 0 then os.exit(0) end end",
		"random numbers":              "pcall(math.random)",
		"random file":                 "pcall(io.open, '/dev/urandom')",
		"temporary file":              "pcall(os.tmpname)",
		"integer division":            "return 7 // 2",
		"bit operators":               "return 1 << 4",
		"coroutine":                   "pcall(function() coroutine.create(print) end)",
		"new pattern":                 "pcall(string.find, 'x', '%f[%w]')",
		"macro that runs a program":   "pcall(rpm.expand, '%(id)')",
		"macro that is defined":       "pcall(rpm.define, 'x y')",
		"unsupported, error ignored":  "pcall(function() posix.kill(1) end) error('another')",
		"long text":                   strings.Repeat("x = 1\n", 100000),
		"signal by another's process": "posix.kill(1, 9)",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := runLuaTest(t, luaTree(t), body, "1")
			var limit *Limit
			var unsupported *Unsupported
			if !errors.As(err, &limit) && !errors.As(err, &unsupported) {
				t.Errorf("error is %v", err)
			}
		})
	}
	t.Run("canceled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := runLua(ctx, luaScript{Body: "while true do end", FS: luaTree(t), Host: &Host{}})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v", err)
		}
	})
}

// TestLuaDeepRecursion is an error that the script can catch, as in Lua.
func TestLuaDeepRecursion(t *testing.T) {
	for name, body := range map[string]string{
		"function": "local function f() return 1 + f() end print((pcall(f)))",
		"pcall":    "local function f() local ok = pcall(f) return ok end f() print('false')",
		"meta":     "local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k .. 'x'] end print((pcall(function() return t.x end)))",
		"concat":   "print((pcall(load, ('x = ' .. ('a..'):rep(20000) .. 'a')) == false))",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := runLuaTest(t, luaTree(t), body)
			if err != nil || got.Stdout != "false\n" {
				t.Errorf("%q, %v, %s", got.Stdout, err, got.Stderr)
			}
		})
	}
}

// TestLuaSeesNothingOfTheMachine looks for the machine by all ways that stock Lua has to it.
func TestLuaSeesNothingOfTheMachine(t *testing.T) {
	here, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("LUA_PATH", filepath.Dir(here)+"/?.lua")
	module := filepath.Join(t.TempDir(), "module.lua")
	if err := os.WriteFile(module, []byte("return 'loaded'"), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := runLuaTest(t, luaTree(t, "/etc/"), fmt.Sprintf(`local here, module = %q, %q
print(io.open(here), posix.stat(here), posix.access(here), io.open("/proc/self/environ"), io.open("/etc/passwd"), posix.dir("/proc"))
print(os.getenv("HOME"), os.getenv("LUA_PATH"), os.getenv("PATH"), posix.getenv("USER"), posix.getcwd(), posix.getpasswd("root"))
print(loadfile(module), pcall(dofile, module) == false, pcall(require, "module") == false, package.path, package.cpath, package.loadlib)
print(os.time(), os.date(), os.clock(), posix.uname(), posix.getprocessid("uid"), posix.getprocessid("pid"))
print(_G.module, debug.getinfo == nil, newproxy, getfenv)`, here, module))
	want := `nil	nil	nil	nil	nil	nil	/proc: No such file or directory	2
nil	nil	/sbin:/bin:/usr/sbin:/usr/bin:/usr/X11R6/bin	nil	/	nil
nil	true	true	/usr/lib/rpm/lua/?.lua		nil
1700000000	Tue Nov 14 22:13:20 2023	0	Linux localhost 6.12.0 #1 SMP x86_64	0	1
`
	if got.Stdout != want {
		t.Errorf("printed (-want +got):\n%s", cmp.Diff(want, got.Stdout))
	}
	var unsupported *Unsupported
	if !errors.As(err, &unsupported) || !strings.Contains(err.Error(), "debug.getinfo") {
		t.Errorf("error is %v", err)
	}
}

func TestLuaModules(t *testing.T) {
	f := luaTree(t, "/usr/lib/rpm/lua/one.lua local n = ... return {name = n, up = posix.access('/etc')}", "/opt/two.lua x = 'loaded' .. x",
		"/opt/broken.lua return = 1")
	got, err := runLuaTest(t, f, `x = "!" package.path = package.path .. ";/opt/?.lua"
print(require("one").name, require("one") == require("one"), require "two", x) print(dofile("/opt/two.lua"), x)
print(pcall(require, "broken")) print(select(2, pcall(require, "three")))
if posix.fork() == 0 then os.exit(0) end print(require("one").name)`)
	if err != nil {
		t.Fatal(err)
	}
	want := "one\ttrue\ttrue\tloaded!\nnil\tloadedloaded!\nfalse\terror loading module 'broken' from file '/opt/broken.lua':"
	if !strings.HasPrefix(got.Stdout, want) || !strings.HasSuffix(got.Stdout, "\n\tno file '/opt/three.lua'\none\n") {
		t.Errorf("printed %q, %s", got.Stdout, got.Stderr)
	}
}

func TestLuaFilesAndCommands(t *testing.T) {
	got, err := runLuaTest(t, luaTree(t, "/etc/", "/dev/", "/a/b1/", "/a/b2/c x", "/a/.hidden/c x"), `
local f = rpm.next_file() while f do print(f) f = rpm.next_file() end
print(table.concat(rpm.glob("/a/*/c"), " "), #rpm.glob("/x*"), table.concat(rpm.glob("/x*", "c"), " "), table.concat(rpm.glob("/a/b[12]"), " "))
print(rpm.spawn({"/bin/echo", "x"}, {stdout = "/etc/out"}), rpm.spawn({"/bin/echo", "y"}, {stdout = "/etc/out", stderr = "/dev/null"}), io.open("/etc/out"):read("*a"))
print(rpm.spawn({"/bin/cat"}, {stdin = "/etc/out"})) print(rpm.spawn({"/bin/false"})) print(rpm.spawn({"/bin/missing"})) print(pcall(rpm.spawn, {}))
print(rpm.execute("/bin/false")) print(rpm.expand("%{_install_langs}|%greeting|%{?nope}%{!?nope:no}%{?who:[%{who}]}|%{nope}|100%%"), macros.who, macros.nope, rpm.isdefined("who"))
local fd = rpm.open("/etc/fd", "w") fd:write("abc") fd:seek("set", 1) fd:write("X") fd:close() fd = rpm.open("/etc/fd") print(fd:read(2), fd:read()) fd:close() print(pcall(rpm.open, "/none"))
`, "1", "2")
	if err != nil || got.Stderr != "" {
		t.Fatalf("%v, %s", err, got.Stderr)
	}
	if diff := cmp.Diff(luaFilesAndCommands, got.Stdout); diff != "" {
		t.Error(diff)
	}
}

const luaFilesAndCommands = `/usr/lib/a
/usr/lib/b
/a/b2/c	0	/x*	/a/b1 /a/b2
0	0	x
y

x
y
0
nil	exit code	1
nil	No such file or directory	2
false	command not supplied
nil	exit code	1
de:en|hello world|no[world]|%{nope}|100%	world	nil	true	false
aX	c
false	/none open failed: No such file or directory
`

func FuzzLua(f *testing.F) {
	for _, c := range luaCases {
		f.Add(c.body)
	}
	f.Add("local s = 'x' for i = 1, 40 do s = s .. s end")
	f.Add("return ('x'):rep(100):find(('a*'):rep(20))")
	f.Fuzz(func(t *testing.T, body string) {
		ctx, cancel := context.WithTimeout(context.Background(), 2e9)
		defer cancel()
		_, err := runLua(ctx, luaScript{
			Body: body, FS: luaTree(t, luaRoot...), Host: &Host{}, Stdout: io.Discard, Stderr: io.Discard,
			Run: func(context.Context, []string, io.Reader, io.Writer, io.Writer) (int, error) { return 0, nil },
		})
		_ = err // whatever it is: it ends, and does not panic
	})
}

func FuzzExpandMacros(f *testing.F) {
	for _, s := range []string{"%{a}", "%{?a:%{b}}", "%%", "%", "%{", "%{!?!a:x}", "%a%b", "%{expand:%%a}", "%(x)", "%[1]", "%{a b}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		out, err := expandMacros(text, map[string]string{"a": "%{b}%{b}", "b": text, "c": "%{c}"})
		if err == nil && len(out) > maxMacroSize {
			t.Errorf("%d bytes", len(out))
		}
	})
}
