package scriptlet

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// openLibraries gives a state what rpm's has: the libraries of Lua 5.4 that can be had, without those that reach the
// machine, and rpm's own.
func (m *luaMachine) openLibraries() {
	L := m.state
	for _, open := range []lua.LGFunction{lua.OpenBase, lua.OpenTable, lua.OpenString, lua.OpenMath} {
		L.Push(L.NewFunction(open))
		L.Call(0, 0)
	}
	loaded := L.NewTable()
	for _, name := range []string{"string", "table", "math", "_G"} {
		loaded.RawSetString(name, L.GetGlobal(name))
	}
	libraries := map[string]map[string]luaFunc{
		"io": ioLibrary(), "os": osLibrary(), "posix": posixLibrary(), "rpm": rpmLibrary(),
	}
	for _, name := range sortedKeys(libraries) {
		t := m.library(L.NewTable(), name+".", libraries[name])
		L.SetGlobal(name, t)
		loaded.RawSetString(name, t)
	}
	posix := L.GetGlobal("posix").(*lua.LTable)
	posix.RawSetString("version", lua.LString("posix library for Lua 5.4 / Nov 2003"))
	m.openTypes()
	m.openStreams()
	m.openBase()
	m.openStrings()
	for _, name := range []string{"coroutine", "debug", "utf8"} {
		t := L.NewTable()
		meta := L.NewTable()
		meta.RawSetString("__index", m.function("index", func(c *luaCall) []any {
			return luaMissing(name + "." + c.arg(2).String())(c)
		}))
		t.Metatable = meta
		L.SetGlobal(name, t)
		loaded.RawSetString(name, t)
	}
	macros, meta := L.NewTable(), L.NewTable()
	meta.RawSetString("__index", m.function("index", macrosTable))
	meta.RawSetString("__newindex", m.function("newindex", luaMissing("defining a macro")))
	macros.Metatable = meta
	L.SetGlobal("macros", macros)
	pkg := L.NewTable()
	pkg.RawSetString("loaded", loaded)
	pkg.RawSetString("preload", L.NewTable())
	pkg.RawSetString("path", lua.LString("/usr/lib/rpm/lua/?.lua"))
	pkg.RawSetString("cpath", lua.LString(""))
	pkg.RawSetString("config", lua.LString("/\n;\n?\n!\n-\n"))
	L.SetGlobal("package", pkg)
	loaded.RawSetString("package", pkg)
}

// library puts functions into a table; prefix is what their names in messages begin with.
func (m *luaMachine) library(t *lua.LTable, prefix string, lib map[string]luaFunc) *lua.LTable {
	for _, name := range sortedKeys(lib) { // the order in which a script sees them
		t.RawSetString(name, m.function(prefix+name, lib[name]))
	}
	return t
}

func (m *luaMachine) openTypes() {
	for name, methods := range map[string]map[string]luaFunc{"FILE*": fileMethods(), "rpm.fd": fdMethods(), "rpm.ver": versionMethods()} {
		t := m.library(m.state.NewTypeMetatable(name), "", methods)
		if name != "rpm.ver" {
			t.RawSetString("__index", t)
		}
		t.RawSetString("__tostring", m.state.NewFunction(func(L *lua.LState) int {
			L.Push(lua.LString(m.text(L.Get(1))))
			return 1
		}))
	}
}

func (m *luaMachine) openStreams() {
	io := m.state.GetGlobal("io").(*lua.LTable)
	io.RawSetString("stdin", m.value(m.stdin))
	io.RawSetString("stdout", m.value(m.stdout))
	io.RawSetString("stderr", m.value(m.stderr))
}

// tostring is the text of any value, by its __tostring if it has one.
func (m *luaMachine) tostring(L *lua.LState, v lua.LValue) string {
	if f, ok := L.GetMetaField(v, "__tostring").(*lua.LFunction); ok {
		L.Push(f)
		L.Push(v)
		L.Call(1, 1)
		s := L.Get(-1)
		L.Pop(1)
		if text, ok := s.(lua.LString); ok {
			return string(text)
		}
		raiseLua(L, "'__tostring' must return a string")
	}
	return m.text(v)
}

