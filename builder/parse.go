package builder

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// builtinPrefix marks what is among the built-in recipes, in extends and in Repository.GPGKeys.
const builtinPrefix = "builtin:"

// RecipeOptions change how a recipe is read. The zero value reads it as it is.
type RecipeOptions struct {
	// Set overrides keys of the repository, in order, before anything is checked.
	Set []Setting
	// WorkDir is where relative paths in Set start; "" is the process's working directory.
	WorkDir string
	// Builtin holds the recipes that builtin:DIR/NAME names, as DIR/NAME.yaml; nil has none.
	Builtin fs.FS
	// Platforms replaces the recipe's when it is not empty.
	Platforms []Platform
}

// Setting is one override, as of --set repository.baseurl=https://mirror.example/os. The value of a list is split at
// its commas; an empty one removes the key.
type Setting struct {
	Key   string // repository.KEY
	Value string
}

// ReadRecipe reads the recipe in the file at path, or the built-in one that builtin:DIR/NAME names, with all its
// parents. An error about what they say is a *RecipeError with every fault that was found; the others are about reading
// the file itself.
func ReadRecipe(path string, opts RecipeOptions) (*Recipe, error) {
	r, err := readRecipe(path, opts)
	if err != nil || len(opts.Set) == 0 {
		return r, err
	}
	opts.Set = nil
	if own, err := readRecipe(path, opts); err == nil { // without the settings it may lack something
		r.Own = &own.Repository
	}
	return r, nil
}

func readRecipe(path string, opts RecipeOptions) (*Recipe, error) {
	l := loader{opts: opts, shape: recipeShape()}
	chain, err := l.chain(path)
	if err != nil {
		return nil, err
	}
	var parents []*Recipe
	var folded *node
	for _, file := range slices.Backward(chain) {
		var f faults
		folded = l.fold(folded, file.tree, &f)
		r := l.decode(folded, file, &f)
		if err := f.err(); err != nil {
			return nil, err
		}
		r.Parents = parents
		parents = append([]*Recipe{r}, parents...)
	}
	return parents[0], nil
}

// loader reads recipe files.
type loader struct {
	opts  RecipeOptions
	shape *shape
}

// recipeFile is one file of a chain of parents.
type recipeFile struct {
	source *source
	id     string // the same for the same file
	sha256 string
	tree   *node
}

// chain reads a recipe and its parents, nearest first, and checks each of them. The faults of all files are reported
// together, the farthest parent's first, since they may be the cause of the others.
func (l *loader) chain(path string) ([]recipeFile, error) {
	var chain []recipeFile
	var all []Fault
	var from *node
	for {
		file, f, err := l.file(path, from)
		switch {
		case err != nil && from == nil:
			return nil, err
		case err != nil:
			f = &faults{}
			f.add(from.place, "", "extends: %v", err)
			return nil, &RecipeError{Faults: append(f.list, all...)}
		}
		if slices.ContainsFunc(chain, func(o recipeFile) bool { return o.id == file.id }) {
			f = &faults{}
			f.add(from.place, "", "extends: a loop: %s", loop(chain, file))
			return nil, &RecipeError{Faults: append(f.list, all...)}
		}
		f.sort()
		f.list = slices.DeleteFunc(f.list, func(fault Fault) bool { return slices.Contains(all, fault) })
		all = append(f.list, all...)
		chain = append(chain, file)
		from = file.tree.get("extends")
		if !from.is(kindString) || from.text == "" {
			break
		}
		if len(chain) > maxExtends {
			f = &faults{}
			f.add(from.place, "", "extends: more than %d recipes above %s", maxExtends, chain[0].source.file)
			return nil, &RecipeError{Faults: append(f.list, all...)}
		}
		path = from.text
	}
	if len(all) > 0 {
		return nil, &RecipeError{Faults: all}
	}
	return chain, nil
}

func loop(chain []recipeFile, again recipeFile) string {
	var files []string
	for _, c := range chain {
		files = append(files, c.source.file)
	}
	return strings.Join(append(files, again.source.file), " -> ")
}

