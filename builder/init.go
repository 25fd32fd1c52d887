package builder

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// distribution is what FirstRecipe knows of a vendor's repository.
type distribution struct {
	name     string
	also     []string // other names
	versions []string // the newest last; any other of the same form is believed when open is set
	open     bool
	source   string   // the key of the repository that holds the address
	address  string   // with VERSION where it names the version without a variable
	parts    []string // components
	key      string
	pins     []string // fingerprint of the key of each version
	more     string   // one more key, with its fingerprint
	notes    []string // comments of the repository
	repomd   bool     // the vendor signs repomd.xml
	shell    string   // a package to begin with
	rolling  string   // $releasever of the first version, when it is another
	unnamed  bool     // the repository has no releasever
}

// Fingerprints of keys of several versions.
const (
	redHat   = "567E347AD0044ADE55BA8A5F199E2F91FD431D51"
	centOS   = "99DB70FAE1D7CE227FB6488205B555B38483C65D"
	openSUSE = "AD485664E901B867051AB15F35A2F86E29B700A4"
)

func distributions() []distribution {
	baseApp := []string{"BaseOS", "AppStream"}
	return []distribution{
		{
			name: "ubi", versions: []string{"9", "10"}, source: "baseurl",
			address: "https://cdn-ubi.redhat.com/content/public/ubi/dist/ubi$releasever/$releasever/$basearch/$component/os",
			parts:   []string{"baseos", "appstream"}, key: "builtin:ubiVERSION/RPM-GPG-KEY-redhat-release", pins: []string{redHat, redHat}, shell: "coreutils-single",
		},
		{
			name: "centos-stream", also: []string{"centos"}, versions: []string{"9"}, source: "baseurl",
			address: "https://mirror.stream.centos.org/$releasever-stream/$component/$basearch/os",
			parts:   baseApp, key: "https://www.centos.org/keys/RPM-GPG-KEY-CentOS-Official", pins: []string{centOS}, shell: "coreutils-single",
		},
		{
			name: "centos-stream", also: []string{"centos"}, versions: []string{"10"}, source: "baseurl",
			address: "https://mirror.stream.centos.org/$releasever-stream/$component/$basearch/os",
			parts:   baseApp, key: "builtin:centos-stream/RPM-GPG-KEY-CentOS-Official-SHA256", pins: []string{centOS}, shell: "coreutils-single",
		},
		{
			name: "rocky", also: []string{"rockylinux"}, versions: []string{"9", "10"}, source: "baseurl",
			address: "https://download.rockylinux.org/pub/rocky/$releasever/$component/$basearch/os",
			parts:   baseApp, key: "https://download.rockylinux.org/pub/rocky/RPM-GPG-KEY-Rocky-$releasever_major",
			pins: []string{"21CB256AE16FC54C6E652949702D426D350D275D", "FC226859C0860BF0DDB95B085B106C736FEDFC85"}, shell: "coreutils-single",
		},
		{
			name: "almalinux", also: []string{"alma"}, versions: []string{"9", "10"}, source: "baseurl",
			address: "https://repo.almalinux.org/almalinux/$releasever/$component/$basearch/os",
			parts:   baseApp, key: "https://repo.almalinux.org/almalinux/RPM-GPG-KEY-AlmaLinux-$releasever_major",
			pins: []string{"BF18AC2876178908D6E71267D36CB86CB86B3716", "EE6DB7B98F5BF5EDD9DA0DE5DEE5C11CC2A1E572"}, shell: "coreutils-single",
		},
		{
			name: "fedora", versions: []string{"43", "44"}, open: true, source: "metalink",
			address: "https://mirrors.fedoraproject.org/metalink?repo=$component&arch=$basearch",
			parts:   []string{"fedora-VERSION", "updates-released-fVERSION"}, key: "https://fedoraproject.org/fedora.gpg",
			pins: []string{"C6E7F081CF80E13146676E88829B606631645531", "36F612DCF27F7D1A48A835E4DBFCF71C6D9F90A6"}, shell: "coreutils-single",
		},
		{
			name: "amazonlinux", also: []string{"amazon", "al"}, versions: []string{"2023"}, rolling: "latest", open: true, source: "mirrorlist",
			address: "https://cdn.amazonlinux.com/al2023/core/mirrors/$releasever/$basearch/mirror.list",
			key:     "builtin:amazonlinux/RPM-GPG-KEY-amazon-linux-2023", pins: []string{"B21C50FA44A99720EAA72F7FE951904AD832C631"}, shell: "coreutils-single",
			notes: []string{"Pin a dated release here, such as 2023.9.20251117, to stay on it."},
		},
		{
			name: "azurelinux", also: []string{"azl", "mariner"}, versions: []string{"3.0"}, source: "baseurl",
			address: "https://packages.microsoft.com/azurelinux/$releasever/prod/base/$basearch",
			key:     "builtin:azurelinux/MICROSOFT-RPM-GPG-KEY", pins: []string{"2BC94FFF7015A5F28F1537AD0CD9FED33135CE90"},
			more: "builtin:azurelinux/MICROSOFT-METADATA-GPG-KEY#BC528686B50D79E339D3721CEB3E94ADBE1229CF", repomd: true, shell: "coreutils",
		},
		{
			name: "opensuse-leap", also: []string{"leap", "opensuse"}, versions: []string{"16.0"}, open: true, source: "baseurl",
			address: "https://download.opensuse.org/distribution/leap/$releasever/repo/oss",
			key:     "https://download.opensuse.org/distribution/leap/$releasever/repo/oss/repodata/repomd.xml.key", pins: []string{openSUSE}, repomd: true, shell: "coreutils",
		},
		{
			name: "opensuse-tumbleweed", also: []string{"tumbleweed"}, versions: []string{""}, unnamed: true, source: "baseurl",
			address: "https://download.opensuse.org/tumbleweed/repo/oss",
			key:     "https://download.opensuse.org/tumbleweed/repo/oss/repodata/repomd.xml.key", pins: []string{openSUSE}, repomd: true, shell: "coreutils",
			notes: []string{"This address is for x86_64; other architectures are under https://download.opensuse.org/ports/."},
		},
	}
}

