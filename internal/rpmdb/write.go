package rpmdb

import (
	"errors"
	"fmt"
)

// Files are the files of a database of packages, by their names in its directory. The packages are numbered from 1 in their
// order; all have the transaction tid, and package i is installed at tid+i, as rpm counts with SOURCE_DATE_EPOCH. The same
// packages give the same bytes.
func Files(format Format, packages []Package, tid uint32) (map[string][]byte, error) {
	var headers, index []byte
	var err error
	switch format {
	case SQLite:
		headers, err = sqliteFile(packages, tid)
	case NDB:
		headers, index, err = ndbFiles(packages, tid)
	case BDB:
		headers, err = bdbFile(packages, tid)
	default:
		err = errors.New("there is no such format")
	}
	if err != nil {
		return nil, fmt.Errorf("writing %s rpmdb: %w", format, err)
	}
	files := map[string][]byte{format.FileName(): headers}
	if index != nil {
		files["Index.db"] = index
	}
	return files, nil
}
