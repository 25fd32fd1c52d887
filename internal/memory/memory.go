// Package memory tells Go's collector and the kernel how a run of slim uses memory: what needs little is gone
// before there is anything to collect, a build takes a hundred megabytes of buffers and uses them again and again.
package memory

import (
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
)

const (
	// percent is GOGC where the environment has none. Most of a build's memory are buffers that it uses again, so that
	// collecting earlier costs next to nothing and takes a quarter off the peak.
	percent = 50

	// firstPercent is GOGC until the first collection. By the collector's minimal heap of 4 MB it puts that at 12 MB, which
	// a build of which everything is known does not reach.
	firstPercent = 300

	ballastSize = 16 << 20
)

// ballast is a part of the heap that nobody touches, so that it costs address space and no memory. The collector counts
// it and runs when there is as much to collect as is worth it: without it that is at every half more of a few megabytes,
// a dozen times before a build has begun.
var ballast strings.Builder

// tuning is held while GOGC is changed.
var tuning sync.Mutex

// Tune sets when the collector runs, for a program that has just begun. GOGC of the environment comes first.
func Tune() {
	if os.Getenv("GOGC") != "" {
		return
	}
	debug.SetGCPercent(firstPercent)
	// The first collection takes this value; the next one is planned with the ballast.
	runtime.AddCleanup(new([64]byte), func(struct{}) {
		tuning.Lock()
		defer tuning.Unlock()
		ballast.Grow(ballastSize) // which, unlike make, touches nothing
		debug.SetGCPercent(percent)
	}, struct{}{})
}
