package main

import (
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slim/builder"
)

type inspectJSON struct {
	Version int            `json:"version"`
	Image   string         `json:"image"`
	Digest  string         `json:"digest"`
	Images  []inspectedOne `json:"images"`
}

type inspectedOne struct {
	Platform string             `json:"platform"`
	Digest   string             `json:"digest"`
	Created  string             `json:"created"`
	Config   inspectedConfig    `json:"config"`
	Layers   []inspectedLayer   `json:"layers"`
	Database string             `json:"database,omitempty"`
	Format   string             `json:"database_format,omitempty"`
	Packages []inspectedPackage `json:"packages"`
	Users    []inspectedUser    `json:"users"`
	Stripped strippedJSON       `json:"stripped"`
	Followed string             `json:"dependencies,omitempty"`
	Unmet    []unmetJSON        `json:"unmet"`
	Skipped  []skippedJSON      `json:"skipped_scriptlets"`
	Paths    int                `json:"paths"`
	Size     int64              `json:"installed_size"`
}

// unmetJSON is a requirement that no package of the image meets.
type unmetJSON struct {
	RequiredBy string `json:"required_by"`
	Capability string `json:"capability"`
	Scriptlet  bool   `json:"scriptlet"` // only scriptlets need it
}

type skippedJSON struct {
	Package string `json:"package"`
	Slot    string `json:"slot"`
}