// openBase replaces what the interpreter has otherwise than rpm's Lua, or what would reach the machine.
func (m *luaMachine) openBase() {
	L := m.state
	for _, name := range []string{"module", "newproxy", "_printregs", "setfenv", "getfenv", "_GOPHER_LUA_VERSION"} {
		L.SetGlobal(name, lua.LNil)
	}
	L.SetGlobal("_VERSION", lua.LString("Lua 5.4"))
	printLine := m.function("print", func(c *luaCall) []any {
		c.print(1, c.str(1))
		return nil
	})
	set := func(name string, f lua.LGFunction) { L.SetGlobal(name, L.NewFunction(f)) }
	set("print", func(L *lua.LState) int {
		var b strings.Builder
		for i := 1; i <= L.GetTop(); i++ {
			if i > 1 {
				b.WriteByte('\t')
			}
			b.WriteString(m.tostring(L, L.Get(i)))
		}
		b.WriteByte('\n')
		L.Push(printLine)
		L.Push(lua.LString(b.String()))
		L.Call(1, 0)
		return 0
	})
	set("tostring", func(L *lua.LState) int {
		L.Push(lua.LString(m.tostring(L, L.CheckAny(1))))
		return 1
	})
	set("tonumber", luaToNumber)
	set("error", luaError)
	set("pcall", m.pcall)
	set("xpcall", m.xpcall)
	set("assert", func(L *lua.LState) int {
		if v := L.CheckAny(1); lua.LVAsBool(v) {
			return L.GetTop()
		}
		v := L.Get(2)
		if L.GetTop() == 1 {
			v = lua.LString("assertion failed!")
		}
		return raiseValue(L, v, 1)
	})
	set("rawlen", func(L *lua.LState) int {
		switch v := L.Get(1).(type) {
		case *lua.LTable:
			L.Push(lua.LNumber(v.Len()))
		case lua.LString:
			L.Push(lua.LNumber(len(v)))
		default:
			L.ArgError(1, "table or string expected")
		}
		return 1
	})
	set("collectgarbage", func(L *lua.LState) int {
		L.Push(lua.LNumber(0))
		return 1
	})
	set("load", m.load)
	set("loadstring", m.load)
	readFile := m.function("loadfile", func(c *luaCall) []any {
		b, err := c.s.FS.ReadFile(c.p.cwd, c.str(1))
		if err != nil {
			return c.failed("cannot open "+c.str(1), err)
		}
		return []any{string(b)}
	})
	set("loadfile", func(L *lua.LState) int { return m.loadFile(L, readFile, L.CheckString(1)) })
	set("dofile", func(L *lua.LState) int {
		top := L.GetTop()
		if m.loadFile(L, readFile, L.CheckString(1)) == 2 {
			L.Error(L.Get(-1), 1)
		}
		L.Call(0, lua.MultRet)
		return L.GetTop() - top
	})
	exists := m.function("exists", func(c *luaCall) []any { return []any{c.s.FS.Exists(c.p.cwd, c.str(1))} })
	set("require", func(L *lua.LState) int { return m.require(L, exists, readFile) })
	set(luaConcat, m.concat)
}

// luaError raises its argument, a string with the place in the script where the caller of level 1, or its caller, was.
func luaError(L *lua.LState) int {
	return raiseValue(L, L.Get(1), L.OptInt(2, 1))
}

func raiseValue(L *lua.LState, v lua.LValue, level int) int {
	if s, ok := v.(lua.LString); ok && (level > 1 || level == 1 && calledByLua(L)) {
		v = lua.LString(L.Where(level)) + " " + s
	}
	L.Error(v, 0)
	return 0
}

// pcall calls a function in a thread of its own: where an error unwinds a stack, the interpreter cuts the functions
// of the whole stack off from the variables they share.
func (m *luaMachine) pcall(L *lua.LState) int { return m.protected(L, 1, nil) }

func (m *luaMachine) xpcall(L *lua.LState) int { return m.protected(L, 2, L.Get(2)) }

