package builder

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBaseURLs(t *testing.T) {
	arm := Platform{"linux", "arm", "v7"}
	tests := []struct {
		name string
		repo Repository
		want []ComponentURL
	}{
		{
			"all variables",
			Repository{BaseURL: "https://a.example/$releasever/${releasever_major}-$releasever_minor/$arch/${basearch}/os", ReleaseVer: "9.10"},
			[]ComponentURL{{URL: "https://a.example/9.10/9-10/armv7hl/armhfp/os"}},
		},
		{
			"components",
			Repository{BaseURL: "http://a.example/$component/os/", Components: []string{"B", "A"}},
			[]ComponentURL{{Component: "B", URL: "http://a.example/B/os/"}, {Component: "A", URL: "http://a.example/A/os/"}},
		},
		{
			"a relative path",
			Repository{BaseURL: "../repo/$component x", Components: []string{"a"}, Dir: "/src/recipes"},
			[]ComponentURL{{Component: "a", URL: "file:///src/repo/a%20x"}},
		},
		{"an absolute path", Repository{BaseURL: "/srv/repo", Dir: "/src"}, []ComponentURL{{URL: "file:///srv/repo"}}},
		{"a file URL", Repository{BaseURL: "file:///srv/$releasever", ReleaseVer: "1"}, []ComponentURL{{URL: "file:///srv/1"}}},
		{
			"a metalink",
			Repository{Metalink: "https://m.example/?repo=$component&arch=$basearch", Components: []string{"a"}},
			[]ComponentURL{{Component: "a", URL: "https://m.example/?repo=a&arch=armhfp", Source: SourceMetalink}},
		},
		{
			"a mirror list",
			Repository{MirrorList: "https://m.example/$releasever/list", ReleaseVer: "2023"},
			[]ComponentURL{{URL: "https://m.example/2023/list", Source: SourceMirrorList}},
		},
		{"dollar signs that are none", Repository{BaseURL: "/srv/a$/$$/${}/${x"}, []ComponentURL{{URL: "file:///srv/a$/$$/$%7B%7D/$%7Bx"}}},
		{"a name ends at a dash", Repository{BaseURL: "/$releasever-stream", ReleaseVer: "10"}, []ComponentURL{{URL: "file:///10-stream"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.repo.BaseURLs(arm)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestBadBaseURLs(t *testing.T) {
	amd64 := Platform{"linux", "amd64", ""}
	tests := []struct {
		name string
		repo Repository
		p    Platform
		want string
	}{
		{"unknown variable", Repository{BaseURL: "https://a.example/$stream"}, amd64, "unknown variable $stream in https://a.example/$stream"},
		{"a name goes on", Repository{BaseURL: "/$basearch_x"}, amd64, "unknown variable $basearch_x in /$basearch_x"},
		{"a default", Repository{BaseURL: "/${releasever:-9}", ReleaseVer: "9"}, amd64, "unknown variable $releasever:-9 in /${releasever:-9}"},
		{"no releasever", Repository{BaseURL: "/$releasever"}, amd64, "$releasever has no value in /$releasever"},
		{"no minor part", Repository{BaseURL: "/$releasever_minor", ReleaseVer: "9"}, amd64, "$releasever_minor has no value: releasever 9 has no minor part"},
		{"no components", Repository{BaseURL: "/$component"}, amd64, "$component has no value in /$component"},
		{"no $component", Repository{BaseURL: "/a", Components: []string{"a"}}, amd64, "the repository has components, but there is no $component in /a"},
		{"another scheme", Repository{BaseURL: "ftp://a.example"}, amd64, "address ftp://a.example: not an http, https or file URL"},
		{"no host", Repository{BaseURL: "https:///a"}, amd64, "address https:///a: no host"},
		{"unknown platform", Repository{BaseURL: "/a"}, Platform{OS: "linux", Architecture: "mips"}, "unknown platform linux/mips"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := tt.repo.BaseURLs(tt.p); err == nil || err.Error() != tt.want {
				t.Errorf("%v, %v, want %s", got, err, tt.want)
			}
		})
	}
}

func TestKeyRefs(t *testing.T) {
	const fpr = "567E347AD0044ADE55BA8A5F199E2F91FD431D51"
	r := Repository{GPGKeys: []string{"keys/K-$releasever_major", "/etc/K", "https://a.example/$basearch", "builtin:ubi9/K#" + fpr}, ReleaseVer: "9.2", Dir: "/src"}
	got, err := r.KeyRefs(Platform{"linux", "386", ""})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]KeyRef{{"/src/keys/K-9", ""}, {"/etc/K", ""}, {"https://a.example/i386", ""}, {"builtin:ubi9/K", fpr}}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	r.GPGKeys = []string{"$component"}
	if got, err := r.KeyRefs(Platform{"linux", "amd64", ""}); err == nil {
		t.Errorf("a key of a component: %v", got)
	}
}
