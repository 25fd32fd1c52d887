package builder

import (
	"path"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"slim/internal/trim"
)

// Patterns that are also read by the JSON Schema: what they use means the same in Go and in ECMAScript.
const (
	patternComponent  = `^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*$` // OCI distribution spec, one component of a repository name
	patternRepoID     = `^[A-Za-z0-9][A-Za-z0-9._:-]*$`
	patternVersion    = `^[A-Za-z0-9][A-Za-z0-9._~+-]*$`
	patternAbsolute   = `^/`
	patternAccount    = `^[A-Za-z_][A-Za-z0-9_.-]{0,30}\$?$`
	patternOwner      = `^([0-9]+|[A-Za-z_][A-Za-z0-9_.-]{0,30}\$?)$`
	patternPort       = `^([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])(/(tcp|udp|sctp))?$`
	patternPackage    = `^[^@\s.-]([^\r\n\t]*[^\s])?$`
	patternContentSet = `^[A-Za-z0-9]([A-Za-z0-9._-]|\$(basearch|arch|releasever|\{(basearch|arch|releasever)\}))*$`
	patternModule     = `^[A-Za-z0-9][A-Za-z0-9._+-]*:[A-Za-z0-9][A-Za-z0-9._+-]*$`
	patternFilled     = `[^\s]`
	patternKey        = `^[^#]*[^#\s][^#]*(#([0-9A-Fa-f]{40}|[0-9A-Fa-f]{64}))?$`
)

const (
	wantedKey = "a path or URL of a key"
	hintKey   = "after # stands the whole fingerprint of the key to take, 40 or 64 hexadecimal digits"
)

const maxName = 128 // of an image

const maxID = 4294967294 // the last one means "no change" to chown(2)

// recipeShape is the table of everything that a recipe may say.
func recipeShape() *shape {
	return &shape{
		doc:   "A recipe of slim: which packages of one distribution repository make an image.",
		kinds: kindMapping,
		keys: []key{
			{name: "name", shape: &shape{
				doc:   "Name of the image. Default: the base name of the file. Not taken over from a parent.",
				kinds: kindString, fold: foldOwn, pattern: patternComponent,
				wanted: "a name of lower-case letters and digits, with single . _ or - between them", hint: "the registry and the path belong into push", check: checkName,
			}},
			{name: "extends", shape: &shape{
				doc:   "One parent recipe: a path beside this file, or builtin:DIR/NAME.",
				kinds: kindString, fold: foldOwn, pattern: patternFilled, wanted: "a recipe", hint: "a recipe extends one parent",
			}},
			{name: "repository", shape: repositoryShape()},
			{name: "platforms", shape: &shape{
				doc:   "What the image is built for. Default: the host's.",
				kinds: kindList, filled: true, item: platformShape(),
			}},
			{name: "packages", shape: &shape{
				doc:   "Packages by name, name.arch, NEVR, path or capability. Joined with the parent's.",
				kinds: kindList, fold: foldAppend, filled: true, item: packageShape(),
			}},
			{name: "exclude", shape: specList("Packages that are never installed. Joined with the parent's.")},
			{name: "prefer", shape: specList("Between several providers, the one to take. Joined with the parent's.")},
			{name: "dependencies", shape: &shape{
				doc:   "full: all hard requirements. runtime: less what only scriptlets need. named: nothing that is not named.",
				kinds: kindString, enum: []string{string(DependenciesFull), string(DependenciesRuntime), string(DependenciesNamed)}, initial: "full",
			}},
			{name: "scriptlets", shape: scriptletsShape()},
			{name: "strip", shape: stripShape()},
			{name: "accounts", shape: accountsShape()},
			{name: "files", shape: filesShape()},
			{name: "image", shape: imageShape()},
			{name: "layers", shape: layersShape()},
			{name: "push", shape: &shape{
				doc:   "References that the image is pushed to, as registry/path:tag. Not taken over from a parent.",
				kinds: kindList, fold: foldOwn, item: &shape{
					kinds: kindString, pattern: `^[^\s@]+$`, wanted: "a reference with a tag",
					hint: "write registry/path:tag; other destinations are given with -o", check: checkReference,
				},
			}},
		},
		rules: []rule{
			{
				anyOf: []condition{{has: []string{"extends"}}, {has: []string{"repository"}}}, message: "has no repository",
				hint: "say where the packages come from (repository: {baseurl: ...}), or extend a recipe that does",
			},
			{
				anyOf: []condition{{has: []string{"extends"}}, {has: []string{"packages"}}}, message: "has no packages",
				hint: "name at least one: packages: [bash]",
			},
		},
	}
}