// protected calls the first argument with those after the first n. handler, unless nil, makes the error that is returned.
func (m *luaMachine) protected(L *lua.LState, n int, handler lua.LValue) int {
	f := L.CheckAny(1)
	if m.depth++; m.depth > maxLuaProtected {
		raiseLua(L, "C stack overflow")
	}
	defer func() { m.depth-- }()
	thread, cancel := L.NewThread()
	if cancel != nil {
		cancel()
	}
	thread.SetContext(L.Context())
	thread.Push(f)
	for i := n + 1; i <= L.GetTop(); i++ {
		thread.Push(L.Get(i))
	}
	err := thread.PCall(max(0, L.GetTop()-n), lua.MultRet, nil)
	if err == nil {
		L.Push(lua.LTrue)
		for i := 1; i <= thread.GetTop(); i++ {
			L.Push(thread.Get(i))
		}
		return thread.GetTop() + 1
	}
	var object lua.LValue = lua.LString(err.Error())
	var raised *lua.ApiError
	if errors.As(err, &raised) && raised.Object != nil {
		object = raised.Object
	} else if errors.As(err, &raised) && raised.Cause != nil {
		object = lua.LString(raised.Cause.Error())
	}
	L.Push(lua.LFalse)
	if handler == nil {
		L.Push(object)
		return 2
	}
	top := L.GetTop()
	L.Push(handler)
	L.Push(object)
	L.Call(1, lua.MultRet)
	return L.GetTop() - top + 1
}

func luaToNumber(L *lua.LState) int {
	v := L.CheckAny(1)
	if L.Get(2) != lua.LNil {
		s := strings.ToLower(strings.TrimSpace(L.CheckString(1)))
		base := L.CheckInt(2)
		if base < 2 || base > 36 {
			L.ArgError(2, "base out of range")
		}
		if n, err := strconv.ParseInt(s, base, 64); err == nil && !strings.Contains(s, "_") {
			L.Push(lua.LNumber(n))
		} else {
			L.Push(lua.LNil)
		}
		return 1
	}
	switch v := v.(type) {
	case lua.LNumber:
		L.Push(v)
		return 1
	case lua.LString:
		if n, ok := parseLuaNumber(string(v)); ok {
			L.Push(lua.LNumber(n))
			return 1
		}
	}
	L.Push(lua.LNil)
	return 1
}

// compiled pushes the function of a text, or nil and why there is none.
func (m *luaMachine) compiled(L *lua.LState, text, chunk string, env lua.LValue) int {
	proto, err := compileLua(text, chunk)
	if err != nil {
		L.Push(lua.LNil)
		L.Push(lua.LString(err.Error()))
		return 2
	}
	f := L.NewFunctionFromProto(proto)
	if t, ok := env.(*lua.LTable); ok {
		f.Env = t
	}
	L.Push(f)
	return 1
}

// load is that of Lua 5.4: of a text, or of a function that gives it piece by piece.
func (m *luaMachine) load(L *lua.LState) int {
	var text string
	switch v := L.CheckAny(1).(type) {
	case lua.LString:
		text = string(v)
	case *lua.LFunction:
		for len(text) <= maxLuaSource {
			L.Push(v)
			L.Call(0, 1)
			piece, ok := L.Get(-1).(lua.LString)
			L.Pop(1)
			if !ok || piece == "" {
				break
			}
			text += string(piece)
		}
	default:
		L.TypeError(1, lua.LTString)
	}
	return m.compiled(L, text, L.OptString(2, `[string "`+firstWord(text)+`"]`), L.Get(4))
}

func (m *luaMachine) loadFile(L *lua.LState, readFile *lua.LFunction, p string) int {
	L.Push(readFile)
	L.Push(lua.LString(p))
	L.Call(1, 2)
	text, why := L.Get(-2), L.Get(-1)
	L.Pop(2)
	s, ok := text.(lua.LString)
	if !ok {
		L.Push(lua.LNil)
		L.Push(why)
		return 2
	}
	return m.compiled(L, string(s), p, lua.LNil)
}

// luaTruth is what the function on top of the stack says of a string.
func luaTruth(L *lua.LState, s string) bool {
	L.Push(lua.LString(s))
	L.Call(1, 1)
	v := L.Get(-1)
	L.Pop(1)
	return lua.LVAsBool(v)
}

