package builder

// Recipe says what goes into an image. It is the value a recipe file and its parents fold into: every default is filled
// in, every path is absolute, nothing is checked against a repository yet.
type Recipe struct {
	Name string // of the image
	File string // the recipe's path as given
	Dir  string // absolute directory that relative paths of the recipe start from

	SHA256 string // of the file, in hex

	// Parents are the files of `extends`, nearest first. What they say is folded into this value already.
	Parents []*Recipe

	Repository   Repository
	Own          *Repository // what the recipe itself says, where RecipeOptions.Set has changed it; nil: that is Repository
	Platforms    []Platform  // never empty, in the recipe's order, without repetition
	Packages     []PackageRequest
	Exclude      []string
	Prefer       []string
	Dependencies Dependencies
	Scriptlets   map[string]ScriptletRule
	Strip        Strip
	Accounts     Accounts
	Files        []ExtraFile
	Image        ImageConfig
	Layers       Layers
	Push         []string
}

// Position is a place in a recipe file; the zero value is unknown.
type Position struct {
	File string
	Line int
}

// Repository is the one distribution repository.
type Repository struct {
	Name         string
	BaseURL      string           // with its variables, as written; exactly one of BaseURL, MirrorList and Metalink is set
	MirrorList   string           // URL of a list of base URLs
	Metalink     string           // URL of a metalink of repomd.xml
	Components   []string         // values of $component, or the ids of Parts; empty when the repository is one
	File         string           // the .repo file that Parts are from, as written; "" without one
	Parts        []RepositoryPart // the repositories of File; the addresses above are empty then
	ReleaseVer   string
	GPGKeys      []string // paths or URLs, with their variables; #FINGERPRINT after one takes only that key of the file
	Modules      []string // enabled streams of modules, NAME:STREAM
	ContentSets  []string // the vendor's names of the repositories, for scanners, with variables
	GPGCheck     bool
	RepoGPGCheck bool
	Dir          string // absolute directory of the recipe that says it: where relative paths start
}

// Platform is an OCI platform.
type Platform struct {
	OS           string // linux
	Architecture string // amd64, arm64, ...
	Variant      string // v8, v7 or ""
}

// PackageRequest is one entry of `packages`.
type PackageRequest struct {
	Spec      string     // name, name.arch, NEVR, NEVRA, path or capability
	Platforms []Platform // only for these; empty for all
	Pos       Position
}

// Dependencies says which requirements are followed.
type Dependencies string

const (
	DependenciesFull    Dependencies = "full"    // all hard ones
	DependenciesRuntime Dependencies = "runtime" // less what only scriptlets need
	DependenciesNamed   Dependencies = "named"   // none: what is then unmet is an error
)

// ScriptletRule acknowledges scriptlets of one package: all of them or the named slots.
type ScriptletRule struct {
	Skip  bool
	Slots map[string]bool // slot ("post", ...) to skip
}

// Strip says which files are left out.
type Strip struct {
	Docs       bool
	Locales    []string // kept ones; empty keeps C.UTF-8 and the languages of requested langpacks
	AllLocales bool     // `locales: all`: none is left out
	Paths      []string // glob patterns (** crosses directories) to leave out
	Keep       []string // glob patterns that stay whatever else says
}

// Accounts are users and groups that the recipe adds.
type Accounts struct {
	Groups []Group
	Users  []User
}

// Group is one group.
type Group struct {
	Name string
	GID  int // -1: the next free system id
}

// User is one user.
type User struct {
	Name  string
	UID   int    // -1: the next free system id
	Group string // primary group by name; "" is a group of the user's own name
	Home  string // "/" by default
	Shell string // "/sbin/nologin" by default
	Gecos string
}

// ExtraFile is one file, directory tree or link that the recipe adds.
type ExtraFile struct {
	Path    string // absolute, in the image
	Content *string
	Source  string // absolute path on the builder's machine
	Link    string // target of a symbolic link
	Mode    *uint32
	Owner   string // name or number, "" is root
	Group   string // name or number, "" is the owner's group
	Pos     Position
}

// ImageConfig is the OCI config, in its own words.
type ImageConfig struct {
	Entrypoint  []string
	Cmd         []string
	Env         []EnvVar // in the recipe's order
	User        string
	WorkDir     string
	Ports       []string
	Volumes     []string
	StopSignal  string
	Labels      map[string]string
	Annotations map[string]string
}

// EnvVar is one environment variable.
type EnvVar struct{ Name, Value string }

// Layers says how the image is cut.
type Layers struct {
	Strategy    string // split, single, package
	Budget      int    // most layers, the parent's among them
	Compression string // gzip, zstd
}
