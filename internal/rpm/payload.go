package rpm

// PayloadEntry is one entry of a payload.
type PayloadEntry struct {
	File       int   // index into Package.Files
	Size       int64 // bytes that follow in Read
	HasContent bool  // false: an earlier member of a hard link set whose content comes with the last, directories, links, devices
}

// Payload iterates a package's archive in its order.
type Payload struct{}

func (p *Payload) Next() (PayloadEntry, error) { panic("todo") }
func (p *Payload) Read(b []byte) (int, error)  { panic("todo") }
func (p *Payload) Close() error                { panic("todo") }
