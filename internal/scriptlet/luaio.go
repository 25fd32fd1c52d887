package scriptlet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// luaFile is a file handle. What is written gets into the tree when the file is flushed or closed, when a command is run,
// and at the end.
type luaFile struct {
	name     string // for standard streams and pipes
	fs       *FS
	dir      string
	path     string
	mode     uint32 // of a file that is made
	content  []byte
	at       int
	readable bool
	writable bool
	append   bool
	dirty    bool
	closed   bool
	stream   io.Writer              // of what is no file
	atClose  func(c *luaCall) []any // runs the command of a pipe
}

func (*luaFile) luaType() string { return "FILE*" }

func (f *luaFile) String() string {
	if f.closed {
		return "file (closed)"
	}
	return "file (" + f.name + ")"
}

func (f *luaFile) flush() error {
	if !f.dirty || f.fs == nil {
		return nil
	}
	f.dirty = false
	if !f.fs.Exists(f.dir, f.path) {
		return nil // removed since: only the handle had it
	}
	return f.fs.WriteFile(f.dir, f.path, f.content, f.mode)
}

func (f *luaFile) write(s string) error {
	if f.append {
		f.at = len(f.content)
	}
	if f.at+len(s) > MaxFileSize {
		return &Limit{fmt.Sprintf("%d bytes in one file", MaxFileSize)}
	}
	for len(f.content) < f.at {
		f.content = append(f.content, 0)
	}
	n := copy(f.content[f.at:], s)
	f.content = append(f.content, s[n:]...)
	f.at += len(s)
	f.dirty = true
	return nil
}

// openLua opens a file as fopen(3) does.
func (c *luaCall) openLua(p, mode string) (*luaFile, error) {
	f := &luaFile{name: p, fs: c.s.FS, dir: c.p.cwd, path: p, mode: 0o666 &^ c.p.umask}
	plus := strings.Contains(mode, "+")
	f.readable = mode[0] == 'r' || plus
	f.writable = mode[0] != 'r' || plus
	f.append = mode[0] == 'a'
	switch device := devicePath(c.p.cwd, p); device {
	case "":
	case "/dev/null":
		f.fs, f.stream = nil, io.Discard
		return f, nil
	case "/dev/random", "/dev/urandom":
		return nil, &Unsupported{device, "what is made of random numbers has no place in an image"}
	default:
		return nil, &Unsupported{"<lua>", device + " cannot be opened here"}
	}
	if err := c.flush(); err != nil {
		return nil, err
	}
	if mode[0] == 'w' {
		if err := f.fs.WriteFile(f.dir, p, nil, f.mode); err != nil {
			return nil, err
		}
	} else {
		n, err := f.fs.Stat(f.dir, p)
		switch {
		case err == nil && n.IsDir() && f.writable:
			err = &fs.PathError{Op: "open", Path: p, Err: errors.New("is a directory")}
		case err == nil && !n.IsDir():
			f.content, err = f.fs.ReadFile(f.dir, p)
		case errors.Is(err, fs.ErrNotExist) && f.append:
			err = f.fs.WriteFile(f.dir, p, nil, f.mode)
		}
		if err != nil {
			return nil, err
		}
	}
	if f.writable {
		c.open = append(c.open, f)
	}
	return f, nil
}

func isOpenMode(mode string) bool {
	if mode == "" || strings.IndexByte("rwa", mode[0]) < 0 {
		return false
	}
	rest := strings.TrimPrefix(mode[1:], "+")
	return rest == "" || rest == "b"
}

// ioLibrary is io, fileMethods what a file has.
func ioLibrary() map[string]luaFunc {
	return map[string]luaFunc{
		"open": ioOpen, "lines": ioLines, "close": ioClose, "type": ioType, "popen": ioPopen,
		"read":    func(c *luaCall) []any { return c.read(c.stdin, c.args) },
		"write":   func(c *luaCall) []any { return c.write(c.stdout, c.args) },
		"output":  func(c *luaCall) []any { return c.standard(c.stdout) },
		"input":   func(c *luaCall) []any { return c.standard(c.stdin) },
		"tmpfile": func(c *luaCall) []any { return []any{&luaFile{name: "temporary", readable: true, writable: true}} },
	}
}

func fileMethods() map[string]luaFunc {
	return map[string]luaFunc{
		"close": ioClose, "lines": fileLines, "seek": fileSeek,
		"read":  func(c *luaCall) []any { f := c.file(); return c.read(f, c.args[1:]) },
		"write": func(c *luaCall) []any { f := c.file(); return c.write(f, c.args[1:]) },
		"flush": func(c *luaCall) []any {
			f := c.file()
			if err := f.flush(); err != nil {
				return c.failed(f.name, err)
			}
			return []any{f}
		},
		"setvbuf": func(c *luaCall) []any { return []any{true} },
	}
}

