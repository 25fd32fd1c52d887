package solve

import (
	"strings"

	"slim/internal/rpm"
)

// isRPMLib reports whether name is a feature that the package format asks of its installer.
func isRPMLib(name string) bool { return strings.HasPrefix(name, "rpmlib(") }

// knownRPMLib reports whether c is a feature that rpm 4.20 has (rpmlibProvides in lib/rpmds.c), in a version that it
// claims.
func knownRPMLib(c rpm.Capability) bool {
	version := ""
	switch strings.TrimSuffix(strings.TrimPrefix(c.Name, "rpmlib("), ")") {
	case "VersionedDependencies":
		version = "3.0.3-1"
	case "CompressedFileNames":
		version = "3.0.4-1"
	case "PayloadIsBzip2":
		version = "3.0.5-1"
	case "PayloadFilesHavePrefix", "ExplicitPackageProvide":
		version = "4.0-1"
	case "HeaderLoadSortsTags":
		version = "4.0.1-1"
	case "ScriptletInterpreterArgs":
		version = "4.0.3-1"
	case "PartialHardlinkSets":
		version = "4.0.4-1"
	case "ConcurrentAccess":
		version = "4.1-1"
	case "BuiltinLuaScripts":
		version = "4.2.2-1"
	case "PayloadIsLzma":
		version = "4.4.2-1"
	case "FileDigests":
		version = "4.6.0-1"
	case "FileCaps":
		version = "4.6.1-1"
	case "ScriptletExpansion":
		version = "4.9.0-1"
	case "TildeInVersions":
		version = "4.10.0-1"
	case "LargeFiles", "RichDependencies":
		version = "4.12.0-1"
	case "CaretInVersions", "DynamicBuildRequires":
		version = "4.15.0-1"
	case "PayloadIsXz":
		version = "5.2-1"
	case "PayloadIsZstd":
		version = "5.4.18-1"
	default:
		return false
	}
	return (rpm.Capability{Name: c.Name, Sense: rpm.Equal, EVR: rpm.ParseEVR(version)}).Overlaps(c)
}
