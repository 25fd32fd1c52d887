package builder

// The phases of a build, in their order. A phase that has nothing to do may be missing.
const (
	PhaseMetadata = "metadata" // repository metadata is fetched and read
	PhasePlan     = "plan"     // the packages are chosen
	PhaseHeaders  = "headers"  // headers of packages are fetched and verified
	PhasePackages = "packages" // packages are fetched and verified
	PhaseTree     = "tree"     // the root is assembled and trimmed
	PhaseLayers   = "layers"   // layers are written and compressed
	PhaseDelivery = "delivery" // the image goes where it was sent
)

// Event says how far a build is. Done and Total are bytes, Items and TotalItems pieces of the phase (packages, layers);
// a total of 0 is unknown. The numbers are those of the whole phase so far, not what was added since the last event.
type Event struct {
	Phase      string // one of the Phase constants
	Done       int64
	Total      int64
	Items      int
	TotalItems int
	Message    string // a warning or remark for the user; "" when only numbers changed
}

// Reporter receives events. It may be called by several goroutines at once and must not block for long. A nil Reporter
// discards them.
type Reporter func(Event)

// Report hands e to r.
func (r Reporter) Report(e Event) {
	if r != nil {
		r(e)
	}
}
