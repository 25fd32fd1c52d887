package house

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The house rules: who imports whom, what the pure rooms may not touch, and that every package says what it is for.

// listed is what `go list` says of one package.
type listed struct {
	ImportPath, Name, Doc, Dir string
	Imports, GoFiles           []string
}

// room says what a package may import. Of the module itself: Own. Of other modules that have a door: Foreign.
type room struct {
	Own     []string
	Foreign []string
	Pure    bool // no files, processes, sockets, environment, clock, log
}

const (
	rpmutils   = "github.com/sassoftware/go-rpmutils"
	containers = "github.com/google/go-containerregistry"
	yamlModule = "gopkg.in/yaml.v3"
	cobra      = "github.com/spf13/cobra"
	sqlite     = "modernc.org/sqlite"
)

// rooms is the plan of the house. A new package needs a line here.
func rooms() map[string]room {
	rpm, rootfs, elf := "slim/internal/rpm", "slim/internal/rootfs", "slim/internal/elf"
	inner := []string{rpm, rootfs, elf, "slim/recipes"}
	for _, name := range []string{"repomd", "solve", "fetch", "scriptlet", "trim", "rpmdb", "image", "store", "audit", "execpath", "sbom", "report", "attest", "memory"} {
		inner = append(inner, "slim/internal/"+name)
	}
	return map[string]room{
		"slim/internal/tooltest":  {},
		"slim/internal/house":     {},
		"slim/cmd/slim":           {Own: []string{"slim/builder", "slim/recipes", "slim/internal/fetch", "slim/internal/memory"}, Foreign: []string{cobra}},
		"slim/builder":            {Own: inner, Foreign: []string{containers, yamlModule}},
		"slim/recipes":            {},
		"slim/internal/elf":       {Pure: true},
		"slim/internal/rpm":       {Foreign: []string{rpmutils}, Pure: true},
		"slim/internal/repomd":    {Own: []string{rpm}, Pure: true},
		"slim/internal/solve":     {Own: []string{rpm}, Pure: true},
		"slim/internal/rpmdb":     {Own: []string{rpm}, Pure: true},
		"slim/internal/rootfs":    {Own: []string{rpm}, Pure: true},
		"slim/internal/trim":      {Own: []string{rpm, rootfs}, Pure: true},
		"slim/internal/scriptlet": {Own: []string{rpm, rootfs, elf}, Pure: true},
		"slim/internal/audit":     {Own: []string{rpm, rootfs}, Pure: true},
		"slim/internal/execpath":  {Own: []string{rpm, rootfs, elf}, Pure: true},
		"slim/internal/sbom":      {Own: []string{rpm}, Pure: true},
		"slim/internal/report":    {Pure: true},
		"slim/internal/attest":    {Pure: true},
		"slim/internal/image":     {Own: []string{rpm, rootfs}, Foreign: []string{containers}},
		"slim/internal/store":     {Foreign: []string{containers}},
		"slim/internal/fetch":     {},
		"slim/internal/memory":    {},
		"slim/internal/rpmtest":   {},
	}
}

func TestDoors(t *testing.T) {
	plan := rooms()
	for _, p := range packages(t) {
		if len(p.GoFiles) == 0 {
			continue // tests only
		}
		r, ok := plan[p.ImportPath]
		if !ok {
			t.Errorf("%s is not in the plan of the house", p.ImportPath)
			continue
		}
		for _, path := range p.Imports {
			if isOwn(path) && !slices.Contains(r.Own, path) {
				t.Errorf("%s imports %s", p.ImportPath, path)
			}
			if door, ok := doorOf(path); ok && !slices.Contains(r.Foreign, door) {
				t.Errorf("%s imports %s", p.ImportPath, path)
			}
			if r.Pure && isImpure(path) {
				t.Errorf("%s is to be pure and imports %s", p.ImportPath, path)
			}
		}
	}
}

func isOwn(path string) bool { return strings.HasPrefix(path, "slim/") }

// doorOf is the module of path if only some packages may know that module.
func doorOf(path string) (string, bool) {
	for _, module := range []string{rpmutils, containers, yamlModule, cobra, sqlite} {
		if path == module || strings.HasPrefix(path, module+"/") {
			return module, true
		}
	}
	return "", false
}

func isImpure(path string) bool {
	switch path {
	case "os", "log", "log/slog", "net", "syscall", "path/filepath", "math/rand", "math/rand/v2", "crypto/rand":
		return true
	}
	return strings.HasPrefix(path, "os/") || path == "net/http" || strings.HasPrefix(path, "golang.org/x/sys")
}

func TestPackageComments(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.GoFiles) == 0 {
			continue
		}
		start := "Package " + p.Name + " "
		if p.Name == "main" {
			start = "Slim "
		}
		if !strings.HasPrefix(p.Doc, start) {
			t.Errorf("the comment of %s begins with %q, not with %q", p.ImportPath, p.Doc, start)
		}
	}
}

// TestSource looks for what no file of ours does: init functions anywhere, the clock, and a question for the system it
// runs on, in pure rooms and wherever the bytes of an image are made.
func TestSource(t *testing.T) {
	plan := rooms()
	for _, p := range packages(t) {
		for _, name := range p.GoFiles {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.FuncDecl:
					if n.Recv == nil && n.Name.Name == "init" {
						t.Errorf("%s/%s has an init function", p.ImportPath, name)
					}
				case *ast.SelectorExpr:
					x, ok := n.X.(*ast.Ident)
					if !ok || !plan[p.ImportPath].Pure && p.ImportPath != "slim/builder" && p.ImportPath != "slim/internal/image" {
						return true
					}
					if x.Name == "time" && isClock(n.Sel.Name) || x.Name == "runtime" && n.Sel.Name == "GOOS" {
						t.Errorf("%s/%s makes bytes of images and uses %s.%s", p.ImportPath, name, x.Name, n.Sel.Name)
					}
				}
				return true
			})
		}
	}
}

func isClock(name string) bool {
	switch name {
	case "Now", "Since", "Until", "Sleep", "After", "Tick", "NewTimer", "NewTicker", "Local":
		return true
	}
	return false
}

func packages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Name,Doc,Dir,Imports,GoFiles", "slim/...")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var list []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	if len(list) < 2 {
		t.Fatalf("go list knows %d packages", len(list))
	}
	return list
}
