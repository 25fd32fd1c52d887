//go:build !linux

package memory

// HugePages does nothing: it is Linux that gives huge pages to who asks.
func HugePages() {}
