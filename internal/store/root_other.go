//go:build !linux

package store

import (
	"archive/tar"
	"errors"
	"time"
)

func (w *rootWriter) node(string, *tar.Header) error { return errors.ErrUnsupported }

func (w *rootWriter) capabilities(string, []byte) error { return errors.ErrUnsupported }

// linkTime leaves the time of a link as it is: nothing depends on it.
func (w *rootWriter) linkTime(string, time.Time) error { return nil }