// file reads the recipe that the value from names as its parent, or, without from, the user.
func (l *loader) file(path string, from *node) (recipeFile, *faults, error) {
	file, data, err := l.open(path, from)
	if err != nil {
		return recipeFile{}, nil, err
	}
	f := &faults{}
	file.sha256 = hexSHA256(data)
	file.tree = readDocument(data, file.source, f)
	if file.tree == nil {
		return file, f, nil
	}
	l.override(file.tree, f)
	newChecker(l.shape, f).value(file.tree, l.shape, "")
	if file.tree.is(kindMapping) {
		l.checkFile(file, f)
	}
	return file, f, nil
}

func (l *loader) open(name string, from *node) (recipeFile, []byte, error) {
	beside := from != nil && from.place.builtin
	if inner, ok := strings.CutPrefix(name, builtinPrefix); ok || beside {
		if !ok {
			inner = path.Join(from.place.dir, name)
		}
		return l.openBuiltin(inner)
	}
	abs := name
	if from != nil && !filepath.IsAbs(name) {
		abs = filepath.Join(from.place.dir, name)
		name = filepath.Join(filepath.Dir(from.place.file), name)
	}
	abs, err := filepath.Abs(abs)
	if err != nil {
		return recipeFile{}, nil, err
	}
	data, err := readLimited(func() (io.ReadCloser, error) { return os.Open(abs) })
	if err != nil {
		return recipeFile{}, nil, readError(name, err)
	}
	id := abs
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		id = real
	}
	return recipeFile{source: &source{file: name, dir: filepath.Dir(abs)}, id: id}, data, nil
}

func (l *loader) openBuiltin(inner string) (recipeFile, []byte, error) {
	inner = strings.TrimSuffix(inner, ".yaml")
	name := builtinPrefix + inner
	if l.opts.Builtin == nil {
		return recipeFile{}, nil, fmt.Errorf("reading %s: there are no built-in recipes", name)
	}
	data, err := readLimited(func() (io.ReadCloser, error) { return l.opts.Builtin.Open(inner + ".yaml") })
	if err != nil {
		return recipeFile{}, nil, readError(name, err)
	}
	return recipeFile{source: &source{file: name, dir: path.Dir(inner), builtin: true}, id: name}, data, nil
}

// readLimited reads one byte more than a recipe may have, so that the excess is seen.
func readLimited(open func() (io.ReadCloser, error)) ([]byte, error) {
	f, err := open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxRecipeSize+1))
}

// readError says the file's name as the user wrote it.
func readError(name string, err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return &ReadError{File: name, Err: err}
}

// ReadError is a recipe file that could not be read.
type ReadError struct {
	File string
	Err  error
}

func (e *ReadError) Error() string { return fmt.Sprintf("reading %s: %v", e.File, e.Err) }

// Unwrap returns the cause.
func (e *ReadError) Unwrap() error { return e.Err }

// override puts the settings into the repository of tree. A recipe that leaves the repository to its parent keeps doing so.
func (l *loader) override(tree *node, f *faults) {
	if !tree.is(kindMapping) || len(l.opts.Set) == 0 || tree.has("extends") && !tree.has("repository") {
		return
	}
	table, _ := l.shape.key("repository")
	repo := tree.get("repository")
	if repo == nil {
		repo = &node{kind: kindMapping, place: place{source: tree.place.source}}
		tree.entries = append(tree.entries, entry{"repository", repo.place, repo})
	}
	if !repo.is(kindMapping) {
		return
	}
	for _, set := range l.opts.Set {
		l.set(repo, table, set, f)
	}
}

func (l *loader) set(repo *node, table key, set Setting, f *faults) {
	at := place{source: &source{file: "--set " + set.Key, dir: l.workDir()}}
	name, ok := strings.CutPrefix(set.Key, "repository.")
	if !ok {
		f.add(at, "only the repository can be set, as in --set repository.baseurl=URL", "unknown key %q", set.Key)
		return
	}
	k, ok := table.key(name)
	if !ok {
		hint := "known are " + strings.Join(table.names(), ", ")
		if near := nearest(name, table.names()); near != "" {
			hint = "did you mean " + near + "?"
		}
		f.add(at, hint, "unknown key %q of the repository", name)
		return
	}
	for _, other := range table.exactlyOne {
		if slices.Contains(table.exactlyOne, name) && set.Value != "" {
			dropKey(repo, other)
		}
	}
	dropKey(repo, name)
	if name != "file" && slices.Contains(table.exactlyOne, name) {
		dropKey(repo, "ids")
	}
	if set.Value == "" {
		return
	}
	repo.entries = append(repo.entries, entry{name, at, l.setValue(k, set.Value, at)})
}

