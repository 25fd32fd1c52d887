package memory

import (
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"unsafe"
)

// hugeHeap is as much of the heap as is asked for in huge pages: more than a build of a few hundred packages takes, and
// about as much as the catalog of 70 000 takes to make.
const hugeHeap = 192 << 20

// HugePages asks the kernel, once in a process, to back the heap that is about to be taken with huge pages, where it gives
// them to who asks (THP "madvise", the default of most distributions). A build touches all of that memory for the first
// time, and in a virtual machine each first touch can cost as much as unpacking the page does. It takes address space from
// Go's allocator, marks it and gives it back, so that the allocator uses it next.
var HugePages = sync.OnceFunc(func() {
	tuning.Lock()
	defer tuning.Unlock()
	percent := debug.SetGCPercent(-1) // a collection would begin at once, and find it all in use
	defer debug.SetGCPercent(percent)
	if reserve() {
		runtime.GC()
	}
})

// reserve takes the address space and marks it; nobody refers to it afterwards.
func reserve() bool {
	var b strings.Builder // which has its memory as it is, where make would touch all of it
	b.Grow(hugeHeap)
	b.WriteByte(0)
	return syscall.Madvise(unsafe.Slice(unsafe.StringData(b.String()), hugeHeap), syscall.MADV_HUGEPAGE) == nil
}
