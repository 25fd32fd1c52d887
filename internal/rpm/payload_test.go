package rpm

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
)

// fileHash is the algorithm of a header's FILEDIGESTS by its OpenPGP number.
func fileHash(h *Header) hash.Hash {
	algorithm, ok := h.Uint64(TagFileDigestAlg)
	switch {
	case !ok || algorithm == 1:
		return md5.New()
	case algorithm == 2:
		return sha1.New()
	case algorithm == 8:
		return sha256.New()
	case algorithm == 9:
		return sha512.New384()
	case algorithm == 10:
		return sha512.New()
	}
	return nil
}

// drain reads a whole payload and compares each content with the header's digest.
func drain(p *Package) error {
	pay, err := p.Payload()
	if err != nil {
		return err
	}
	defer pay.Close()
	sum := fileHash(p.Header())
	for {
		e, err := pay.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		f := p.Files()[e.File]
		sum.Reset()
		n, err := io.Copy(sum, pay)
		if err != nil {
			return err
		}
		if n != e.Size || !e.HasContent && n != 0 {
			return fmt.Errorf("%s: read %d of %d bytes", f.Path, n, e.Size)
		}
		if got := hex.EncodeToString(sum.Sum(nil)); e.HasContent && f.Digest != "" && got != f.Digest {
			return fmt.Errorf("%s: digest %s, in the header %s", f.Path, got, f.Digest)
		}
	}
}
