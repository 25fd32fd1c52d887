//go:build !linux

package builder

import (
	"fmt"
	"io/fs"
	"os"

	"slim/internal/rootfs"
)

const openFlags = os.O_RDONLY

// statNode refuses: other systems keep neither the owners nor the devices nor the capabilities of a Linux root.
func statNode(*rootfs.Node, fs.FileInfo) (inodeID, uint64, error) {
	return inodeID{}, 0, fmt.Errorf("a plain root can be read on Linux only")
}

func capabilitiesOf(*os.Root, string) ([]byte, error) { return nil, nil }