// standard gives a standard stream, and does not change it.
func (c *luaCall) standard(f *luaFile) []any {
	if !c.none(1) {
		c.unsupported("io." + c.name + " with an argument")
	}
	return []any{f}
}

// file is the first argument, which has to be an open file.
func (c *luaCall) file() *luaFile {
	u, ok := c.arg(1).(*lua.LUserData)
	if ok {
		if f, ok := u.Value.(*luaFile); ok {
			if f.closed {
				c.raise("attempt to use a closed file")
			}
			return f
		}
	}
	c.wrongType(1, "FILE*")
	return nil
}

func ioOpen(c *luaCall) []any {
	p, mode := c.str(1), c.optStr(2, "r")
	if !isOpenMode(mode) {
		c.badArgument(2, "invalid mode")
	}
	f, err := c.openLua(p, mode)
	if err != nil {
		return c.failed(p, err)
	}
	return []any{f}
}

func ioType(c *luaCall) []any {
	if u, ok := c.arg(1).(*lua.LUserData); ok {
		if f, ok := u.Value.(*luaFile); ok {
			if f.closed {
				return []any{"closed file"}
			}
			return []any{"file"}
		}
	}
	return []any{nil}
}

func ioClose(c *luaCall) []any {
	if c.none(1) {
		return []any{true}
	}
	f := c.file()
	if f.atClose != nil {
		f.closed = true
		return f.atClose(c)
	}
	err := f.flush()
	f.closed = true
	c.open = slices.DeleteFunc(c.open, func(o *luaFile) bool { return o == f })
	if err != nil {
		return c.refused(err)
	}
	return []any{true}
}

func ioLines(c *luaCall) []any {
	if c.none(1) {
		return c.lines(c.stdin, nil, false)
	}
	p := c.str(1)
	f, err := c.openLua(p, "r")
	if err != nil {
		if text := c.failed(p, err); text != nil {
			c.raise("cannot open file '%s' (%s)", p, errorText(err))
		}
		return nil
	}
	return c.lines(f, c.args[1:], true)
}

func fileLines(c *luaCall) []any { return c.lines(c.file(), c.args[1:], false) }

func (c *luaCall) lines(f *luaFile, formats []lua.LValue, closing bool) []any {
	return []any{luaFunc(func(c *luaCall) []any {
		if f.closed {
			c.raise("file is already closed")
		}
		out := c.read(f, formats)
		if closing && (len(out) == 0 || out[0] == nil) {
			f.closed = true
		}
		return out
	})}
}

// read reads what the formats ask for: l, L, a, n, with or without *, or a number of bytes.
func (c *luaCall) read(f *luaFile, formats []lua.LValue) []any {
	if !f.readable {
		return c.refused(errors.New("bad file descriptor"))
	}
	if n, err := c.isDirectory(f); n {
		return c.refused(err)
	}
	if len(formats) == 0 {
		formats = []lua.LValue{lua.LString("l")}
	}
	var out []any
	for i, format := range formats {
		var v any
		if n, ok := format.(lua.LNumber); ok {
			v = f.readBytes(int(n))
		} else {
			name := strings.TrimPrefix(format.String(), "*")
			switch {
			case strings.HasPrefix(name, "l"):
				v = f.readLine(false)
			case strings.HasPrefix(name, "L"):
				v = f.readLine(true)
			case strings.HasPrefix(name, "a"):
				v = string(f.content[min(f.at, len(f.content)):])
				f.at = max(f.at, len(f.content))
			case strings.HasPrefix(name, "n"):
				v = f.readNumber()
			default:
				c.badArgument(i+1, "invalid format")
			}
		}
		out = append(out, v)
		if v == nil {
			break
		}
	}
	return out
}

func (c *luaCall) isDirectory(f *luaFile) (bool, error) {
	if f.fs == nil || f.writable {
		return false, nil
	}
	n, err := f.fs.Stat(f.dir, f.path)
	return err == nil && n.IsDir(), errors.New("is a directory")
}

func (f *luaFile) readLine(keep bool) any {
	if f.at >= len(f.content) {
		return nil
	}
	rest := f.content[f.at:]
	i := bytes.IndexByte(rest, '\n')
	if i < 0 {
		f.at = len(f.content)
		return string(rest)
	}
	f.at += i + 1
	if keep {
		i++
	}
	return string(rest[:i])
}

