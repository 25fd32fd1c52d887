package scriptlet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// The bounds of one <lua> scriptlet, beside those of a shell one.
const (
	maxLuaCalls     = 200       // functions within each other
	maxLuaProtected = 100       // calls of pcall within each other
	maxLuaValues    = 256 << 10 // values in the registers of these
	maxLuaForks     = 64        // processes made by posix.fork
	maxLuaString    = 64 << 20  // bytes of a string that is made of others
)

// luaScript is one <lua> scriptlet and what it runs in.
type luaScript struct {
	Body   string
	Chunk  string   // package and slot, for errors
	Args   []string // $1 and $2: counts
	Files  []string // what rpm.next_file hands out
	FS     *FS
	Host   *Host
	Stdout io.Writer
	Stderr io.Writer
	// Run calls a command: args[0] is looked up as the shell does it.
	Run func(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (int, error)
}

// runLua runs one <lua> scriptlet as rpm's own interpreter does: rpmio/rpmlua.cc, rpmio/lposix.cc, lib/rpmscript.cc. The
// status is 1 when the script raised an error, which rpm prints and which went to Stderr. The error is for what must
// stop the build whatever the script makes of it: no pcall catches it.
func runLua(ctx context.Context, s luaScript) (status int, err error) {
	r := &luaRun{ctx: ctx, s: s, lastPID: 1}
	r.stdin, r.stdout, r.stderr = &luaFile{name: "stdin", readable: true}, &luaFile{name: "stdout"}, &luaFile{name: "stderr"}
	root := &luaProcess{cwd: "/", umask: 0o022, pid: 1, env: map[string]string{
		"PATH": "/sbin:/bin:/usr/sbin:/usr/bin:/usr/X11R6/bin",
	}}
	for r.waiting = []*luaProcess{root}; len(r.waiting) > 0 && r.fatal == nil; {
		p := r.waiting[len(r.waiting)-1]
		r.waiting = r.waiting[:len(r.waiting)-1]
		status = r.run(p)
	}
	if r.fatal == nil {
		r.fatal = r.flush()
	}
	if r.fatal == nil {
		r.fatal = s.FS.refused
	}
	if r.fatal != nil {
		return 1, &atLine{r.line, r.fatal}
	}
	return status, nil
}

// atLine is an error at a line of the script, 0 where it is not known.
type atLine struct {
	line int
	err  error
}

func (a *atLine) Error() string { return a.err.Error() }

func (a *atLine) Unwrap() error { return a.err }

// luaRun is what all processes of a scriptlet share.
//
// A Lua state cannot be copied, so posix.fork goes another way: the process becomes its own child at once, and when
// that has ended the parent is run again from the start of the text, in a new state. Everything a script sees comes from
// the calls in its process's log, so the parent is handed what they returned before and nothing happens twice.
type luaRun struct {
	ctx     context.Context
	s       luaScript
	steps   int64
	waiting []*luaProcess // parents, the youngest last
	forks   int
	lastPID int
	next    int // file that rpm.next_file hands out next
	open    []*luaFile
	stdin   *luaFile
	stdout  *luaFile
	stderr  *luaFile
	fatal   error // what has to end all
	line    int   // where it happened
}

// luaProcess is what a fork copies.
type luaProcess struct {
	log      []luaResult
	cwd      string
	umask    uint32
	env      map[string]string
	closed   [3]bool // standard streams that go to /dev/null
	pid      int
	forked   bool
	children []int
	errno    int
}

// luaResult is what one call of a function of ours returned.
type luaResult struct {
	values []any
	raised string // the error it raised, "" without one
}

// luaMachine is one state running one process.
type luaMachine struct {
	*luaRun
	p      *luaProcess
	state  *lua.LState
	at     int // of the process's log
	ended  bool
	status int
	depth  int                // of pcall
	names  map[lua.LValue]int // tables and functions that were printed
}

// run runs a process to its end, or the child that it turned into.
func (r *luaRun) run(p *luaProcess) int {
	m := &luaMachine{luaRun: r, p: p, names: map[lua.LValue]int{}}
	m.state = lua.NewState(lua.Options{
		SkipOpenLibs: true, CallStackSize: maxLuaCalls, MinimizeStackMemory: true,
		RegistrySize: 4 << 10, RegistryMaxSize: maxLuaValues, RegistryGrowStep: 4 << 10,
	})
	defer m.state.Close()
	m.state.SetContext(&luaClock{Context: r.ctx, m: m})
	m.openLibraries()
	err := m.chunk()
	if r.fatal != nil {
		return 1
	}
	if m.ended {
		return m.status
	}
	if err != nil {
		m.print(2, "error: lua script failed: "+err.Error()+"\n")
	}
	if m.p.forked {
		m.print(2, "error: No exec() called after fork() in lua scriptlet\n")
	}
	if err != nil || m.p.forked {
		return 1
	}
	return 0
}

// chunk runs the text the way rpm does: its arguments are strings in a table arg, after "<lua>", and made numbers.
func (m *luaMachine) chunk() error {
	prefix := "local opt, arg = ...;"
	for i := range m.s.Args {
		prefix += fmt.Sprintf("arg[%d] = tonumber(arg[%d]);", i+2, i+2)
	}
	proto, err := compileLua(prefix+m.s.Body, m.chunkName())
	if err != nil {
		var limit *Limit
		if !errors.As(err, &limit) {
			err = &Unsupported{"<lua>", "reading the script: " + strings.TrimSpace(err.Error())}
		}
		m.fail(err)
		return nil
	}
	arg := m.state.NewTable()
	arg.Append(lua.LString("<lua>"))
	for _, a := range m.s.Args {
		arg.Append(lua.LString(a))
	}
	err = m.state.CallByParam(lua.P{Fn: m.state.NewFunctionFromProto(proto), Protect: true}, m.state.NewTable(), arg)
	var raised *lua.ApiError
	if errors.As(err, &raised) {
		switch v := raised.Object.(type) {
		case lua.LString, lua.LNumber:
			return errors.New(m.text(v))
		case *lua.LNilType:
			return errors.New("nil")
		default:
			if raised.Type == lua.ApiErrorRun && raised.Object != nil {
				return fmt.Errorf("(error object is a %s value)", raised.Object.Type())
			}
		}
	}
	return err
}

// fail ends everything. end ends the process.
func (m *luaMachine) fail(err error) {
	if m.fatal == nil {
		m.fatal, m.line = err, m.currentLine()
	}
	m.ended = true
}

// currentLine is the line of the script that is being run, of its innermost function.
func (m *luaMachine) currentLine() int {
	for level := 0; ; level++ {
		d, ok := m.state.GetStack(level)
		if !ok {
			return 0
		}
		if _, err := m.state.GetInfo("Sl", d, lua.LNil); err == nil && d.CurrentLine > 0 && d.Source == m.chunkName() {
			return d.CurrentLine
		}
	}
}

func (m *luaMachine) chunkName() string { return `[string "` + m.s.Chunk + `"]` }

func (m *luaMachine) end(status int) { m.ended, m.status = true, status }

func (m *luaMachine) unsupported(what string) {
	m.fail(&Unsupported{"<lua>", what + " is not known here"})
}

// luaClock is the context of a state, which asks it before each instruction whether to go on. So it counts them, and
// once the process has ended every further instruction is an error: no pcall gets over it.
type luaClock struct {
	context.Context
	m *luaMachine
}

func (c *luaClock) Done() <-chan struct{} {
	r := c.m.luaRun
	if r.steps++; r.steps > MaxSteps {
		c.m.fail(&Limit{fmt.Sprintf("%d steps", MaxSteps)})
	} else if r.steps&1023 == 0 && c.Context.Err() != nil {
		c.m.fail(c.Context.Err())
	}
	if !c.m.ended {
		return nil
	}
	done := make(chan struct{})
	close(done)
	return done
}

func (c *luaClock) Err() error {
	if c.m.ended {
		return errors.New("ended")
	}
	return nil
}

// luaFunc is a function for scripts: it sees its arguments through the call and returns nil, bool, int, int64, float64,
// string, []string, luaTable, luaFunc, *luaFile or a luaObject. It raises an error by calling raise.
type luaFunc func(c *luaCall) []any

// luaTable is a table whose keys are strings or numbers, in this order.
type luaTable []luaField

type luaField struct{ key, value any }

// luaObject is a value of a type of our own, with this name of its metatable.
type luaObject interface{ luaType() string }

// luaCall is one call of a function of ours.
type luaCall struct {
	*luaMachine
	name   string // with its library's: posix.mkdir
	args   []lua.LValue
	direct bool // called by Lua, not by pcall and its like
}

// luaRaised is an error on its way out of a luaFunc.
type luaRaised struct{ message string }

func (c *luaCall) raise(format string, args ...any) {
	panic(luaRaised{fmt.Sprintf(format, args...)})
}

// function makes a function that a script can call. Its results are logged, or taken from the log.
func (m *luaMachine) function(name string, f luaFunc) *lua.LFunction {
	return m.state.NewFunction(func(L *lua.LState) int {
		if m.ended {
			L.RaiseError("ended")
		}
		var r luaResult
		if m.at < len(m.p.log) {
			r = m.p.log[m.at]
		} else {
			args := make([]lua.LValue, L.GetTop())
			for i := range args {
				args[i] = L.Get(i + 1)
			}
			r = callLua(f, &luaCall{m, name, args, calledByLua(L)})
			if m.ended {
				L.RaiseError("ended")
			}
			m.p.log = append(m.p.log, r)
		}
		m.at++
		if r.raised != "" {
			raiseLua(L, "%s", r.raised)
		}
		for _, v := range r.values {
			L.Push(m.value(v))
		}
		return len(r.values)
	})
}

// calledByLua reports whether the running function was called by a Lua function.
func calledByLua(L *lua.LState) bool {
	d, ok := L.GetStack(1)
	if !ok {
		return false
	}
	_, err := L.GetInfo("S", d, lua.LNil)
	return err == nil && d.What != "G"
}

// raiseLua raises an error, with its place in the script when a Lua function called.
func raiseLua(L *lua.LState, format string, args ...any) {
	message, where := fmt.Sprintf(format, args...), ""
	if calledByLua(L) {
		where = L.Where(1) + " "
	}
	L.Error(lua.LString(where+message), 0)
}

func callLua(f luaFunc, c *luaCall) (r luaResult) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case luaRaised:
			r = luaResult{raised: v.message}
		default:
			panic(v)
		}
	}()
	return luaResult{values: f(c)}
}

