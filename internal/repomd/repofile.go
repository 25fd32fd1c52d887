package repomd

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// RepoSection is one repository of a .repo file, as dnf.conf(5) describes them. Variables ($releasever, $basearch) are
// not expanded, in ID neither.
type RepoSection struct {
	ID           string
	Line         int // of its [ID]
	Name         string
	BaseURL      []string
	MirrorList   string
	Metalink     string
	GPGKey       []string
	Enabled      bool  // true when the file does not say
	GPGCheck     *bool // nil when the file does not say
	RepoGPGCheck *bool
	// Options are all options as they are written, those above too. Lines of one value are joined by newlines.
	Options map[string]string
}

// List splits the value of an option at blanks, commas and line ends, as dnf does.
func (s RepoSection) List(option string) []string {
	return strings.FieldsFunc(s.Options[option], func(r rune) bool {
		return r == ' ' || r == '\t' || r == '\n' || r == ','
	})
}

// Bool is the value of an option as dnf reads it, nil when it is not there.
func (s RepoSection) Bool(option string) (*bool, error) {
	v, ok := s.Options[option]
	if !ok {
		return nil, nil
	}
	b := false
	switch strings.ToLower(v) {
	case "1", "yes", "true", "on":
		b = true
	case "0", "no", "false", "off":
	default:
		return nil, fmt.Errorf("[%s]: %s = %q is neither true nor false", s.ID, option, v)
	}
	return &b, nil
}

// ParseRepoFile reads a .repo file. Its sections come in the file's order; [main] is left out. Of an option that is there
// twice the last one counts, as for dnf; a section that is there twice is an error.
func ParseRepoFile(r io.Reader) ([]RepoSection, error) {
	list, err := parseSections(r)
	if err == nil {
		for i := range list {
			if err = list[i].interpret(); err != nil {
				err = fmt.Errorf("line %d: %w", list[i].Line, err)
				break
			}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("reading .repo file: %w", err)
	}
	kept := list[:0]
	for _, s := range list {
		if s.ID != "main" {
			kept = append(kept, s)
		}
	}
	return kept, nil
}

func parseSections(r io.Reader) ([]RepoSection, error) {
	var list []RepoSection
	lines := map[string]int{} // where each section begins
	option := ""              // that a line beginning with a blank continues
	in := bufio.NewScanner(&bounded{r: r, left: MaxIndexSize})
	in.Buffer(nil, MaxString)
	for n := 1; in.Scan(); n++ {
		line := in.Text()
		if n == 1 {
			line = strings.TrimPrefix(line, "\ufeff")
		}
		text := strings.TrimSpace(line)
		switch {
		case text == "":
			option = ""
		case line[0] == '#' || line[0] == ';':
		case line[0] == '[':
			id, err := sectionID(text)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", n, err)
			}
			if lines[id] > 0 {
				return nil, fmt.Errorf("line %d: section [%s] is in line %d already", n, id, lines[id])
			}
			lines[id] = n
			list = append(list, RepoSection{ID: id, Line: n, Options: map[string]string{}})
			option = ""
		case len(list) == 0:
			return nil, fmt.Errorf("line %d: %q stands before the first [section]", n, clip([]byte(text)))
		case line[0] == ' ' || line[0] == '\t':
			if option == "" {
				return nil, fmt.Errorf("line %d: %q continues no option", n, clip([]byte(text)))
			}
			options := list[len(list)-1].Options
			if len(options[option])+len(text) > MaxString {
				return nil, fmt.Errorf("line %d: option %s has more than %d bytes", n, option, MaxString)
			}
			options[option] = strings.TrimPrefix(options[option]+"\n"+text, "\n")
		default:
			key, value, ok := strings.Cut(text, "=")
			if option = strings.TrimSpace(key); !ok || option == "" {
				return nil, fmt.Errorf("line %d: %q is not option=value", n, clip([]byte(text)))
			}
			list[len(list)-1].Options[option] = strings.TrimSpace(value)
		}
	}
	return list, in.Err()
}

func sectionID(text string) (string, error) {
	end := strings.IndexByte(text, ']')
	if end < 0 {
		return "", fmt.Errorf("%q has no ]", clip([]byte(text)))
	}
	id, rest := strings.TrimSpace(text[1:end]), strings.TrimSpace(text[end+1:])
	if id == "" || hasControl(id) || rest != "" && rest[0] != '#' && rest[0] != ';' {
		return "", fmt.Errorf("%q is not [section]", clip([]byte(text)))
	}
	return id, nil
}

func (s *RepoSection) interpret() error {
	s.Name = s.Options["name"]
	s.MirrorList = s.Options["mirrorlist"]
	s.Metalink = s.Options["metalink"]
	s.BaseURL = s.List("baseurl")
	s.GPGKey = s.List("gpgkey")
	enabled, err := s.Bool("enabled")
	if err != nil {
		return err
	}
	s.Enabled = enabled == nil || *enabled
	if s.GPGCheck, err = s.Bool("gpgcheck"); err != nil {
		return err
	}
	s.RepoGPGCheck, err = s.Bool("repo_gpgcheck")
	return err
}
