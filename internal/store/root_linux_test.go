package store_test

import (
	"bytes"
	"os"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slim/internal/store"
)

func TestRootAsRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("skipped: needs root")
	}
	d := t.TempDir() + "/deep/root"
	r := write(t, "dir:"+d, single(t, newImage(t, "amd64", layer(t, "gzip", rootNodes()...))), store.Options{})
	want := `. dr-xr-xr-x 0:0 1600000000
closed dr-x------ 0:0 1700000000
closed/in -rwxr-xr-x 0:0 1700000000 = /closed/in (1)
dev drwxr-xr-x 0:0 1700000000
dev/null Dcrw-rw-rw- 0:0 1700000000 259
fifo prw-r----- 0:0 1700000000
lib Lrwxrwxrwx 0:0 1700000000 -> usr/lib
tmp dtrwxrwxrwx 0:0 1700000000
usr drwxr-xr-x 0:0 1700000000
usr/bin drwxr-xr-x 0:0 1700000000
usr/bin/ping -rwxr-xr-x 0:0 1700000000 = /usr/bin/ping (2)
usr/bin/ping6 -rwxr-xr-x 0:0 1700000000 = /usr/bin/ping (2)
usr/bin/su urwxr-xr-x 7:8 1700000000 = /usr/bin/su (1)
`
	if len(r.Unset) > 0 {
		t.Errorf("could not set: %s", r.Unset)
	}
	if diff := cmp.Diff(want, list(t, d)); diff != "" {
		t.Errorf("root (-want +got):\n%s", diff)
	}
	value := make([]byte, 64)
	n, err := syscall.Getxattr(d+"/usr/bin/ping6", "security.capability", value)
	if err != nil || !bytes.Equal(value[:n], pingCaps) {
		t.Errorf("capabilities are % x, %v", value[:max(n, 0)], err)
	}
}
