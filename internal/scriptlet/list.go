package scriptlet

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"slim/internal/rootfs"
	"slim/internal/rpm"
)

func listCommands() map[string]Command {
	return map[string]Command{
		"ls": tool("all,a almost-all,A directory,d l 1 recursive,R numeric-uid-gid,n t reverse,r S g o no-group,G human-readable,h "+
			"classify,F=? p file-type dereference,L dereference-command-line,H color=? U f literal,N quote-name,Q time-style= "+
			"group-directories-first zero ignore-backups,B X v", list),
		"stat": tool("format,c= printf= dereference,L", status),
	}
}

// listed is one line of ls.
type listed struct {
	name string
	path string // as the caller can reach it
	node *rootfs.Node
}

func list(r *toolRun) error {
	if r.has("human-readable") && r.has("l", "numeric-uid-gid", "g", "o") {
		return r.unsupported("sizes are not rounded here")
	}
	if r.has("v", "X", "Q", "ignore-backups", "file-type", "f") {
		return r.unsupported("one of its options is not known here")
	}
	if c, _ := r.value("color"); r.has("color") && (c == "always" || c == "") {
		return r.unsupported("colours are not known here")
	}
	args := r.args
	if len(args) == 0 {
		args = []string{"."}
	}
	long := r.has("l", "numeric-uid-gid", "g", "o")
	follow := r.has("dereference", "dereference-command-line") || !r.has("directory") && !long && !r.has("classify")
	var files, dirs []listed
	for _, a := range args {
		n, err := r.FS.Lstat(r.Dir, a)
		if err == nil && n.IsSymlink() && follow {
			if target, terr := r.FS.Stat(r.Dir, a); terr == nil && (target.IsDir() || r.has("dereference", "dereference-command-line")) {
				n = target
			}
		}
		if err != nil {
			r.complain("cannot access '%s': %s", a, errorText(err))
			r.status = 2
			continue
		}
		if n.IsDir() && !r.has("directory") {
			dirs = append(dirs, listed{a, a, n})
		} else {
			files = append(files, listed{a, a, n})
		}
	}
	r.sortListed(files)
	r.sortListed(dirs)
	if err := r.printListed(files, false); err != nil {
		return err
	}
	for i, d := range dirs {
		if err := r.listDirectory(d, len(args) > 1 || r.has("recursive"), i > 0 || len(files) > 0); err != nil {
			return err
		}
	}
	return r.ctx.Err()
}