func (f *luaFile) readBytes(n int) any {
	if f.at >= len(f.content) {
		return nil
	}
	rest := f.content[f.at:]
	rest = rest[:max(0, min(n, len(rest)))]
	f.at += len(rest)
	return string(rest)
}

func (f *luaFile) readNumber() any {
	rest := f.content[min(f.at, len(f.content)):]
	trimmed := bytes.TrimLeft(rest, " \t\r\n\v\f")
	n := 0
	for n < len(trimmed) && n < 200 && strings.IndexByte("0123456789abcdefABCDEFxX.+-", trimmed[n]) >= 0 {
		n++
	}
	f.at += len(rest) - len(trimmed) + n
	v, ok := parseLuaNumber(string(trimmed[:n]))
	if !ok {
		return nil
	}
	return v
}

func (c *luaCall) write(f *luaFile, values []lua.LValue) []any {
	for i, v := range values {
		var s string
		switch v := v.(type) {
		case lua.LString:
			s = string(v)
		case lua.LNumber:
			s = luaNumber(float64(v))
		default:
			c.badArgument(i+1, "string expected, got "+v.Type().String())
		}
		var err error
		switch {
		case f == c.stdout:
			c.print(1, s)
		case f == c.stderr:
			c.print(2, s)
		case !f.writable:
			return c.refused(errors.New("bad file descriptor"))
		case f.stream != nil:
			_, err = io.WriteString(f.stream, s)
		default:
			err = f.write(s)
		}
		if err != nil {
			return c.refused(err)
		}
	}
	return []any{f}
}

func fileSeek(c *luaCall) []any {
	f := c.file()
	offset := c.optInteger(3, 0)
	base := int64(f.at)
	switch whence := c.optStr(2, "cur"); whence {
	case "set":
		base = 0
	case "end":
		base = int64(len(f.content))
	case "cur":
	default:
		c.badArgument(2, "invalid option '"+whence+"'")
	}
	if base+offset < 0 || base+offset > MaxFileSize {
		return c.refused(fs.ErrInvalid)
	}
	f.at = int(base + offset)
	return []any{int64(f.at)}
}

// exited is what os.execute and the close of a pipe return for a status.
func exited(status int) []any {
	if status == 0 {
		return []any{true, "exit", 0}
	}
	return []any{nil, "exit", status}
}

func ioPopen(c *luaCall) []any {
	args := []string{"/bin/sh", "-c", c.str(1)}
	switch mode := c.optStr(2, "r"); mode {
	case "r":
		out := &bounded{limit: MaxOutput}
		status := c.command(args, strings.NewReader(""), out, c.stream(2))
		if out.over {
			c.fail(&Limit{fmt.Sprintf("%d bytes of output", MaxOutput)})
		}
		return []any{&luaFile{
			name: "pipe", content: out.Bytes(), readable: true,
			atClose: func(*luaCall) []any { return exited(status) },
		}}
	case "w":
		f := &luaFile{name: "pipe", writable: true}
		f.atClose = func(c *luaCall) []any {
			return exited(c.command(args, bytes.NewReader(f.content), c.stream(1), c.stream(2)))
		}
		return []any{f}
	default:
		c.badArgument(2, "invalid mode")
		return nil
	}
}

// bounded holds what is written up to a limit.
type bounded struct {
	bytes.Buffer
	limit int
	over  bool
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.limit {
		b.over = true
		return len(p), nil
	}
	return b.Buffer.Write(p)
}

// osLibrary is os.
func osLibrary() map[string]luaFunc {
	return map[string]luaFunc{
		"clock":     func(*luaCall) []any { return []any{0} },
		"date":      osDate,
		"difftime":  func(c *luaCall) []any { return []any{c.num(1) - c.num(2)} },
		"execute":   osExecute,
		"exit":      osExit,
		"getenv":    func(c *luaCall) []any { c.str(1); return posixGetenv(c) },
		"remove":    osRemove,
		"rename":    osRename,
		"setlocale": osSetlocale,
		"time":      osTime,
		"tmpname":   luaMissing("os.tmpname"),
	}
}

func osExecute(c *luaCall) []any {
	if c.none(1) {
		return []any{true}
	}
	return exited(c.command([]string{"/bin/sh", "-c", c.str(1)}, strings.NewReader(""), c.stream(1), c.stream(2)))
}

