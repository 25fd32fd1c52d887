package audit

import (
	"path"
	"strings"

	"slim/internal/rootfs"
	"slim/internal/rpm"
)

// Rule explains paths that no package brings, or brings otherwise.
type Rule struct {
	Name   string
	Reason string
	// Paths are patterns of path.Match; one that ends in /** stands for everything below.
	Paths []string
	// Owned says that the content of a package's file may be another too.
	Owned bool
	// Links says that only symbolic links are meant, which lead to something a package brings (it need not be installed),
	// and the directories that hold them.
	Links bool
	// Empty says that only directories, links and empty files are meant.
	Empty bool
}

// The names of what is no row of Rules.
const (
	RuleGhost  = "ghost"
	RuleParent = "parent"
	RuleRecipe = "recipe"
)

// Rules is the list of what is made on an installed system without being in a package, first match first. Three more
// need no pattern: ghosts, which a package names but leaves open; directories that are there for what is in them, root's
// and 0755; and the extra files that a recipe adds, which are compared with the recipe.
func Rules() []Rule {
	return []Rule{
		{
			Name: "rpmdb", Reason: "rpm's database of the packages, its indexes, journals and lock",
			Paths: databaseFiles(),
		},
		{
			Name: "accounts", Reason: "users and groups, added by packages and recipes", Owned: true,
			Paths: []string{
				"/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/subuid", "/etc/subgid",
				"/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-", "/etc/subuid-", "/etc/subgid-", "/etc/.pwd.lock",
			},
		},
		{
			Name: "ld.so.cache", Reason: "ldconfig's list of the libraries", Paths: []string{"/etc/ld.so.cache", "/var/cache/ldconfig/aux-cache"},
		},
		{
			Name: "sonames", Reason: "ldconfig's links from a library's soname to its file", Links: true,
			Paths: []string{"/lib/*.so.*", "/lib64/*.so.*", "/usr/lib/*.so.*", "/usr/lib64/*.so.*", "/usr/lib/*/*.so.*", "/usr/lib64/*/*.so.*"},
		},
		{
			Name: "alternatives", Reason: "links that update-alternatives chose", Links: true,
			Paths: []string{"/etc/alternatives/*"},
		},
		{
			Name: "alternatives state", Reason: "what update-alternatives chooses from",
			Paths: []string{"/var/lib/alternatives/*", "/var/lib/dpkg/alternatives/*", "/var/lib/rpm/alternatives/*", "/var/log/alternatives.log"},
		},
		{
			Name: "ca bundle", Reason: "certificates that update-ca-trust gathers from the packages'",
			Paths: []string{"/etc/pki/ca-trust/extracted/**", "/etc/ssl/certs/**", "/etc/pki/java/cacerts", "/var/lib/ca-certificates/**"},
		},
		{
			Name: "crypto policy", Reason: "the chosen crypto policy's files and links",
			Paths: []string{"/etc/crypto-policies/back-ends/*", "/etc/crypto-policies/state/*", "/etc/crypto-policies/config"},
		},
		{
			Name: "units", Reason: "links by which systemd's presets enable units", Links: true,
			Paths: []string{"/etc/systemd/system/**", "/etc/systemd/user/**"},
		},
		{
			Name: "caches", Reason: "indexes that scriptlets make of packaged files",
			Paths: []string{
				"/usr/lib/locale/locale-archive", "/usr/lib64/gconv/gconv-modules.cache", "/usr/lib/gconv/gconv-modules.cache",
				"/usr/lib/*/gconv/gconv-modules.cache", "/usr/share/info/dir", "/var/lib/systemd/catalog/database", "/etc/udev/hwdb.bin",
				"/usr/lib/udev/hwdb.bin", "/usr/share/mime/**", "/usr/share/glib-2.0/schemas/gschemas.compiled", "/usr/lib64/gio/modules/giomodule.cache",
				"/usr/share/applications/mimeinfo.cache", "/usr/share/icons/*/icon-theme.cache", "/var/cache/fontconfig/**",
			},
		},
		{
			Name: "content sets", Reason: "the list of repositories that scanners go by", Paths: []string{"/usr/share/buildinfo/**", "/root/buildinfo/**"},
		},
		{
			Name: "machine", Reason: "what the first start fills in or mounts over",
			Paths: []string{"/etc/machine-id", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/var/lib/dbus/machine-id"},
		},
		{
			Name: "mount points", Reason: "what container tools mount over or leave as a mark", Empty: true,
			Paths: []string{
				"/dev", "/proc", "/sys", "/run", "/tmp", "/dev/*", "/etc/mtab", "/.dockerenv", "/run/.containerenv", "/run/secrets",
			},
		},
		{
			Name: "package manager", Reason: "logs, caches and state of the package manager that made the root",
			Paths: []string{
				"/etc/dnf/modules.d", "/var/lib/dnf/**", "/var/lib/dnf", "/var/cache/dnf/**", "/var/cache/dnf", "/var/log/dnf*", "/var/log/hawkey.log", "/var/lib/yum/**",
				"/var/lib/yum", "/var/cache/yum/**", "/var/cache/yum", "/var/log/yum.log", "/var/lib/rpm-state", "/var/lib/rpm-state/**",
				"/var/cache/libdnf5/**", "/var/cache/libdnf5", "/usr/lib/sysimage/libdnf5/**", "/usr/lib/sysimage/libdnf5", "/var/log/zypper.log",
				"/var/cache/zypp/**", "/var/cache/zypp", "/var/log/zypp/**", "/var/log/zypp",
			},
		},
	}
}

// Reason says what a rule of Rules, or one of the three that are no row of it, is for; "" for an unknown one.
func Reason(rule string) string {
	switch rule {
	case RuleGhost:
		return "a package names them and leaves open what is in them"
	case RuleParent:
		return "directories for what is in them"
	case RuleRecipe:
		return "what the recipe adds, as the recipe has it"
	}
	for _, r := range Rules() {
		if r.Name == rule {
			return r.Reason
		}
	}
	return ""
}

// databaseFiles are the files of rpm's databases: lib/backend of rpm and the tables of lib/rpmdb.c.
func databaseFiles() []string {
	var out []string
	for _, dir := range []string{"/usr/lib/sysimage/rpm", "/var/lib/rpm", "/usr/share/rpm"} {
		out = append(out, dir)
		for _, name := range []string{
			"rpmdb.sqlite", "rpmdb.sqlite-wal", "rpmdb.sqlite-shm", "Packages.db", "Index.db", "Packages", ".rpm.lock", ".dbenv.lock",
			".migratedb", ".rebuilddb", "__db.0??", "Name", "Basenames", "Group", "Requirename", "Providename", "Conflictname",
			"Obsoletename", "Triggername", "Dirnames", "Installtid", "Sigmd5", "Sha1header", "Filetriggername", "Transfiletriggername",
			"Recommendname", "Suggestname", "Supplementname", "Enhancename",
		} {
			out = append(out, dir+"/"+name)
		}
	}
	return out
}

// matches reports whether a pattern of the rule stands for p.
func (r *Rule) matches(p string) bool {
	for _, pattern := range r.Paths {
		if dir, ok := strings.CutSuffix(pattern, "/**"); ok {
			if strings.HasPrefix(p, dir+"/") {
				return true
			}
		} else if ok, err := path.Match(pattern, p); ok && err == nil {
			return true
		}
	}
	return false
}

// isHarmless reports whether a file is of a kind that may be generated: nothing that runs, grants or can be replaced.
func isHarmless(n *rootfs.Node) bool {
	switch n.Mode & rpm.ModeType {
	case rpm.ModeSymlink:
		return true
	case rpm.ModeRegular:
		return n.Perm()&0o7113 == 0 && len(n.Caps) == 0
	case rpm.ModeDir:
		return n.Perm()&0o2 == 0 || n.Perm()&0o1000 != 0
	}
	return false
}
