package rpm

import rpmutils "github.com/sassoftware/go-rpmutils"

// Tags of package headers, by the numbers of go-rpmutils where it names them.
const (
	TagHeaderImage      Tag = 61
	TagHeaderSignatures Tag = 62
	TagHeaderImmutable  Tag = 63
	TagHeaderI18NTable  Tag = 100

	TagName         Tag = rpmutils.NAME
	TagVersion      Tag = rpmutils.VERSION
	TagRelease      Tag = rpmutils.RELEASE
	TagEpoch        Tag = rpmutils.EPOCH
	TagSummary      Tag = rpmutils.SUMMARY
	TagBuildTime    Tag = rpmutils.BUILDTIME
	TagSize         Tag = rpmutils.SIZE
	TagVendor       Tag = rpmutils.VENDOR
	TagLicense      Tag = rpmutils.LICENSE
	TagOS           Tag = rpmutils.OS
	TagArch         Tag = rpmutils.ARCH
	TagSourceRPM    Tag = rpmutils.SOURCERPM
	TagNoSource     Tag = 1051
	TagNoPatch      Tag = 1052
	TagOldFileNames Tag = rpmutils.OLDFILENAMES
	TagPrefixes     Tag = 1098
	TagLongSize     Tag = 5009

	TagFileSizes     Tag = rpmutils.FILESIZES
	TagFileModes     Tag = rpmutils.FILEMODES
	TagFileRDevs     Tag = rpmutils.FILERDEVS
	TagFileMTimes    Tag = rpmutils.FILEMTIMES
	TagFileDigests   Tag = rpmutils.FILEDIGESTS
	TagFileLinkTos   Tag = rpmutils.FILELINKTOS
	TagFileFlags     Tag = rpmutils.FILEFLAGS
	TagFileUserName  Tag = rpmutils.FILEUSERNAME
	TagFileGroupName Tag = rpmutils.FILEGROUPNAME
	TagFileDevices   Tag = rpmutils.FILEDEVICES
	TagFileInodes    Tag = rpmutils.FILEINODES
	TagFileLangs     Tag = 1097
	TagDirIndexes    Tag = rpmutils.DIRINDEXES
	TagBaseNames     Tag = rpmutils.BASENAMES
	TagDirNames      Tag = rpmutils.DIRNAMES
	TagFileColors    Tag = rpmutils.FILECOLORS
	TagLongFileSizes Tag = 5008
	TagFileCaps      Tag = 5010
	TagFileDigestAlg Tag = 5011
)