// Distributions are the names that FirstRecipe knows, as NAME:VERSION, or NAME where there is one version only.
func Distributions() []string {
	var known []string
	for _, d := range distributions() {
		for _, v := range d.versions {
			known = append(known, strings.TrimSuffix(d.name+":"+v, ":"))
		}
	}
	return known
}

// UnknownDistributionError is the answer to a distribution that FirstRecipe does not know.
type UnknownDistributionError struct {
	Name  string
	Known []string
}

func (e *UnknownDistributionError) Error() string {
	return fmt.Sprintf("unknown distribution %q", e.Name)
}

// FirstRecipe writes a commented recipe to begin with, for a distribution given as NAME, NAME:VERSION or NAMEVERSION
// (ubi9). Without a version the newest known one is taken. The error is an *UnknownDistributionError.
func FirstRecipe(distro string) ([]byte, error) {
	d, version, ok := findDistribution(distro)
	if !ok {
		return nil, &UnknownDistributionError{Name: distro, Known: Distributions()}
	}
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	title := strings.TrimSpace(d.name + " " + version)
	line("# The first recipe for %s: slim build recipe.yaml makes an image of these packages.", title)
	line("# slim schema > recipe.schema.json, and an editor completes keys and shows their meaning:")
	line("# yaml-language-server: $schema=recipe.schema.json")
	line("")
	line("name: my-%s", strings.ReplaceAll(strings.ToLower(strings.ReplaceAll(title, " ", "-")), ".", "-"))
	line("")
	line("# The one distribution that every package comes from.")
	line("repository:")
	for _, n := range d.notes {
		line("  # %s", n)
	}
	line("  name: %s", strings.ReplaceAll(title, " ", "-"))
	line("  %s: %s", d.source, d.address)
	if len(d.parts) > 0 {
		line("  components: [%s]", strings.ReplaceAll(strings.Join(d.parts, ", "), "VERSION", version))
	}
	if !d.unnamed {
		line("  releasever: %q", d.releaseVer(version))
	}
	line("  # The vendor's key, of which only the one with this fingerprint is taken. A path beside this file does as well.")
	line("  gpgkey:")
	for _, key := range d.keys(version) {
		line("    - %s", key)
	}
	if d.repomd {
		line("  repo_gpgcheck: true")
	}
	b.WriteString(strings.ReplaceAll(restOfRecipe, "SHELL", d.shell))
	return []byte(b.String()), nil
}