// require returns the library or module of that name, running its file the first time.
func (m *luaMachine) require(L *lua.LState, exists, readFile *lua.LFunction) int {
	name := L.CheckString(1)
	pkg, _ := L.GetGlobal("package").(*lua.LTable)
	if pkg == nil {
		raiseLua(L, "'package' is gone")
	}
	loaded, _ := pkg.RawGetString("loaded").(*lua.LTable)
	if loaded == nil {
		raiseLua(L, "'package.loaded' is gone")
	}
	if v := loaded.RawGetString(name); v != lua.LNil {
		L.Push(v)
		return 1
	}
	var tried strings.Builder
	for template := range strings.SplitSeq(lua.LVAsString(pkg.RawGetString("path")), ";") {
		p := strings.ReplaceAll(template, "?", strings.ReplaceAll(name, ".", "/"))
		if L.Push(exists); !luaTruth(L, p) {
			fmt.Fprintf(&tried, "\n\tno file '%s'", p)
			continue
		}
		if m.loadFile(L, readFile, p) == 2 {
			raiseLua(L, "error loading module '%s' from file '%s':\n\t%s", name, p, L.Get(-1))
		}
		L.Push(lua.LString(name))
		L.Push(lua.LString(p))
		L.Call(2, 1)
		v := L.Get(-1)
		L.Pop(1)
		if v == lua.LNil {
			if v = loaded.RawGetString(name); v == lua.LNil {
				v = lua.LTrue
			}
		}
		loaded.RawSetString(name, v)
		L.Push(v)
		return 1
	}
	raiseLua(L, "module '%s' not found:\n\tno field package.preload['%s']%s", name, name, tried.String())
	return 0
}

// concat is a..b..c.
func (m *luaMachine) concat(L *lua.LState) int {
	n := L.GetTop()
	if n == 0 {
		raiseLua(L, "attempt to concatenate nothing")
	}
	right := L.Get(n)
	var pending []string // the operands of what right stands for, last first
	size := 0
	if s, ok := luaPiece(right); ok {
		pending, size = append(pending, s), len(s)
	}
	join := func() lua.LValue {
		if len(pending) == 0 {
			return right
		}
		var b strings.Builder
		for i := len(pending) - 1; i >= 0; i-- {
			b.WriteString(pending[i])
		}
		return lua.LString(b.String())
	}
	for i := n - 1; i >= 1; i-- {
		left := L.Get(i)
		if s, ok := luaPiece(left); ok && len(pending) > 0 {
			pending = append(pending, s)
			if size += len(s); size > maxLuaString {
				m.fail(&Limit{fmt.Sprintf("%d bytes in a string", maxLuaString)})
				raiseLua(L, "string too long")
			}
			continue
		}
		right = join()
		f := L.GetMetaField(left, "__concat")
		if f == lua.LNil {
			f = L.GetMetaField(right, "__concat")
		}
		if f == lua.LNil {
			bad := left
			if _, ok := luaPiece(left); ok {
				bad = right
			}
			raiseLua(L, "attempt to concatenate a %s value", bad.Type())
		}
		L.Push(f)
		L.Push(left)
		L.Push(right)
		L.Call(2, 1)
		right = L.Get(-1)
		L.Pop(1)
		pending, size = nil, 0
		if s, ok := luaPiece(right); ok {
			pending, size = []string{s}, len(s)
		}
	}
	L.Push(join())
	return 1
}

func luaPiece(v lua.LValue) (string, bool) {
	switch v := v.(type) {
	case lua.LString:
		return string(v), true
	case lua.LNumber:
		return luaNumber(float64(v)), true
	}
	return "", false
}