func repositoryShape() *shape {
	return &shape{
		doc:   "The one distribution repository. A recipe with a parent has the parent's and may not change it.",
		kinds: kindMapping, fold: foldSame,
		keys: []key{
			{name: "name", shape: &shape{
				doc: "The repository's id.", kinds: kindString, pattern: patternRepoID,
				wanted: "an id of letters, digits and . _ : -", initial: defaultRepositoryName,
			}},
			{name: "baseurl", shape: address("The directory that holds repodata: an http, https or file URL, or a path beside the recipe.")},
			{name: "mirrorlist", shape: address("URL of a list of base URLs.")},
			{name: "metalink", shape: address("URL of a metalink of repomd.xml.")},
			{name: "components", shape: &shape{
				doc:   "The parts that one distribution splits itself into: the values of $component.",
				kinds: kindList, item: &shape{kinds: kindString, pattern: `^[A-Za-z0-9][A-Za-z0-9._+-]*$`, wanted: "a path component"},
			}},
			{name: "releasever", shape: &shape{
				doc:   "Value of $releasever, taken as it is written.",
				kinds: kindString | kindNumber, pattern: patternVersion, written: patternVersion, wanted: "a version",
			}},
			{name: "gpgkey", shape: &shape{
				doc:   "Public keys of the packages' signers: paths beside the recipe, or URLs. With #FINGERPRINT only that key of the file.",
				kinds: kindString | kindList, filled: true, pattern: patternKey, wanted: wantedKey, hint: hintKey,
				item: &shape{kinds: kindString, pattern: patternKey, wanted: wantedKey, hint: hintKey, check: checkAddress}, check: checkAddress,
			}},
			{name: "gpgcheck", shape: boolean("Whether packages must be signed.", true)},
			{name: "repo_gpgcheck", shape: boolean("Whether repomd.xml must be signed.", false)},
			{name: "content_sets", shape: &shape{
				doc: "RHEL and UBI: the vendor's names of the repositories, by which scanners map packages to advisories. " +
					"Written to " + contentManifestPath + "; $basearch and $releasever are replaced.",
				kinds: kindList, item: &shape{kinds: kindString, pattern: patternContentSet, wanted: "the name of a content set, as in rhel-9-for-$basearch-baseos-rpms"},
			}},
			{name: "modules", shape: &shape{
				doc:   "Enabled streams of modules, as NAME:STREAM. Of the other modules the default streams are active, as for dnf.",
				kinds: kindList, item: &shape{kinds: kindString, pattern: patternModule, wanted: "NAME:STREAM", hint: "write the stream too, as in postgresql:15"},
			}},
			{name: "file", shape: &shape{doc: "A .repo file of dnf, beside the recipe.", kinds: kindString, pattern: patternFilled, wanted: "a path"}},
			{name: "ids", shape: &shape{
				doc: "The repositories of that file.", kinds: kindList, filled: true,
				item: &shape{kinds: kindString, pattern: patternRepoID, wanted: "an id of letters, digits and . _ : -"},
			}},
		},
		exactlyOne: []string{"baseurl", "mirrorlist", "metalink", "file"},
		together:   [][2]string{{"file", "ids"}},
		rules: []rule{
			{
				anyOf:   []condition{{has: []string{"gpgkey"}}, {has: []string{"file"}}, {not: "gpgcheck", said: true}},
				message: "has no gpgkey, so signatures cannot be checked",
				hint:    "add gpgkey: [FILE-OR-URL], or, to trust whatever the repository serves, gpgcheck: false",
			},
			{
				anyOf:   []condition{{has: []string{"gpgkey"}}, {has: []string{"file"}}, {not: "repo_gpgcheck"}},
				message: "has repo_gpgcheck, but no gpgkey", hint: "add gpgkey: [FILE-OR-URL]",
			},
		},
	}
}

