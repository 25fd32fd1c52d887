package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	served "github.com/google/go-containerregistry/pkg/registry"
	"github.com/rogpeppe/go-internal/testscript"

	"slim/internal/tooltest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"slim": main})
}

// The scripts say "exits CODE PROGRAM ARGUMENT..." for a command that is to end with a certain exit code, and "old FILE"
// to make a file one that was last used a day ago; [root] holds for root. [registry] holds where there is docker-registry, and
// "registry" sets REGISTRY to the HOST:PORT of one that all scripts have in common. REPO is the repository of the demo distribution, and its key lies in
// the script's directory. REFERRERS is a registry that has the referrers API, and KEYS the
// directory of the keys to sign with.
func TestScripts(t *testing.T) {
	testdata, err := filepath.Abs("../../testdata")
	if err != nil {
		t.Fatal(err)
	}
	registry := sync.OnceValue(func() string {
		address, _ := tooltest.Registry(t, "", "")
		return address
	})
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "root":
				return os.Getuid() == 0, nil
			case "registry":
				_, err := exec.LookPath("docker-registry")
				if err != nil && os.Getenv("CI") == "true" {
					return false, err
				}
				return err == nil, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir+"/home")
			env.Setenv("REPO", testdata+"/repo/$basearch")
			env.Setenv("KEYS", testdata+"/keys")
			server := httptest.NewServer(served.New(served.WithReferrersSupport(true), served.Logger(log.New(io.Discard, "", 0))))
			env.Defer(server.Close)
			env.Setenv("REFERRERS", strings.TrimPrefix(server.URL, "http://"))
			key, err := os.ReadFile(testdata + "/keys/RPM-GPG-KEY-demo")
			if err != nil {
				return err
			}
			return os.WriteFile(env.WorkDir+"/RPM-GPG-KEY-demo", key, 0o666)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"old": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) != 1 {
					ts.Fatalf("usage: old FILE")
				}
				yesterday := time.Now().Add(-24 * time.Hour)
				ts.Check(os.Chtimes(ts.MkAbs(args[0]), yesterday, yesterday))
			},
			"registry": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) != 0 {
					ts.Fatalf("usage: registry")
				}
				ts.Setenv("REGISTRY", registry())
			},
			"exits": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) < 2 {
					ts.Fatalf("usage: exits CODE PROGRAM ARGUMENT...")
				}
				want, err := strconv.Atoi(args[0])
				ts.Check(err)
				err = ts.Exec(args[1], args[2:]...)
				got := 0
				var exit *exec.ExitError
				if errors.As(err, &exit) {
					got = exit.ExitCode()
				} else {
					ts.Check(err)
				}
				if got != want {
					ts.Fatalf("exit code %d, want %d", got, want)
				}
			},
		},
	})
}