// setValue makes a value of the text of an option: relative paths start at the working directory.
func (l *loader) setValue(k key, text string, at place) *node {
	scalar := func(s string) *node {
		if isPathKey(k.name) && !isURL(s) && !strings.Contains(s, "://") && !filepath.IsAbs(s) {
			s = filepath.Join(at.dir, s)
		}
		return &node{kind: kindString, text: s, place: at}
	}
	if k.kinds&kindList != 0 {
		n := &node{kind: kindList, place: at}
		for s := range strings.SplitSeq(text, ",") {
			n.items = append(n.items, scalar(s))
		}
		return n
	}
	n := scalar(text)
	if k.kinds == kindBoolean && (text == "true" || text == "false") {
		n.kind = kindBoolean
	}
	return n
}

func isPathKey(name string) bool {
	return slices.Contains([]string{"baseurl", "mirrorlist", "metalink", "gpgkey", "file"}, name)
}

func dropKey(n *node, name string) {
	n.entries = slices.DeleteFunc(slices.Clone(n.entries), func(e entry) bool { return e.key == name })
}

func (l *loader) workDir() string {
	if l.opts.WorkDir != "" {
		return l.opts.WorkDir
	}
	dir, err := os.Getwd()
	if err != nil {
		return "."
	}
	return dir
}

// checkFile checks what no shape says: names that come from elsewhere, and addresses with their variables.
func (l *loader) checkFile(file recipeFile, f *faults) {
	if n := file.tree.get("name"); n == nil {
		if _, err := defaultName(file.source); err != nil {
			f.add(place{source: file.source}, "add name: to the recipe", "%v", err)
		}
	}
	for _, item := range file.tree.get("files").list() {
		if src := item.get("source"); src != nil && file.source.builtin {
			f.add(src.place, "", "a built-in recipe has no files beside it: %s", src.text)
		}
	}
	repo := file.tree.get("repository")
	if !repo.is(kindMapping) || repo.has("file") {
		if at := repo.get("file"); at != nil && at.place.builtin {
			f.add(at.place, "", "a built-in recipe has no repository beside it: %s", at.text)
		}
		return
	}
	l.checkRepository(repo, f)
}

func (l *loader) checkRepository(repo *node, f *faults) {
	r := decodeRepository(repo)
	addFault := func(n *node, err error) {
		var v *variableError
		hint := ""
		if errors.As(err, &v) {
			hint = v.hint
		}
		if err != nil {
			f.add(n.place, hint, "%v", err)
		}
	}
	for _, name := range []string{"baseurl", "mirrorlist", "metalink"} {
		n := repo.get(name)
		if !n.is(kindString) || checkAddress(n.text) != "" {
			continue // has its fault
		}
		err := r.checkVariables(n.text, true)
		if err == nil {
			_, err = fileURL(n.text, r.Dir)
		}
		if err == nil && n.place.builtin && !isURL(n.text) {
			err = errors.New("a built-in recipe has no repository beside it: " + n.text)
		}
		addFault(n, err)
	}
	for _, n := range repo.get("gpgkey").list() {
		addFault(n, r.checkVariables(n.text, false))
	}
}

// defaultName is the name of an image whose recipe says none: the base name of the file.
func defaultName(src *source) (string, error) {
	base := path.Base(filepath.ToSlash(src.file))
	base = strings.TrimSuffix(strings.TrimSuffix(base, ".yaml"), ".yml")
	if !newChecker(nil, nil).matches(patternComponent, base) || checkName(base) != "" {
		return "", fmt.Errorf("the file's name makes no image name: %q", base)
	}
	return base, nil
}