// value is a Go value as this state has it.
func (m *luaMachine) value(v any) lua.LValue {
	switch v := v.(type) {
	case nil:
		return lua.LNil
	case bool:
		return lua.LBool(v)
	case int:
		return lua.LNumber(v)
	case int64:
		return lua.LNumber(v)
	case float64:
		return lua.LNumber(v)
	case string:
		return lua.LString(v)
	case []string:
		t := m.state.NewTable()
		for _, s := range v {
			t.Append(lua.LString(s))
		}
		return t
	case luaTable:
		t := m.state.NewTable()
		for _, f := range v {
			t.RawSet(m.value(f.key), m.value(f.value))
		}
		return t
	case luaFunc:
		return m.function("iterator", v)
	case luaObject:
		u := m.state.NewUserData()
		u.Value = v
		u.Metatable = m.state.GetTypeMetatable(v.luaType())
		return u
	}
	panic(fmt.Sprintf("no Lua value for %T", v))
}

func (c *luaCall) arg(i int) lua.LValue {
	if i > len(c.args) {
		return lua.LNil
	}
	return c.args[i-1]
}

func (c *luaCall) none(i int) bool { return i > len(c.args) }

func (c *luaCall) badArgument(i int, message string) {
	name := c.name
	if c.direct {
		name = name[strings.LastIndexByte(name, '.')+1:]
	}
	c.raise("bad argument #%d to '%s' (%s)", i, name, message)
}