// openStrings bounds what strings can grow to, and adds what is newer than the interpreter.
func (m *luaMachine) openStrings() {
	L := m.state
	str := L.GetGlobal("string").(*lua.LTable)
	for _, name := range []string{"find", "match", "gmatch", "gsub"} {
		f := str.RawGetString(name)
		str.RawSetString(name, L.NewFunction(func(L *lua.LState) int {
			n := L.GetTop()
			m.checkPattern(L, name)
			L.Insert(f, 1)
			L.Call(n, lua.MultRet)
			return L.GetTop()
		}))
	}
	str.RawSetString("rep", L.NewFunction(m.rep))
	str.RawSetString("format", L.NewFunction(m.format))
	for _, name := range []string{"dump", "pack", "packsize", "unpack"} {
		str.RawSetString(name, m.function(name, luaMissing("string."+name)))
	}
	tab := L.GetGlobal("table").(*lua.LTable)
	tab.RawSetString("unpack", L.GetGlobal("unpack"))
	tab.RawSetString("pack", L.NewFunction(func(L *lua.LState) int {
		t := L.NewTable()
		for i := 1; i <= L.GetTop(); i++ {
			t.RawSetInt(i, L.Get(i))
		}
		t.RawSetString("n", lua.LNumber(L.GetTop()))
		L.Push(t)
		return 1
	}))
	tab.RawSetString("move", m.function("move", luaMissing("table.move")))
	tab.RawSetString("concat", L.NewFunction(m.tableConcat))
	mathlib := L.GetGlobal("math").(*lua.LTable)
	for _, name := range []string{"random", "randomseed"} {
		mathlib.RawSetString(name, m.function(name, luaMissing("math."+name)))
	}
	mathlib.RawSetString("tointeger", L.NewFunction(func(L *lua.LState) int {
		n, ok := L.Get(1).(lua.LNumber)
		if !ok || float64(n) != math.Trunc(float64(n)) {
			L.Push(lua.LNil)
		} else {
			L.Push(n)
		}
		return 1
	}))
}

// checkPattern refuses what Lua 5.1 reads otherwise than 5.4, and replacements that grow out of bounds.
func (m *luaMachine) checkPattern(L *lua.LState, name string) {
	s, pattern := lua.LVAsString(L.Get(1)), lua.LVAsString(L.Get(2))
	if name == "find" && lua.LVAsBool(L.Get(4)) {
		return
	}
	for i := 0; i+1 < len(pattern); i++ {
		if pattern[i] == '%' {
			if i++; pattern[i] == 'f' || pattern[i] == 'g' {
				m.unsupported("%" + pattern[i:i+1] + " in a pattern")
				raiseLua(L, "unknown pattern")
			}
		}
	}
	if name != "gsub" {
		return
	}
	room := maxLuaString
	bound := func(replacement int) {
		if room -= replacement; room < 0 {
			m.fail(&Limit{fmt.Sprintf("%d bytes in a string", maxLuaString)})
			raiseLua(L, "string too long")
		}
	}
	switch v := L.Get(3).(type) {
	case lua.LString:
		captures := strings.Count(string(v), "%")
		if (len(s)+1)*(len(v)+1) > maxLuaString && len(v) > 1 || captures > 2 && len(s)*captures > maxLuaString {
			bound(maxLuaString + 1)
		}
	case *lua.LFunction, *lua.LTable:
		L.Replace(3, L.NewFunction(func(L *lua.LState) int {
			if t, ok := v.(*lua.LTable); ok {
				L.Push(L.GetTable(t, L.Get(1)))
			} else {
				n := L.GetTop()
				L.Insert(v, 1)
				L.Call(n, 1)
			}
			bound(len(lua.LVAsString(L.Get(-1))))
			return 1
		}))
	}
}

func (m *luaMachine) rep(L *lua.LState) int {
	s, n, separator := L.CheckString(1), L.CheckNumber(2), L.OptString(3, "")
	switch {
	case n < 1:
		L.Push(lua.LString(""))
		return 1
	case float64(n)*float64(len(s)+len(separator)) > maxLuaString || n > maxLuaString:
		m.fail(&Limit{fmt.Sprintf("%d bytes in a string", maxLuaString)})
		raiseLua(L, "resulting string too large")
	}
	count := int(n)
	L.Push(lua.LString(strings.Repeat(s+separator, count-1) + s))
	return 1
}

func (m *luaMachine) tableConcat(L *lua.LState) int {
	t, separator := L.CheckTable(1), L.OptString(2, "")
	from, to := L.OptInt(3, 1), L.OptInt(4, t.Len())
	var b strings.Builder
	for i := from; i <= to; i++ {
		s, ok := luaPiece(t.RawGetInt(i))
		if !ok {
			raiseLua(L, "invalid value (at index %d) in table for 'concat'", i)
		}
		if b.WriteString(s); i < to {
			b.WriteString(separator)
		}
		if b.Len() > maxLuaString {
			m.fail(&Limit{fmt.Sprintf("%d bytes in a string", maxLuaString)})
			raiseLua(L, "string too long")
		}
	}
	L.Push(lua.LString(b.String()))
	return 1
}

