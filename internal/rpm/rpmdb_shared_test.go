package rpm

import (
	"bytes"
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
	_ "modernc.org/sqlite"

	"slim/internal/tooltest"
)

// TestSharedInstalledHeaders checks the header of every package of two real systems' databases with the distribution's key.
func TestSharedInstalledHeaders(t *testing.T) {
	root := tooltest.Shared(t)
	all, err := filepath.Glob(filepath.Join(root, "rpms", "gomod+knqyf263+go-rpmdb*", "pkg", "testdata", "*", "rpmdb.sqlite.zst"))
	if err != nil || len(all) != 2 {
		t.Fatalf("%v, %v", all, err)
	}
	var keys Keyring
	for _, name := range []string{"fedora/RPM-GPG-KEY-fedora-35-primary", "azure-linux/MICROSOFT-RPM-GPG-KEY"} {
		b, err := os.ReadFile(filepath.Join(root, "rpms", "xsuchy+distribution-gpg-keys", "keys", name))
		if err != nil {
			t.Fatal(err)
		}
		if _, skipped, err := keys.Add(b); err != nil || skipped != nil {
			t.Fatal(skipped, err)
		}
	}
	for _, path := range all {
		n := 0
		for _, blob := range installed(t, path) {
			h := mustParse(t, blob)
			if h.Text(TagName) == "gpg-pubkey" {
				continue
			}
			n++
			if _, err := VerifyHeader(h, nil, &keys, false); err != nil {
				t.Errorf("%s: %v", filepath.Base(filepath.Dir(path)), err)
			}
			if _, err := VerifyHeader(h, nil, nil, false); kind(t, err) != KindWrongKey {
				t.Errorf("%s: without keys: %v", h.NEVRA(), err)
			}
			// The last byte of the region's data before its trailer is a string's end.
			changed := bytes.Clone(blob)
			i := bytes.LastIndex(changed, []byte("\x00\x00\x00\x3f\x00\x00\x00\x07"))
			changed[i-2] ^= 1
			if c, err := ParseHeader(changed); err == nil {
				if _, err := VerifyHeader(c, nil, &keys, true); kind(t, err) != KindBadDigest {
					t.Errorf("%s, changed: %v", h.NEVRA(), err)
				}
			}
		}
		if n < 100 {
			t.Errorf("%s: only %d packages", path, n)
		}
	}
}

// installed are the headers of a compressed sqlite database.
func installed(t *testing.T, path string) (blobs [][]byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	b, err = z.DecodeAll(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "rpmdb.sqlite")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query("SELECT blob FROM Packages ORDER BY hnum")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var blob []byte
		if err := rows.Scan(&blob); err != nil {
			t.Fatal(err)
		}
		blobs = append(blobs, blob)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return blobs
}