func (c *luaCall) wrongType(i int, want string) {
	got := "no value"
	if !c.none(i) {
		got = c.arg(i).Type().String()
	}
	c.badArgument(i, want+" expected, got "+got)
}

func (c *luaCall) str(i int) string {
	switch v := c.arg(i).(type) {
	case lua.LString:
		return string(v)
	case lua.LNumber:
		return luaNumber(float64(v))
	}
	c.wrongType(i, "string")
	return ""
}

func (c *luaCall) optStr(i int, otherwise string) string {
	if c.arg(i) == lua.LNil {
		return otherwise
	}
	return c.str(i)
}

func (c *luaCall) num(i int) float64 {
	switch v := c.arg(i).(type) {
	case lua.LNumber:
		return float64(v)
	case lua.LString:
		if n, ok := parseLuaNumber(string(v)); ok {
			return n
		}
	}
	c.wrongType(i, "number")
	return 0
}

func (c *luaCall) integer(i int) int64 {
	n := c.num(i)
	if n != math.Trunc(n) || math.Abs(n) > 1<<62 {
		c.badArgument(i, "number has no integer representation")
	}
	return int64(n)
}

func (c *luaCall) optInteger(i int, otherwise int64) int64 {
	if c.arg(i) == lua.LNil {
		return otherwise
	}
	return c.integer(i)
}