func platformShape() *shape {
	return &shape{
		kinds: kindString, enum: platformSpellings(), wanted: "a platform that slim knows",
		hint: "known are " + strings.Join(knownPlatforms(), ", "),
	}
}

func packageSpec() *shape {
	return &shape{
		kinds: kindString, pattern: patternPackage, wanted: "a package name, name.arch, NEVR, path or capability",
		hint: "groups (@name) and local files (./x.rpm) are not understood; what must stay out belongs under exclude",
	}
}

func packageShape() *shape {
	s := packageSpec()
	s.kinds |= kindMapping
	s.keys = []key{
		{name: "name", shape: packageSpec()},
		{name: "platforms", shape: &shape{doc: "Only for these.", kinds: kindList, filled: true, item: platformShape()}},
	}
	s.required = []string{"name"}
	return s
}

func scriptletsShape() *shape {
	slot := &shape{kinds: kindString, enum: []string{"skip"}}
	slots := &shape{kinds: kindString | kindMapping, fold: foldMerge, pattern: `^skip$`, wanted: "skip", hint: "write PACKAGE: skip, or PACKAGE: {post: skip}"}
	for _, n := range scriptletSlots() {
		slots.keys = append(slots.keys, key{name: n, shape: slot})
	}
	return &shape{
		doc: "Acknowledges scriptlets that slim cannot evaluate, by package.", kinds: kindMapping, fold: foldMerge,
		open: slots, keyPattern: patternFilled, keyWanted: "a package name",
	}
}

// scriptletSlots are the moments at which a package being installed runs something, in rpm's words.
func scriptletSlots() []string {
	return []string{"pretrans", "pre", "post", "posttrans", "triggerin", "filetriggerin", "transfiletriggerin"}
}

func stripShape() *shape {
	glob := &shape{kinds: kindString, pattern: patternAbsolute, wanted: "a pattern that begins with /", check: checkGlob}
	return &shape{
		doc:   "What is left out of the packages. false leaves out nothing, true is the default.",
		kinds: kindMapping | kindBoolean, fold: foldMerge, initial: true,
		keys: []key{
			{name: "docs", shape: boolean("Documentation: files marked so, man and info pages. Licenses always stay.", true)},
			{name: "locales", shape: &shape{
				doc:   "The locales to keep, or all. An empty list keeps C.UTF-8 and the languages of the langpacks that are named.",
				kinds: kindString | kindList, pattern: `^all$`, wanted: "a list or all", hint: "write a list: [C.UTF-8, en]",
				item: &shape{kinds: kindString, pattern: `^[A-Za-z][A-Za-z0-9_.@-]*$`, wanted: "a locale"},
			}},
			{name: "paths", shape: &shape{doc: "Patterns of more to leave out; ** crosses directories. Joined with the parent's.", kinds: kindList, fold: foldAppend, item: glob}},
			{name: "keep", shape: &shape{doc: "Patterns of what stays whatever else is said. Joined with the parent's.", kinds: kindList, fold: foldAppend, item: glob}},
		},
	}
}