func (r *toolRun) listDirectory(d listed, headed, apart bool) error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	if apart {
		r.printf("\n")
	}
	if headed {
		r.printf("%s:\n", d.name)
	}
	all := r.lastOf("all", "almost-all")
	var entries []listed
	if all == "all" {
		up := r.FS.tree.Node(path.Dir(d.node.Path))
		entries = append(entries, listed{".", d.node.Path, d.node}, listed{"..", path.Dir(d.node.Path), up})
	}
	for _, name := range r.FS.tree.List(d.node.Path) {
		if name[0] == '.' && all == "" {
			continue
		}
		n := r.FS.tree.Node(path.Join(d.node.Path, name))
		if r.has("dereference") {
			if target, err := r.FS.Stat("/", n.Path); err == nil {
				n = target
			}
		}
		entries = append(entries, listed{name, path.Join(d.node.Path, name), n})
	}
	r.sortListed(entries)
	if err := r.printListed(entries, true); err != nil || !r.has("recursive") {
		return err
	}
	for _, e := range entries {
		if e.node.IsDir() && e.name != "." && e.name != ".." {
			e.name = join(d.name, e.name)
			if err := r.listDirectory(e, true, true); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *toolRun) sortListed(entries []listed) {
	if r.has("U") {
		return
	}
	slices.SortStableFunc(entries, func(a, b listed) int {
		c := 0
		if r.has("group-directories-first") && a.node.IsDir() != b.node.IsDir() {
			if a.node.IsDir() {
				return -1
			}
			return 1
		}
		switch r.lastOf("t", "S") {
		case "t":
			c = cmp.Compare(b.node.MTime, a.node.MTime)
		case "S":
			c = cmp.Compare(sizeOf(b.node), sizeOf(a.node))
		}
		if c == 0 {
			c = strings.Compare(a.name, b.name)
		}
		if r.has("reverse") {
			c = -c
		}
		return c
	})
}

func (r *toolRun) printListed(entries []listed, directory bool) error {
	end := "\n"
	if r.has("zero") {
		end = "\x00"
	}
	long := r.lastOf("l", "numeric-uid-gid", "g", "o", "1") != "" && r.has("l", "numeric-uid-gid", "g", "o")
	if !long {
		for _, e := range entries {
			r.printf("%s%s%s", e.name, r.indicator(e.node), end)
		}
		return nil
	}
	if style, ok := r.value("time-style"); ok && style != "long-iso" && style != "full-iso" && style != "iso" && style != "locale" {
		return r.unsupported("the time style %q is not known here", style)
	}
	if directory {
		total := int64(0)
		for _, e := range entries {
			total += blocks(e.node)
		}
		r.printf("total %d\n", total)
	}
	t := r.FS.names()
	rows := make([][]string, len(entries))
	widths := make([]int, 5)
	for i, e := range entries {
		n := e.node
		size := strconv.FormatInt(sizeOf(n), 10)
		if kind := n.Mode & rpm.ModeType; kind == rpm.ModeChar || kind == rpm.ModeBlock {
			size = fmt.Sprintf("%d, %d", n.Major, n.Minor)
		}
		user, group := t.user(n), t.group(n)
		if user == "" || r.has("numeric-uid-gid") {
			user = strconv.FormatUint(uint64(t.uid(n)), 10)
		}
		if group == "" || r.has("numeric-uid-gid") {
			group = strconv.FormatUint(uint64(t.gid(n)), 10)
		}
		rows[i] = []string{modeString(n.Mode), strconv.Itoa(links(r.FS, n)), user, group, size}
		for j, cell := range rows[i] {
			widths[j] = max(widths[j], len(cell))
		}
	}
	for i, e := range entries {
		row := rows[i]
		r.printf("%s %*s ", row[0], widths[1], row[1])
		if !r.has("g") {
			r.printf("%-*s ", widths[2], row[2])
		}
		if !r.has("o", "no-group") {
			r.printf("%-*s ", widths[3], row[3])
		}
		r.printf("%*s %s %s", widths[4], row[4], r.listTime(e.node.MTime), e.name)
		if e.node.IsSymlink() {
			r.printf(" -> %s", e.node.Link)
			if target, err := r.FS.Stat("/", e.node.Path); err == nil {
				r.printf("%s", r.indicator(target))
			}
		} else {
			r.printf("%s", r.indicator(e.node))
		}
		r.printf("%s", end)
	}
	return nil
}

// sizeOf is the size that stat(2) gives; of a directory that of most of them on most file systems.
func sizeOf(n *rootfs.Node) int64 {
	switch {
	case n.IsSymlink():
		return int64(len(n.Link))
	case n.IsDir():
		return 4096
	}
	return n.Size
}

// blocks are the kilobytes that a file takes on a file system of blocks of 4096 bytes.
func blocks(n *rootfs.Node) int64 {
	switch {
	case n.IsDir():
		return 4
	case n.IsRegular():
		return (n.Size + 4095) / 4096 * 4
	}
	return 0
}

func (r *toolRun) listTime(mtime int64) string {
	t, now := time.Unix(mtime, 0).UTC(), time.Unix(r.FS.Now(), 0).UTC()
	style, _ := r.value("time-style")
	recent := !t.After(now) && now.Sub(t) < 31556952/2*time.Second
	switch {
	case style == "full-iso":
		return t.Format("2006-01-02 15:04:05.000000000 -0700")
	case style == "long-iso":
		return t.Format("2006-01-02 15:04")
	case style == "iso" && recent:
		return t.Format("01-02 15:04")
	case style == "iso":
		return t.Format("2006-01-02 ")
	case recent:
		return t.Format("Jan _2 15:04")
	}
	return t.Format("Jan _2  2006")
}

func (r *toolRun) indicator(n *rootfs.Node) string {
	if r.has("p") && n.IsDir() {
		return "/"
	}
	if !r.has("classify") {
		return ""
	}
	switch {
	case n.IsDir():
		return "/"
	case n.IsSymlink() && !r.has("l"):
		return "@"
	case n.Mode&rpm.ModeType == 0o010000:
		return "|"
	case n.IsRegular() && n.Mode&0o111 != 0:
		return "*"
	}
	return ""
}

func status(r *toolRun) error {
	if len(r.args) == 0 {
		return r.missingOperand()
	}
	format, ok := r.value("format")
	raw := false
	if f, given := r.value("printf"); given {
		format, ok, raw = f, true, true
	}
	if !ok {
		return r.unsupported("only formats are known here")
	}
	if raw {
		format, _ = unescape(format, false)
	} else {
		format += "\n"
	}
	t := r.FS.names()
	for _, p := range r.args {
		n, err := r.FS.Lstat(r.Dir, p)
		if err == nil && r.has("dereference") {
			n, err = r.FS.Stat(r.Dir, p)
		}
		if err != nil {
			r.complain("cannot statx '%s': %s", p, errorText(err))
			continue
		}
		out, err := r.statFormat(format, p, n, t)
		if err != nil {
			return err
		}
		r.printf("%s", out)
	}
	return nil
}

func (r *toolRun) statFormat(format, p string, n *rootfs.Node, t *names) (string, error) {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b.WriteByte(format[i])
			continue
		}
		start := i
		for i++; i < len(format) && strings.IndexByte("#-+ 0123456789.", format[i]) >= 0; i++ {
		}
		if i == len(format) {
			b.WriteString(format[start:])
			break
		}
		flags := strings.ReplaceAll(format[start:i], ".", "")
		text, number := "", int64(-1)
		stamp := time.Unix(n.MTime, 0).UTC().Format("2006-01-02 15:04:05.000000000 -0700")
		switch format[i] {
		case '%':
			b.WriteByte('%')
			continue
		case 'a':
			b.WriteString(fmt.Sprintf(flags+"o", n.Perm()))
			continue
		case 'f':
			b.WriteString(fmt.Sprintf(flags+"x", n.Mode))
			continue
		case 'A':
			text = modeString(n.Mode)
		case 'n':
			text = p
		case 'N':
			if text = "'" + p + "'"; n.IsSymlink() {
				text += " -> '" + n.Link + "'"
			}
		case 'F':
			text = kindName(n)
		case 'U':
			if text = t.user(n); text == "" {
				text = "UNKNOWN"
			}
		case 'G':
			if text = t.group(n); text == "" {
				text = "UNKNOWN"
			}
		case 'u':
			number = int64(t.uid(n))
		case 'g':
			number = int64(t.gid(n))
		case 'h':
			number = int64(links(r.FS, n))
		case 's':
			number = sizeOf(n)
		case 'X', 'Y', 'Z':
			number = n.MTime
		case 'W':
			number = 0
		case 'x', 'y', 'z':
			text = stamp
		case 't':
			b.WriteString(fmt.Sprintf(flags+"x", n.Major))
			continue
		case 'T':
			b.WriteString(fmt.Sprintf(flags+"x", n.Minor))
			continue
		default:
			return "", r.unsupported("what %%%c stands for is not the same everywhere", format[i])
		}
		if number >= 0 {
			b.WriteString(fmt.Sprintf(flags+"d", number))
		} else {
			b.WriteString(fmt.Sprintf(strings.ReplaceAll(flags, "0", "")+"s", text))
		}
	}
	return b.String(), nil
}

func kindName(n *rootfs.Node) string {
	switch n.Mode & rpm.ModeType {
	case rpm.ModeRegular:
		if n.Size == 0 {
			return "regular empty file"
		}
		return "regular file"
	case rpm.ModeDir:
		return "directory"
	case rpm.ModeSymlink:
		return "symbolic link"
	case rpm.ModeChar:
		return "character special file"
	case rpm.ModeBlock:
		return "block special file"
	case 0o010000:
		return "fifo"
	}
	return "socket"
}
