package rpmdb

import (
	"path"
	"strconv"
	"strings"
)

// The directories that hold databases.
const (
	dirVar      = "/var/lib/rpm"
	dirSysimage = "/usr/lib/sysimage/rpm"
)

// Location is where a distribution keeps its database, and in which format.
type Location struct {
	Dir    string // an absolute path
	Format Format
	// Link is the path of a symbolic link to Dir that is to be there too, so that whoever looks for the other directory
	// finds the same database, and LinkTarget is its target. Both are "" when there is none.
	Link, LinkTarget string
}

// Locate says where the database goes. ownedDirs tells of a path whether one of the packages owns it, as a directory or
// as a symbolic link; osReleaseID and versionID are ID and VERSION_ID of os-release, "" when there is none.
//
// The packages decide first: a database goes into the one of /usr/lib/sysimage/rpm and /var/lib/rpm that they own as
// a directory and, when they own both or neither, where the distribution is known to have it (Fedora from 36, Enterprise
// Linux from 10 and SUSE: /usr/lib/sysimage/rpm, all others /var/lib/rpm). One that is not known has it in
// /usr/lib/sysimage/rpm when its packages own /usr/lib/sysimage but not /var/lib/rpm. The format is known from the distribution
// alone; those that are not named here use sqlite.
func Locate(ownedDirs func(path string) (isDir, isSymlink bool), osReleaseID, versionID string) Location {
	d := distribution(osReleaseID, versionID)
	isDirectory := func(p string) bool { is, _ := ownedDirs(p); return is }
	sysimage, sysimageLink := ownedDirs(dirSysimage)
	varLib, varLibLink := ownedDirs(dirVar)
	l := Location{Dir: dirVar, Format: d.format}
	switch {
	case sysimage != varLib:
		if sysimage {
			l.Dir = dirSysimage
		}
	case varLibLink != sysimageLink:
		if varLibLink {
			l.Dir = dirSysimage
		}
	case d.sysimage, !d.known && !varLib && isDirectory(path.Dir(dirSysimage)):
		l.Dir = dirSysimage
	}
	if l.Dir == dirSysimage && !varLib {
		l.Link, l.LinkTarget = dirVar, "../../usr/lib/sysimage/rpm"
	}
	return l
}

// habits are a distribution's, of one release.
type habits struct {
	format   Format
	sysimage bool
	known    bool
}

// distribution knows the habits of the distributions whose names os-release gives.
func distribution(id, versionID string) habits {
	text, _, _ := strings.Cut(versionID, ".")
	major, err := strconv.Atoi(text)
	if err != nil {
		major = 1 << 30 // a rolling release, as new as can be
	}
	switch id {
	case "rhel", "centos", "almalinux", "rocky", "ol", "eurolinux", "miraclelinux", "scientific", "virtuozzo", "cloudlinux":
		return habits{bdbBefore(9, major), major >= 10, true}
	case "fedora":
		return habits{bdbBefore(33, major), major >= 36, true}
	case "amzn":
		return habits{bdbBefore(2023, major), false, true} // 2023 came after 2, and that after 2018.03
	case "mariner", "azurelinux":
		return habits{bdbBefore(2, major), false, true}
	case "photon":
		return habits{bdbBefore(4, major), false, true}
	case "openEuler":
		return habits{bdbBefore(22, major), false, true}
	}
	if strings.HasPrefix(id, "opensuse") || strings.HasPrefix(id, "sle") || strings.HasPrefix(id, "sl-micro") {
		isMicro := strings.Contains(id, "micro") // it counts its releases on its own, from 5
		if (major < 15 || major == 42) && !isMicro {
			return habits{BDB, false, true} // 42 came before 15
		}
		return habits{NDB, true, true}
	}
	return habits{}
}

func bdbBefore(first, major int) Format {
	if major < first {
		return BDB
	}
	return SQLite
}