func (c *luaCall) table(i int) *lua.LTable {
	t, ok := c.arg(i).(*lua.LTable)
	if !ok {
		c.wrongType(i, "table")
	}
	return t
}

// strings are the values of a sequence, numbers made strings.
func (c *luaCall) strings(t *lua.LTable) []string {
	var out []string
	for i := 1; i <= t.Len(); i++ {
		switch v := t.RawGetInt(i).(type) {
		case lua.LString:
			out = append(out, string(v))
		case lua.LNumber:
			out = append(out, luaNumber(float64(v)))
		default:
			c.raise("bad argument #-1 to '%s' (string expected, got %s)", c.name, v.Type())
		}
	}
	return out
}

// text is what tostring makes of a value without a metatable. Addresses are none: things are numbered as they come.
func (m *luaMachine) text(v lua.LValue) string {
	switch v := v.(type) {
	case lua.LNumber:
		return luaNumber(float64(v))
	case *lua.LTable, *lua.LFunction, *lua.LUserData, *lua.LState:
		if u, ok := v.(*lua.LUserData); ok {
			if s, ok := u.Value.(fmt.Stringer); ok {
				return s.String()
			}
		}
		n, ok := m.names[v]
		if !ok {
			n = len(m.names) + 1
			m.names[v] = n
		}
		return fmt.Sprintf("%s: 0x%08x", v.Type(), n)
	}
	return v.String()
}

// luaNumber writes a number: whole ones as integers, others with 14 digits.
func luaNumber(n float64) string {
	if n == math.Trunc(n) && math.Abs(n) < 1<<63 {
		return strconv.FormatInt(int64(n), 10)
	}
	if math.IsInf(n, 0) || math.IsNaN(n) {
		return strings.ToLower(strings.TrimPrefix(fmt.Sprint(n), "+"))
	}
	return formatG(n, 14)
}