func accountsShape() *shape {
	account := &shape{kinds: kindString, pattern: patternAccount, wanted: "the name of an account"}
	id := &shape{doc: "Default: the next free system id.", kinds: kindNumber, max: maxID}
	return &shape{
		doc:   "Users and groups to add. One that a parent adds under the same name is replaced.",
		kinds: kindMapping, fold: foldMerge,
		keys: []key{
			{name: "groups", shape: &shape{kinds: kindList, fold: foldAppend, unique: "name", item: &shape{
				kinds: kindMapping,
				keys:  []key{{name: "name", shape: account}, {name: "gid", shape: id}}, required: []string{"name"},
			}}},
			{name: "users", shape: &shape{kinds: kindList, fold: foldAppend, unique: "name", item: &shape{
				kinds: kindMapping,
				keys: []key{
					{name: "name", shape: account},
					{name: "uid", shape: id},
					{name: "group", shape: &shape{doc: "Primary group, by name. Default: one of the user's own name.", kinds: kindString, pattern: patternAccount, wanted: "the name of a group"}},
					{name: "home", shape: absolute("Default: /")},
					{name: "shell", shape: absolute("Default: /sbin/nologin")},
					{name: "gecos", shape: &shape{kinds: kindString, pattern: `^[^:\r\n]*$`, wanted: "text without a colon"}},
				}, required: []string{"name"},
			}}},
		},
	}
}

func filesShape() *shape {
	owner := &shape{doc: "A name or a number. Default: root.", kinds: kindString | kindNumber, pattern: patternOwner, wanted: "the name or number of an account", max: maxID}
	return &shape{
		doc:   "Files to add. One that a parent adds at the same path is replaced.",
		kinds: kindList, fold: foldAppend, unique: "path",
		item: &shape{
			kinds: kindMapping,
			keys: []key{
				{name: "path", shape: &shape{doc: "Where it is in the image.", kinds: kindString, pattern: `^/.*[^/]$`, wanted: "an absolute path", check: checkPath}},
				{name: "content", shape: &shape{doc: "The file's text.", kinds: kindString}},
				{name: "source", shape: &shape{doc: "A file or directory beside the recipe.", kinds: kindString, pattern: patternFilled, wanted: "a path"}},
				{name: "link", shape: &shape{doc: "Target of a symbolic link.", kinds: kindString, pattern: patternFilled, wanted: "a path"}},
				{name: "mode", shape: &shape{
					doc: "Permissions in octal, as in \"0644\".", kinds: kindString | kindNumber, pattern: `^(0o?)?[0-7]{3,4}$`,
					written: `^0o?[0-7]{3,4}$`, wanted: "octal permissions", hint: `write it in octal and in quotes: "0644"`,
				}},
				{name: "owner", shape: owner},
				{name: "group", shape: owner},
			},
			required: []string{"path"}, exactlyOne: []string{"content", "source", "link"},
		},
	}
}

