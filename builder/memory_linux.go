package builder

import (
	"runtime"
	"sync"
	"syscall"
)

// hugeHeap is as much of the heap as is asked for in huge pages: what a build of a few hundred packages takes.
const hugeHeap = 96 << 20

// hugePages asks the kernel to back the heap that a build is about to take with huge pages, where it gives them to who
// asks (THP "madvise", the default of most distributions). A build touches all of that memory for the first time, and in a
// virtual machine each first touch costs as much as unpacking a page does. It takes address space from Go's allocator,
// marks it and gives it back, so that the allocator uses it next; no memory is touched here.
var hugePages = sync.OnceFunc(func() {
	if syscall.Madvise(make([]byte, hugeHeap), syscall.MADV_HUGEPAGE) == nil {
		runtime.GC()
	}
})