// parseLuaNumber reads a number as Lua does: decimal unless it starts with 0x.
func parseLuaNumber(s string) (float64, bool) {
	s = strings.Trim(s, " \t\n\v\f\r")
	digits := strings.TrimLeft(s, "+-")
	if len(s)-len(digits) > 1 || digits == "" || strings.ContainsAny(digits, "_nNpP") {
		return 0, false
	}
	if len(digits) > 1 && (digits[:2] == "0x" || digits[:2] == "0X") {
		n, err := strconv.ParseUint(digits[2:], 16, 64)
		if err != nil {
			return 0, false
		}
		if s[0] == '-' {
			return -float64(n), true
		}
		return float64(n), true
	}
	n, err := strconv.ParseFloat(s, 64)
	return n, err == nil || errors.Is(err, strconv.ErrRange)
}

// print writes to the process's standard output or error.
func (m *luaMachine) print(fd int, s string) {
	f := m.stream(fd)
	if f == nil {
		return
	}
	if _, err := io.WriteString(f, s); err != nil {
		m.fail(fmt.Errorf("writing what the script prints: %w", err))
	}
}

// stream is where a process writes, nil for nowhere.
func (m *luaMachine) stream(fd int) io.Writer {
	if m.p.closed[fd] {
		return nil
	}
	if fd == 2 {
		return m.s.Stderr
	}
	return m.s.Stdout
}

// fork makes the process its own child. The parent waits for its turn.
func (c *luaCall) fork() []any {
	if c.forks++; c.forks > maxLuaForks {
		c.fail(&Limit{fmt.Sprintf("%d processes", maxLuaForks)})
		return nil
	}
	c.lastPID++
	child := c.lastPID
	parent := *c.p
	parent.env = maps.Clone(parent.env)
	parent.children = append(slices.Clone(parent.children), child)
	parent.log = append(slices.Clone(parent.log), luaResult{values: []any{child}})
	c.waiting = append(c.waiting, &parent)
	c.p.pid, c.p.forked, c.p.children = child, true, nil
	return []any{0}
}

// command runs a command from where the process is.
func (c *luaCall) command(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if err := c.flush(); err != nil {
		c.fail(err)
		return 1
	}
	if c.p.umask != 0o022 || c.p.cwd != "/" || c.environmentChanged() {
		script := "cd \"$1\" && umask \"$2\" && shift 2 && \"$@\""
		shell := []string{"sh", "-c", script, "sh", c.p.cwd, fmt.Sprintf("%04o", c.p.umask)}
		if c.environmentChanged() {
			shell = append(shell, "env")
			for _, name := range slices.Sorted(maps.Keys(c.p.env)) {
				shell = append(shell, name+"="+c.p.env[name])
			}
		}
		args = append(shell, args...)
	}
	discard := func(w io.Writer) io.Writer {
		if w == nil {
			return io.Discard
		}
		return w
	}
	status, err := c.s.Run(c.ctx, args, stdin, discard(stdout), discard(stderr))
	if err != nil {
		c.fail(err)
	}
	return status
}

func (c *luaCall) environmentChanged() bool { return len(c.p.env) != 1 || c.p.env["PATH"] == "" }

// found tells what execve(2) would not find. A status of 127 alone does not say it: a shell may have returned it.
func (c *luaCall) missing(name string, status int) bool {
	return status == 127 && (!strings.Contains(name, "/") || !c.s.FS.Exists(c.p.cwd, name))
}

// exec ends the process with what a command returns; it returns when there is no such command.
func (c *luaCall) exec() []any {
	args := []string{c.str(1)}
	for i := 2; i <= len(c.args); i++ {
		args = append(args, c.str(i))
	}
	if !c.p.forked {
		c.raise("exec not permitted in this context")
	}
	var stderr bytes.Buffer
	status := c.command(args, strings.NewReader(""), c.stream(1), io.MultiWriter(&stderr))
	if c.fatal != nil {
		return nil
	}
	if c.missing(args[0], status) {
		return c.failed(args[0], fs.ErrNotExist)
	}
	c.print(2, stderr.String())
	c.end(status)
	return nil
}

// flush writes what scripts wrote to files that they have not closed yet.
func (r *luaRun) flush() error {
	for _, f := range r.open {
		if err := f.flush(); err != nil {
			return err
		}
	}
	return nil
}