type inspectedConfig struct {
	Entrypoint  []string          `json:"entrypoint"`
	Cmd         []string          `json:"cmd"`
	Env         []string          `json:"env"`
	User        string            `json:"user"`
	WorkingDir  string            `json:"workdir"`
	Ports       []string          `json:"ports"`
	Volumes     []string          `json:"volumes"`
	StopSignal  string            `json:"stopsignal"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

type inspectedLayer struct {
	Digest    string `json:"digest"`
	DiffID    string `json:"diff_id"`
	MediaType string `json:"media_type"`
	Size      int64  `json:"size"`
	CreatedBy string `json:"created_by,omitempty"`
}

type inspectedPackage struct {
	NEVRA         string `json:"nevra"`
	Name          string `json:"name"`
	Epoch         uint32 `json:"epoch"`
	Version       string `json:"version"`
	Release       string `json:"release"`
	Arch          string `json:"arch"`
	InstalledSize int64  `json:"installed_size"`
	Files         int    `json:"files"`
	NotInstalled  int    `json:"not_installed"`
	SourceRPM     string `json:"source_rpm"`
	License       string `json:"license"`
	Vendor        string `json:"vendor,omitempty"`
}

type inspectedUser struct {
	Name string `json:"name"`
	UID  uint32 `json:"uid"`
	GID  uint32 `json:"gid"`
	Home string `json:"home"`
}

func newInspectCommand(env *environment) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "inspect IMAGE",
		Short: "Show an image's packages, layers, sizes, users and what was stripped",
		Long: `Inspect reads an image, slim's or not: docker://REFERENCE, oci:DIR[:TAG],
oci-archive:FILE, docker-archive:FILE, a .tar of slim's, or a plain registry
reference. It shows what the image says of itself; nothing is verified.`,
		GroupID: groupLook,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			found, err := builder.Inspect(cmd.Context(), args[0], builder.Options{WorkDir: env.getenv("TMPDIR")})
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(env.stdout, inspectAnswer(found))
			}
			out := &lines{w: env.stdout}
			for _, p := range found.Images {
				printInspection(out, found.Reference, p)
			}
			return out.err
		},
	}
	addJSONFlag(cmd, &asJSON)
	return cmd
}

func inspectAnswer(found *builder.InspectedImage) inspectJSON {
	doc := inspectJSON{Version: 1, Image: found.Reference, Digest: found.Digest, Images: []inspectedOne{}}
	for _, p := range found.Images {
		one := inspectedOne{
			Platform: p.Platform.String(), Digest: p.Digest, Created: p.Created.UTC().Format(time.RFC3339),
			Database: p.Database, Format: p.Format, Stripped: newStrippedJSON(p.Stripped), Paths: p.Files, Size: p.Installed,
			Packages: []inspectedPackage{}, Users: []inspectedUser{}, Layers: []inspectedLayer{},
			Followed: p.Dependencies, Unmet: []unmetJSON{}, Skipped: []skippedJSON{},
			Config: inspectedConfig{
				Entrypoint: p.Config.Entrypoint, Cmd: p.Config.Cmd, Env: p.Config.Env, User: p.Config.User, WorkingDir: p.Config.WorkingDir,
				Ports: keys(p.Config.ExposedPorts), Volumes: keys(p.Config.Volumes), StopSignal: p.Config.StopSignal,
				Labels: p.Config.Labels, Annotations: p.Annotations,
			},
		}
		for _, l := range p.Layers {
			one.Layers = append(one.Layers, inspectedLayer(l))
		}
		for _, pkg := range p.Packages {
			one.Packages = append(one.Packages, inspectedPackage{
				NEVRA: pkg.NEVRA.String(), Name: pkg.Name, Epoch: pkg.Epoch, Version: pkg.Version, Release: pkg.Release, Arch: pkg.Arch,
				InstalledSize: pkg.Size, Files: pkg.Files, NotInstalled: pkg.NotInstalled,
				SourceRPM: pkg.SourceRPM, License: pkg.License, Vendor: pkg.Vendor,
			})
		}
		for _, u := range p.Users {
			one.Users = append(one.Users, inspectedUser{Name: u.Name, UID: u.UID, GID: u.GID, Home: u.Home})
		}
		for _, u := range p.Unmet {
			one.Unmet = append(one.Unmet, unmetJSON{u.NEVRA.String(), u.Capability, u.Scriptlet})
		}
		for _, s := range p.Skipped {
			one.Skipped = append(one.Skipped, skippedJSON{s.Package, s.Slot})
		}
		doc.Images = append(doc.Images, one)
	}
	return doc
}

func keys(m map[string]struct{}) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

func printInspection(out *lines, reference string, p *builder.Inspection) {
	out.printf("%s for %s  %s\n", printable(reference), p.Platform, p.Digest)
	if name := p.OSRelease["PRETTY_NAME"]; name != "" {
		out.printf("  system    %s\n", printable(name))
	}
	out.printf("  created   %s\n", p.Created.UTC().Format(time.RFC3339))
	out.printf("  runs      %s\n", printable(strings.Join(append(append([]string{}, p.Config.Entrypoint...), p.Config.Cmd...), " ")))
	user := p.Config.User
	if user == "" {
		user = "0 (root)"
	}
	out.printf("  user      %s\n", printable(user))
	var names []string
	for _, u := range p.Users {
		names = append(names, fmt.Sprintf("%s(%d)", u.Name, u.UID))
	}
	out.printf("  users     %s\n", printable(strings.Join(names, " ")))
	var total int64
	for _, l := range p.Layers {
		total += l.Size
	}
	out.printf("  size      %s compressed, %s in %d paths\n", size(total), size(p.Installed), p.Files)
	out.printf("  layers    %d\n", len(p.Layers))
	for _, l := range p.Layers {
		out.printf("    %s %9s  %s\n", shortDigest(l.Digest), size(l.Size), printable(fit(l.CreatedBy, 90)))
	}
	if p.Database == "" {
		out.printf("  packages  none: the image has no rpmdb\n")
		return
	}
	out.printf("  packages  %d, in %s (%s)\n", len(p.Packages), p.Database, p.Format)
	for _, pkg := range p.Packages {
		out.printf("    %-44s %9s", printable(pkg.NEVRA.String()), size(pkg.Size))
		if pkg.NotInstalled > 0 {
			out.printf("  %d of %d files left out", pkg.NotInstalled, pkg.Files)
		}
		out.printf("\n")
	}
	out.printf("  left out %s\n", strippedText(p.Stripped))
	if p.Dependencies != "" {
		out.printf("  dependencies: %s\n", printable(p.Dependencies))
	}
	for _, u := range p.Unmet {
		format := "    %s requires %s, which is not there\n"
		if u.Scriptlet {
			format = "    scriptlets of %s require %s, which is not there\n"
		}
		out.printf(format, printable(u.NEVRA.String()), printable(u.Capability))
	}
	for i, s := range p.Skipped {
		if i == 0 {
			out.printf("  scriptlets that were skipped; what they would have made is missing\n")
		}
		out.printf("    %%%s of %s\n", printable(s.Slot), printable(s.Package))
	}
}

// shortDigest is the first digits of a digest, enough to tell layers apart.
func shortDigest(digest string) string {
	_, hex, _ := strings.Cut(digest, ":")
	return fit(hex, 12)
}