// format is string.format.
func (m *luaMachine) format(L *lua.LState) int {
	text := L.CheckString(1)
	var b strings.Builder
	arg := 1
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			b.WriteByte(text[i])
			continue
		}
		start := i
		for i++; i < len(text) && strings.IndexByte("-+ #0123456789.", text[i]) >= 0; i++ {
		}
		if i == len(text) || !isConversion(text[start+1:i]) {
			raiseLua(L, "invalid conversion '%s' to 'format'", text[start:i])
		}
		if text[i] == '%' {
			b.WriteByte('%')
			continue
		}
		if arg++; arg > L.GetTop() {
			L.ArgError(arg, "no value")
		}
		flags := text[start:i]
		switch text[i] {
		case 'd', 'i':
			fmt.Fprintf(&b, flags+"d", m.checkInteger(L, arg))
		case 'u':
			fmt.Fprintf(&b, flags+"d", uint64(m.checkInteger(L, arg)))
		case 'x', 'X', 'o':
			fmt.Fprintf(&b, flags+text[i:i+1], uint64(m.checkInteger(L, arg)))
		case 'c':
			b.WriteByte(byte(m.checkInteger(L, arg)))
		case 'e', 'E', 'f', 'F':
			fmt.Fprintf(&b, flags+text[i:i+1], m.checkNumber(L, arg))
		case 'g', 'G':
			if !strings.Contains(flags, ".") {
				flags += ".6"
			}
			fmt.Fprintf(&b, flags+text[i:i+1], m.checkNumber(L, arg))
		case 's':
			s := m.tostring(L, L.Get(arg))
			if flags != "%" {
				s = padBytes(flags, s)
			}
			b.WriteString(s)
		case 'q':
			b.WriteString(m.quoted(L, arg))
		default:
			m.unsupported("string.format with " + text[start:i+1])
			raiseLua(L, "invalid conversion")
		}
		if b.Len() > maxLuaString {
			m.fail(&Limit{fmt.Sprintf("%d bytes in a string", maxLuaString)})
			raiseLua(L, "string too long")
		}
	}
	L.Push(lua.LString(b.String()))
	return 1
}

// isConversion tells flags, and a width and a precision of at most two digits each.
func isConversion(s string) bool {
	width, precision, _ := strings.Cut(strings.TrimLeft(s, "-+ #0"), ".")
	digits := func(s string) bool { return len(s) <= 2 && strings.Trim(s, "0123456789") == "" }
	return digits(width) && digits(precision)
}

// padBytes is %-10.5s in bytes, as C counts.
func padBytes(flags, s string) string {
	width, precision, dotted := strings.Cut(strings.TrimLeft(flags[1:], "-+ #0"), ".")
	if n, err := strconv.Atoi("0" + precision); dotted && err == nil && n < len(s) {
		s = s[:n]
	}
	n, _ := strconv.Atoi("0" + width)
	fill := strings.Repeat(" ", max(0, n-len(s)))
	if strings.Contains(flags, "-") {
		return s + fill
	}
	return fill + s
}

func (m *luaMachine) checkNumber(L *lua.LState, i int) float64 {
	switch v := L.Get(i).(type) {
	case lua.LNumber:
		return float64(v)
	case lua.LString:
		if n, ok := parseLuaNumber(string(v)); ok {
			return n
		}
	}
	L.TypeError(i, lua.LTNumber)
	return 0
}

func (m *luaMachine) checkInteger(L *lua.LState, i int) int64 {
	n := m.checkNumber(L, i)
	if n != math.Trunc(n) || math.Abs(n) >= 1<<63 {
		L.ArgError(i, "number has no integer representation")
	}
	return int64(n)
}

func (m *luaMachine) quoted(L *lua.LState, i int) string {
	s, ok := L.Get(i).(lua.LString)
	if !ok {
		return m.text(L.Get(i))
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\' || c == '\n':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c == 0x7f:
			digits := "%d"
			if i+1 < len(s) && s[i+1] >= '0' && s[i+1] <= '9' {
				digits = "%03d"
			}
			fmt.Fprintf(&b, "\\"+digits, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// formatG writes a number as C's %.<digits>g does.
func formatG(n float64, digits int) string { return strconv.FormatFloat(n, 'g', digits, 64) }
