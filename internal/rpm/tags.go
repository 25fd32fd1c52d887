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
	TagURL          Tag = rpmutils.URL
	TagOS           Tag = rpmutils.OS
	TagArch         Tag = rpmutils.ARCH
	TagSourceRPM    Tag = rpmutils.SOURCERPM
	TagNoSource     Tag = 1051
	TagNoPatch      Tag = 1052
	TagOldFileNames Tag = rpmutils.OLDFILENAMES
	TagRPMVersion   Tag = rpmutils.RPMVERSION
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

	TagProvideName       Tag = rpmutils.PROVIDENAME
	TagProvideFlags      Tag = rpmutils.PROVIDEFLAGS
	TagProvideVersion    Tag = rpmutils.PROVIDEVERSION
	TagRequireName       Tag = rpmutils.REQUIRENAME
	TagRequireFlags      Tag = rpmutils.REQUIREFLAGS
	TagRequireVersion    Tag = rpmutils.REQUIREVERSION
	TagConflictName      Tag = rpmutils.CONFLICTNAME
	TagConflictFlags     Tag = rpmutils.CONFLICTFLAGS
	TagConflictVersion   Tag = rpmutils.CONFLICTVERSION
	TagObsoleteName      Tag = rpmutils.OBSOLETENAME
	TagObsoleteFlags     Tag = rpmutils.OBSOLETEFLAGS
	TagObsoleteVersion   Tag = rpmutils.OBSOLETEVERSION
	TagRecommendName     Tag = 5046
	TagRecommendVersion  Tag = 5047
	TagRecommendFlags    Tag = 5048
	TagSuggestName       Tag = 5049
	TagSuggestVersion    Tag = 5050
	TagSuggestFlags      Tag = 5051
	TagSupplementName    Tag = 5052
	TagSupplementVersion Tag = 5053
	TagSupplementFlags   Tag = 5054
	TagEnhanceName       Tag = 5055
	TagEnhanceVersion    Tag = 5056
	TagEnhanceFlags      Tag = 5057

	TagFileClass Tag = 1141 // of each file an index into 1142
	TagClassDict Tag = 1142 // what libmagic says of the files' content

	TagPayloadFormat     Tag = rpmutils.PAYLOADFORMAT
	TagPayloadCompressor Tag = rpmutils.PAYLOADCOMPRESSOR
	TagPayloadFlags      Tag = 1126
	TagPayloadSHA256     Tag = 5092 // hex; PAYLOADDIGEST before rpm 6
	TagPayloadDigestAlgo Tag = 5093 // of 5092, an OpenPGP number; obsolete in rpm 6
	TagPayloadSHA256Alt  Tag = 5097 // of the payload before compression, as are the other Alts
	TagModularityLabel   Tag = 5096
	TagPayloadSize       Tag = 5112
	TagPayloadSizeAlt    Tag = 5113
	TagRPMFormat         Tag = 5114
	TagPayloadSHA512     Tag = 5121
	TagPayloadSHA3       Tag = 5123

	// In signature headers, and under the same numbers in the headers of an rpmdb.
	TagDSAHeader    Tag = 267 // an OpenPGP signature of the header
	TagRSAHeader    Tag = 268 // the same; EdDSA and ECDSA too
	TagSHA1Header   Tag = 269
	TagSHA256Header Tag = 273
	TagOpenPGP      Tag = 278 // base64, any number of OpenPGP signatures of the header
	TagSHA3Header   Tag = 279

	// In signature headers alone.
	TagSigLongSize Tag = 270
	TagSigSize     Tag = 1000 // of header and payload
	TagSigPGP      Tag = 1002 // an OpenPGP signature of header and payload; 259 in an rpmdb
	TagSigMD5      Tag = 1004 // of header and payload
	TagSigGPG      Tag = 1005 // as 1002; 262 in an rpmdb
)