// CopiedFile is one file of a built-in recipe that is copied.
type CopiedFile struct {
	Name    string // without a directory
	Content []byte
}

// CopyRecipe returns a built-in recipe, given as DIR/NAME, its parents and their keys: files that make the same image
// wherever they stand together. The recipe itself is the first.
func CopyRecipe(builtin fs.FS, name string) ([]CopiedFile, error) {
	r, err := ReadRecipe(builtinPrefix+name, RecipeOptions{Builtin: builtin})
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, file := range append([]*Recipe{r}, r.Parents...) {
		paths = append(paths, strings.TrimPrefix(file.File, builtinPrefix)+".yaml")
	}
	for _, key := range r.Repository.GPGKeys {
		if key, ok := strings.CutPrefix(key, builtinPrefix); ok {
			file, _, _ := strings.Cut(key, "#")
			paths = append(paths, file)
		}
	}
	var files []CopiedFile
	for _, p := range paths {
		content, err := fs.ReadFile(builtin, p)
		if err != nil {
			return nil, err
		}
		files = append(files, CopiedFile{Name: path.Base(p), Content: content})
	}
	return files, nil
}

const restOfRecipe = `
# What is built for; without it, the machine that slim runs on.
# platforms: [linux/amd64, linux/arm64]

# A name, name.arch, an exact version, a path or a capability. All they need comes along.
packages: [bash, SHELL]

# Packages that must not come along: if one is needed after all, the build says by whom.
# exclude: [systemd]

# Documentation and locales are left out; licenses always stay.
# strip:
#   docs: true
#   locales: [C.UTF-8, en]

# accounts:
#   users: [{name: app, uid: 65532, home: /home/app}]

# files:
#   - {path: /etc/motd, content: "hello\n", mode: "0644"}

# The image's configuration.
image:
  cmd: [/bin/bash]
  # env: {TZ: UTC}
  # user: app

# Where slim build pushes to; without it, and without -o, it writes ./NAME.tar.
# push: [registry.example/base/my-image:1]
`

func findDistribution(distro string) (distribution, string, bool) {
	name, version, said := strings.Cut(strings.ToLower(distro), ":")
	list := distributions()
	newest := slices.Clone(list)
	slices.Reverse(newest) // of two rows of one name the later has the newer versions
	for _, d := range newest {
		for _, n := range append([]string{d.name}, d.also...) {
			v := version
			if rest, ok := strings.CutPrefix(name, n); !said && ok {
				v = strings.TrimPrefix(rest, "-")
			} else if name != n {
				continue
			}
			if v == "" && !said {
				v = d.versions[len(d.versions)-1]
			}
			if v, ok := d.version(v); ok {
				return d, v, true
			}
		}
	}
	return distribution{}, "", false
}

// keys are the entries of gpgkey. Where versions have keys of their own, that of one not in the table has no fingerprint.
func (d distribution) keys(version string) []string {
	key := strings.ReplaceAll(d.key, "VERSION", version)
	switch i := slices.Index(d.versions, version); {
	case i >= 0:
		key += "#" + d.pins[i]
	case len(d.pins) == 1:
		key += "#" + d.pins[0]
	}
	if d.more == "" {
		return []string{key}
	}
	return []string{key, d.more}
}

func (d distribution) releaseVer(version string) string {
	if d.rolling != "" && version == d.versions[0] {
		return d.rolling
	}
	return version
}

// version returns the version that v means.
func (d distribution) version(v string) (string, bool) {
	for _, known := range d.versions {
		if v == known || v+".0" == known {
			return known, true
		}
	}
	if d.open && v != "" && strings.Trim(v, "0123456789.") == "" && '1' <= v[0] && v[0] <= '9' && !strings.HasSuffix(v, ".") {
		return v, true
	}
	return "", false
}