func imageShape() *shape {
	port := &shape{kinds: kindString | kindNumber, pattern: patternPort, wanted: "a port, as in 8080/tcp", min: 1, max: 65535}
	words := func(doc string) *shape { return &shape{doc: doc, kinds: kindList, item: &shape{kinds: kindString}} }
	scalar := &shape{kinds: kindString | kindNumber | kindBoolean}
	labels := func(doc string) *shape {
		return &shape{doc: doc, kinds: kindMapping, fold: foldMerge, open: scalar, keyPattern: patternFilled, keyWanted: "a name"}
	}
	return &shape{
		doc:   "The image's configuration, in OCI's words.",
		kinds: kindMapping, fold: foldMerge, drops: [2]string{"entrypoint", "cmd"},
		keys: []key{
			{name: "entrypoint", shape: words("The command and its first arguments. A recipe that says it does not take over its parent's cmd.")},
			{name: "cmd", shape: words("Further arguments, which the user of the image may replace.")},
			{name: "env", shape: &shape{
				doc:   "Environment variables, as a mapping or as a list of NAME=VALUE. Joined with the parent's.",
				kinds: kindMapping | kindList, fold: foldMerge, open: scalar, keyPattern: `^[^=\s]+$`, keyWanted: "the name of a variable",
				item: &shape{kinds: kindString, pattern: `^[^=\s]+=`, wanted: "NAME=VALUE"},
			}},
			{name: "user", shape: &shape{
				doc: "USER or USER:GROUP, by name or number; written as numbers.", kinds: kindString | kindNumber,
				pattern: `^[^:\s]+(:[^:\s]+)?$`, wanted: "USER or USER:GROUP", max: maxID,
			}},
			{name: "workdir", shape: absolute("Where the command starts.")},
			{name: "ports", shape: &shape{doc: "Ports that the image listens on. Joined with the parent's.", kinds: kindList, fold: foldAppend, item: port}},
			{name: "volumes", shape: &shape{doc: "Directories that hold data. Joined with the parent's.", kinds: kindList, fold: foldAppend, item: absolute("")}},
			{name: "stopsignal", shape: &shape{
				doc: "The signal that asks the command to end.", kinds: kindString | kindNumber,
				pattern: `^(SIG[A-Z0-9]+([+-][0-9]+)?|[1-9][0-9]?)$`, wanted: "a signal, as in SIGTERM", min: 1, max: 64,
			}},
			{name: "labels", shape: labels("Labels of the image's configuration. Joined with the parent's.")},
			{name: "annotations", shape: labels("Annotations of the manifest and the index. Joined with the parent's.")},
		},
	}
}

func layersShape() *shape {
	return &shape{
		doc:   "How the image is cut into layers.",
		kinds: kindMapping, fold: foldMerge,
		keys: []key{
			{name: "strategy", shape: &shape{
				doc:   "split: the parent's layers, then the biggest packages, then the rest. single: one over the parent's. package: one each.",
				kinds: kindString, enum: []string{strategySplit, strategySingle, strategyPackage}, initial: strategySplit,
			}},
			{name: "budget", shape: &shape{
				doc:   "The most layers, the parent's among them; a recipe without a parent leaves half of them to those that extend it. With package the default is 100.",
				kinds: kindNumber, min: 2, max: maxLayers, initial: defaultBudget,
			}},
			{name: "compression", shape: &shape{kinds: kindString, enum: []string{"gzip", "zstd"}, initial: "gzip"}},
		},
	}
}

const (
	defaultRepositoryName = "repository"
	defaultBudget         = 20
)

func boolean(doc string, initial bool) *shape {
	return &shape{doc: doc, kinds: kindBoolean, initial: initial}
}

func absolute(doc string) *shape {
	return &shape{doc: doc, kinds: kindString, pattern: patternAbsolute, wanted: "an absolute path", check: checkPath}
}

func specList(doc string) *shape {
	return &shape{doc: doc, kinds: kindList, fold: foldAppend, item: packageSpec()}
}

func address(doc string) *shape {
	return &shape{doc: doc, kinds: kindString, pattern: patternFilled, wanted: "a URL or path", check: checkAddress}
}

// The functions below check what a pattern cannot say. They return what is wrong, or "".

func checkName(text string) string {
	if len(text) > maxName {
		return "longer than " + strconv.Itoa(maxName) + " characters"
	}
	return ""
}

func checkPath(text string) string {
	switch {
	case strings.ContainsAny(text, "\r\n"):
		return "a path with a line break"
	case strings.HasPrefix(text, "/") && path.Clean(text) != strings.TrimSuffix(text, "/") && text != "/":
		return "write the path without . and .. and double slashes: " + path.Clean(text)
	}
	return ""
}

func checkGlob(text string) string {
	if err := trim.CheckPattern(text); err != nil {
		return err.Error()
	}
	return ""
}

func checkAddress(text string) string {
	if strings.Contains(text, "://") && !isURL(text) {
		return text + " is not an http, https or file URL"
	}
	return ""
}

func checkReference(text string) string {
	if _, err := name.NewTag(text); err != nil {
		return "not a reference: " + text
	}
	return ""
}
