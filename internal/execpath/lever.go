package execpath

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"slim/internal/rootfs"
)

// LeverKind says what somebody who got into a container could make use of.
type LeverKind string

// The kinds of levers.
const (
	Shell          LeverKind = "shell"
	Language       LeverKind = "interpreter"
	PackageManager LeverKind = "package manager"
	Network        LeverKind = "network client"
	SetUID         LeverKind = "setuid"
	SetGID         LeverKind = "setgid"
	Capability     LeverKind = "capability"
	Writable       LeverKind = "writable" // by the image's user; of a directory, all that is in it may be replaced
)

// Lever is a path that gives leverage.
type Lever struct {
	Kind LeverKind
	Path string
	What string // user of a setuid or group of a setgid file, names of capabilities, "directory" or "file"; "" otherwise
}

// RunsAsRoot is the lever of an image whose user is root: the root directory itself.
const RunsAsRoot = "/"

// levers are found by the names and modes of files, sorted by kind and path. An image that runs as root may write
// everything, which is one lever.
func (s *search) levers() []Lever {
	uid, gids := s.ids()
	var out []Lever
	for _, n := range s.Tree.Nodes() {
		out = append(out, programLevers(s.Tree, n)...)
		if uid != 0 && isWritable(n, uid, gids) && !isRuntime(n.Path) {
			what := "file"
			if n.IsDir() {
				what = "directory"
			}
			out = append(out, Lever{Writable, n.Path, what})
		}
	}
	if uid == 0 {
		out = append(out, Lever{Writable, RunsAsRoot, "everything: the image runs as root"})
	}
	order := []LeverKind{SetUID, SetGID, Capability, Shell, Language, PackageManager, Network, Writable}
	slices.SortStableFunc(out, func(a, b Lever) int { return slices.Index(order, a.Kind) - slices.Index(order, b.Kind) })
	return out
}

// isRuntime tells what a container engine mounts over.
func isRuntime(p string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(p, "/"), "/")
	return first == "proc" || first == "sys" || first == "dev"
}

// isWritable reports whether a user may write a file or into a directory.
func isWritable(n *rootfs.Node, uid uint32, gids []uint32) bool {
	if !n.IsRegular() && !n.IsDir() {
		return false
	}
	switch {
	case n.UID == uid:
		return n.Mode&0o200 != 0
	case slices.Contains(gids, n.GID):
		return n.Mode&0o020 != 0
	}
	return n.Mode&0o002 != 0
}

// programLevers are those of an executable file. Names of programs that are symbolic links count too.
func programLevers(t *rootfs.Tree, n *rootfs.Node) []Lever {
	file := n
	if n.IsSymlink() {
		if file = t.Resolve(n.Path); file == nil {
			return nil
		}
	}
	if !file.IsRegular() || file.Mode&0o111 == 0 {
		return nil
	}
	var out []Lever
	if kind := programKind(path.Base(n.Path)); kind != "" && isProgramDir(path.Dir(n.Path)) {
		out = append(out, Lever{Kind: kind, Path: n.Path})
	}
	if n != file {
		return out
	}
	if n.Mode&modeSetUID != 0 {
		out = append(out, Lever{SetUID, n.Path, ownerText(n.User, n.UID)})
	}
	if n.Mode&modeSetGID != 0 && n.Mode&0o010 != 0 {
		out = append(out, Lever{SetGID, n.Path, ownerText(n.Group, n.GID)})
	}
	if n.Caps != nil {
		out = append(out, Lever{Capability, n.Path, strings.Join(rootfs.CapNames(n.Caps), ",")})
	}
	return out
}

func ownerText(name string, id uint32) string {
	if name != "" {
		return name
	}
	return strconv.FormatUint(uint64(id), 10)
}

func isProgramDir(dir string) bool {
	return slices.Contains([]string{"bin", "sbin", "libexec"}, path.Base(dir))
}

// programKind tells a lever by the name of a program, a version at its end left out.
func programKind(name string) LeverKind {
	switch strings.TrimRight(name, "-.0123456789") {
	case "sh", "bash", "dash", "ash", "ksh", "mksh", "zsh", "csh", "tcsh", "fish", "rbash", "busybox", "toybox":
		return Shell
	case "python", "platform-python", "perl", "ruby", "node", "nodejs", "java", "php", "php-cgi", "lua", "luajit", "awk", "gawk", "mawk", "tclsh",
		"guile", "Rscript", "gdb", "pypy", "jshell", "ocaml":
		return Language
	case "rpm", "dnf", "microdnf", "yum", "tdnf", "zypper", "apt", "apt-get", "dpkg", "apk", "pip", "npm", "gem", "cpan", "rpm-ostree":
		return PackageManager
	case "curl", "wget", "nc", "ncat", "netcat", "socat", "ssh", "scp", "sftp", "ftp", "lftp", "telnet", "rsync", "git":
		return Network
	}
	return ""
}
