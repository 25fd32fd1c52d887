//go:build !linux

package builder

// hugePages does nothing: it is Linux that gives huge pages to who asks.
func hugePages() {}