func osExit(c *luaCall) []any {
	if !c.p.forked {
		c.raise("exit not permitted in this context")
	}
	status := 0
	switch v := c.arg(1).(type) {
	case lua.LBool:
		c.raise("bad argument #1 to 'exit' (number expected, got boolean)")
	default:
		if v != lua.LNil {
			status = int(c.integer(1)) & 0xff
		}
	}
	c.end(status)
	return nil
}

func osRemove(c *luaCall) []any {
	p := c.str(1)
	if err := c.s.FS.Remove(c.p.cwd, p); err != nil {
		return c.failed(p, err)
	}
	return []any{true}
}

func osRename(c *luaCall) []any {
	from, to := c.str(1), c.str(2)
	if err := c.flush(); err != nil {
		return c.refused(err)
	}
	if err := c.s.FS.Rename(c.p.cwd, from, to); err != nil {
		return c.refused(err)
	}
	for _, f := range c.open { // a handle goes on writing to its file under the new name
		if f.dir == c.p.cwd && f.path == from {
			f.path = to
		}
	}
	return []any{true}
}

func osSetlocale(c *luaCall) []any {
	switch c.optStr(1, "C") {
	case "", "C", "POSIX":
		return []any{"C"}
	}
	return []any{nil}
}

// osTime is the one moment, or what a table of year, month, day, hour, min and sec says, in UTC.
func osTime(c *luaCall) []any {
	if c.arg(1) == lua.LNil {
		return []any{c.s.FS.Now()}
	}
	t := c.table(1)
	field := func(name string, otherwise int) int {
		switch v := t.RawGetString(name).(type) {
		case lua.LNumber:
			if float64(v) == math.Trunc(float64(v)) && math.Abs(float64(v)) < 1<<31 {
				return int(v)
			}
			c.raise("field '%s' is not an integer", name)
		case lua.LString:
			if n, ok := parseLuaNumber(string(v)); ok && n == math.Trunc(n) && math.Abs(n) < 1<<31 {
				return int(n)
			}
			c.raise("field '%s' is not an integer", name)
		}
		if otherwise < 0 {
			c.raise("field '%s' missing in date table", name)
		}
		return otherwise
	}
	year, month, day := field("year", -1), field("month", -1), field("day", -1)
	return []any{time.Date(year, time.Month(month), day, field("hour", 12), field("min", 0), field("sec", 0), 0, time.UTC).Unix()}
}

func osDate(c *luaCall) []any {
	format := c.optStr(1, "%c")
	when := time.Unix(c.optInteger(2, c.s.FS.Now()), 0).UTC()
	format = strings.TrimPrefix(format, "!")
	if strings.HasPrefix(format, "*t") {
		return []any{luaTable{
			{"year", when.Year()},
			{"month", int(when.Month())},
			{"day", when.Day()},
			{"hour", when.Hour()},
			{"min", when.Minute()},
			{"sec", when.Second()},
			{"yday", when.YearDay()},
			{"wday", int(when.Weekday()) + 1},
			{"isdst", false},
		}}
	}
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b.WriteByte(format[i])
			continue
		}
		i++
		if i == len(format) {
			c.badArgument(1, "invalid conversion specifier '%'")
		}
		layout, ok := dateLayouts(format[i])
		switch {
		case ok:
			b.WriteString(when.Format(layout))
		case format[i] == 's':
			b.WriteString(strconv.FormatInt(when.Unix(), 10))
		case format[i] == 'w':
			b.WriteString(strconv.Itoa(int(when.Weekday())))
		case format[i] == 'u':
			b.WriteString(strconv.Itoa((int(when.Weekday())+6)%7 + 1))
		case strings.IndexByte("CgGhUVWEO", format[i]) >= 0:
			c.unsupported("os.date with %" + format[i:i+1])
			return nil
		default:
			c.badArgument(1, "invalid conversion specifier '%"+format[i:i+1]+"'")
		}
	}
	return []any{b.String()}
}

// dateLayouts are the conversions of strftime(3) in the C locale as time.Format has them.
func dateLayouts(letter byte) (string, bool) {
	layout, ok := map[byte]string{
		'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'c': "Mon Jan _2 15:04:05 2006", 'd': "02", 'D': "01/02/06",
		'e': "_2", 'F': "2006-01-02", 'H': "15", 'I': "03", 'j': "002", 'm': "01", 'M': "04", 'n': "\n", 'p': "PM",
		'r': "03:04:05 PM", 'R': "15:04", 'S': "05", 't': "\t", 'T': "15:04:05", 'x': "01/02/06", 'X': "15:04:05",
		'y': "06", 'Y': "2006", 'z': "-0700", 'Z': "GMT", '%': "%",
	}[letter]
	return layout, ok
}
