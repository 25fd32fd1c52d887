package store

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for in, want := range map[string]Ref{
		"oci:out":                  {Kind: KindOCI, Path: "out"},
		"oci:/a/b:tag":             {Kind: KindOCI, Path: "/a/b", Tag: "tag"},
		"oci:d:host/name:1.2":      {Kind: KindOCI, Path: "d", Tag: "host/name:1.2"},
		"oci-archive:f.tar":        {Kind: KindOCIArchive, Path: "f.tar"},
		"oci-archive:f.tar:t":      {Kind: KindOCIArchive, Path: "f.tar", Tag: "t"},
		"docker-archive:f.tar":     {Kind: KindDockerArchive, Path: "f.tar"},
		"docker-archive:f.tar:a:b": {Kind: KindDockerArchive, Path: "f.tar", Tag: "a:b"},
		"dir:a:b":                  {Kind: KindDir, Path: "a:b"},
		"httpd.tar":                {Kind: KindTar, Path: "httpd.tar"},
		"./x/httpd.tar":            {Kind: KindTar, Path: "./x/httpd.tar"},
	} {
		got, err := Parse(in)
		if err != nil || got != want {
			t.Errorf("Parse(%q) is %+v, %v; want %+v", in, got, err, want)
		}
		if got.String() != in {
			t.Errorf("Parse(%q) prints %q", in, got)
		}
	}
}

func TestParseRegistry(t *testing.T) {
	for in, want := range map[string]string{
		"docker://localhost:5000/a/b:1": "localhost:5000/a/b:1",
		"localhost:5000/a/b":            "localhost:5000/a/b:latest",
		"ubi9":                          "index.docker.io/library/ubi9:latest",
		"quay.io/x@sha256:" + strings.Repeat("a", 64): "quay.io/x@sha256:" + strings.Repeat("a", 64),
	} {
		got, err := Parse(in)
		if err != nil {
			t.Errorf("Parse(%q): %v", in, err)
			continue
		}
		if got.Kind != KindDocker || got.Reference.Name() != want {
			t.Errorf("Parse(%q) is %s of %s, want %s", in, got.Reference.Name(), got.Kind, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"":                            "parsing reference",
		"oci:":                        "no path",
		"oci::t":                      "no path",
		"oci:d:":                      "nothing after the last colon",
		"oci:d:a b":                   "no name for an image",
		"docker-archive:f:UPPER":      "repository can only contain",
		"dir:":                        "no path",
		"./out":                       "needs a kind",
		"/out":                        "needs a kind",
		"docker-daemon:x":             "is not supported",
		"https://host/x":              "without a scheme",
		"docker://UPPER/x/Y":          "parsing reference",
		"docker://u:secret@host/x":    "credentials do not belong",
		"u:secret@host:5000/x:1":      "credentials do not belong",
		"a\nb":                        "not one line",
		strings.Repeat("a", maxRef+1): "too long",
	} {
		got, err := Parse(in)
		if err == nil {
			t.Errorf("Parse(%.50q) is %+v, want an error", in, got)
			continue
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%.50q): %v; want %q", in, err, want)
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("Parse(%q) tells the password: %v", in, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"oci:a:b", "docker://h:1/a@sha256:x", "x.tar", "dir:a:b", "docker-archive:a:b:c", "u:p@h/x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := Parse(s)
		if err != nil {
			return
		}
		again, err := Parse(r.String())
		if err != nil {
			t.Fatalf("%q is %q, which is refused: %v", s, r, err)
		}
		if again.String() != r.String() || again.Kind != r.Kind {
			t.Errorf("%q is %q, which is %q", s, r, again)
		}
	})
}
