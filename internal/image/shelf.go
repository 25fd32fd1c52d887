package image

import (
	"bytes"
	"sync"
)

// MemoryShelf is a Shelf in memory, for what is small. The zero value is empty.
type MemoryShelf struct {
	mu      sync.Mutex
	entries map[string][]byte
}

// Open opens an entry.
func (m *MemoryShelf) Open(kind, key string) (Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.entries[kind+"/"+key]
	if !ok {
		return nil, nil
	}
	return memoryEntry{bytes.NewReader(b)}, nil
}

// Has reports whether there is an entry.
func (m *MemoryShelf) Has(kind, key string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.entries[kind+"/"+key]
	return ok
}

// Create begins an entry.
func (m *MemoryShelf) Create() (Draft, error) { return &memoryDraft{shelf: m}, nil }

type memoryEntry struct{ *bytes.Reader }

func (memoryEntry) Close() error { return nil }

type memoryDraft struct {
	bytes.Buffer
	shelf *MemoryShelf
}

func (d *memoryDraft) Commit(kind, key string) error {
	d.shelf.mu.Lock()
	defer d.shelf.mu.Unlock()
	if d.shelf.entries == nil {
		d.shelf.entries = map[string][]byte{}
	}
	d.shelf.entries[kind+"/"+key] = d.Bytes()
	return nil
}

func (d *memoryDraft) Discard() { d.Reset() }
