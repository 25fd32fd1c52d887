package builder

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slim/internal/rpm"
	"slim/internal/tooltest"
)

// shipped are the recipes of the vendors' distributions, by name.
func shipped(t *testing.T) (fs.FS, map[string]*Recipe) {
	t.Helper()
	files := os.DirFS("../recipes")
	names, err := fs.Glob(files, "*/*.yaml")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	recipes := map[string]*Recipe{}
	for _, name := range names {
		name = strings.TrimSuffix(name, ".yaml")
		if path.Dir(name) == "demo" {
			continue // of the repository in testdata
		}
		r, err := ReadRecipe(builtinPrefix+name, RecipeOptions{Builtin: files})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		recipes[name] = r
	}
	return files, recipes
}

func TestShippedRecipes(t *testing.T) {
	files, recipes := shipped(t)
	for name, r := range recipes {
		if micro := path.Dir(name) + "/micro"; name != micro && (len(r.Parents) != 1 || r.Parents[0].File != builtinPrefix+micro) {
			t.Errorf("%s does not extend %s", name, micro)
		}
		if !r.Repository.GPGCheck {
			t.Errorf("%s takes unsigned packages", name)
		}
		refs, err := r.Repository.KeyRefs(r.Platforms[0])
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, ref := range refs {
			content, err := fs.ReadFile(files, strings.TrimPrefix(ref.Address, builtinPrefix))
			if err != nil || ref.Fingerprint == "" {
				t.Errorf("%s: key %v is not pinned: %v", name, ref, err)
				continue
			}
			if added, _, err := new(rpm.Keyring).Add(content, ref.Fingerprint); err != nil || len(added) != 1 {
				t.Errorf("%s: key %v: %v %v", name, ref, added, err)
			}
		}
	}
	for _, dir := range []string{"ubi8", "ubi9", "ubi10", "fedora", "centos-stream", "rocky", "alma", "azurelinux", "amazonlinux", "opensuse"} {
		if recipes[dir+"/micro"] == nil {
			t.Errorf("%s has no micro", dir)
		}
	}
}

// TestConformanceShippedURLs has dnf replace the variables of every recipe's address, $component apart, which is slim's.
func TestConformanceShippedURLs(t *testing.T) {
	tooltest.Need(t, "dnf")
	_, recipes := shipped(t)
	var in, want []string
	for _, r := range recipes {
		text, _ := r.Repository.address()
		for _, p := range r.Platforms {
			urls, err := r.Repository.BaseURLs(p)
			if err != nil {
				t.Fatal(err)
			}
			for _, u := range urls {
				in = append(in, fmt.Sprintf("%s %s %s\n", strings.ReplaceAll(text, "$component", u.Component), p.Arch(), r.Repository.ReleaseVer))
				want = append(want, u.URL)
			}
		}
	}
	cmd := exec.Command("/usr/bin/python3", "testdata/substitute.py")
	cmd.Stdin = strings.NewReader(strings.Join(in, ""))
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, strings.Fields(string(out))); diff != "" {
		t.Errorf("slim (-) and dnf (+):\n%s", diff)
	}
}

// TestConformanceShippedNames resolves recipes of the Enterprise Linux family on the metadata of CentOS Stream 9's BaseOS,
// where all their packages are, and asks dnf for the same.
func TestConformanceShippedNames(t *testing.T) {
	tooltest.Need(t, "dnf")
	repo := tooltest.Shared(t, "rpms/osbuild+images/test/data/testrepo")
	for _, name := range []string{"centos-stream/micro", "ubi9/openssl", "ubi9/python3"} {
		t.Run(name, func(t *testing.T) {
			r, err := ReadRecipe(builtinPrefix+name, RecipeOptions{Builtin: os.DirFS("../recipes"), Set: []Setting{
				{"repository.baseurl", repo}, {"repository.components", ""}, {"repository.gpgkey", ""}, {"repository.gpgcheck", "false"}, {"repository.modules", ""},
			}, Platforms: []Platform{{"linux", "amd64", ""}}})
			if err != nil {
				t.Fatal(err)
			}
			args := []string{
				"--installroot=" + t.TempDir(), "--forcearch=x86_64", "--releasever=9", "--nogpgcheck", "--setopt=install_weak_deps=0",
				"--repofrompath=cs9,file://" + repo, "--disablerepo=*", "--enablerepo=cs9", "install", "--assumeno",
			}
			for i, p := range r.Packages {
				if p.Spec == "redhat-release" {
					r.Packages[i].Spec = "centos-stream-release"
				}
				args = append(args, r.Packages[i].Spec)
			}
			lock, err := Resolve(context.Background(), r, Options{WorkDir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range lock.Platforms[0].Packages {
				got = append(got, p.Name)
			}
			out, _ := exec.Command("dnf", args...).Output() // it ends with 1: nothing is installed
			var want []string
			for line := range strings.SplitSeq(string(out), "\n") {
				if f := strings.Fields(line); len(f) == 6 && f[3] == "cs9" {
					want = append(want, f[0])
				}
			}
			slices.Sort(got)
			slices.Sort(want)
			if diff := cmp.Diff(want, got); diff != "" || len(got) < 10 {
				t.Errorf("dnf (-) and slim (+):\n%s", diff)
			}
		})
	}
}

// TestConformanceFleet builds the same set of the test distribution, and runs what each image is for in a container: its
// own command, as its own user. Without SLIM_CONFORMANCE it is two of them.
func TestConformanceFleet(t *testing.T) {
	tooltest.Shared(t, "distro")
	podman := tooltest.NewPodman(t)
	const web = " & open 8080; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3"
	cache := t.TempDir()
	var micro []string
	for i, test := range []struct{ name, after, user, want string }{
		{"micro", " -c 'echo $BASH_VERSION'", "0", "5.2"},
		{"httpd", web, "33", "SlimTest httpd"},
		{"openssl", "", "0", "OpenSSL 3.0"},
		{"nginx", web, "", "HTTP/1.1 200 OK"},
		{"python3", ` -c "import ssl, sqlite3; print(ssl.OPENSSL_VERSION)"`, "65532", "OpenSSL 3.0"},
		{"redis", " & open 6379; redis-cli PING", "", "PONG"},
	} {
		if i > 1 && os.Getenv("SLIM_CONFORMANCE") == "" {
			break
		}
		t.Run(test.name, func(t *testing.T) {
			r, err := ReadRecipe(filepath.Join("testdata/fleet", test.name+".yaml"), RecipeOptions{})
			if err != nil {
				t.Fatal(err)
			}
			r.Layers.Strategy = "single"
			img := buildRecipe(t, r, Options{CacheDir: cache})
			var packages []string
			for _, p := range img.Platforms[0].Packages {
				packages = append(packages, p.NEVRA.String())
			}
			if test.name == "micro" {
				micro = packages
			}
			for _, p := range micro {
				if !slices.Contains(packages, p) {
					t.Errorf("%s of the parent is not in it", p)
				}
			}
			command := strings.Join(append(slices.Clone(r.Image.Entrypoint), r.Image.Cmd...), " ") + test.after
			out := podman.Run("run", "--rm", "--network=none", "--entrypoint=/bin/bash", load(t, podman, img), "-c", waitFor+"echo user $EUID\n"+command)
			if !strings.Contains(out, test.want) || !strings.HasPrefix(out, "user "+test.user) || (test.user == "" && strings.HasPrefix(out, "user 0")) {
				t.Errorf("%s says %q", command, out)
			}
		})
	}
}
