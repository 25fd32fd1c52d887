package fetch

import (
	"fmt"
	"strings"
)

// Kind says what sort of thing went wrong.
type Kind uint8

const (
	Network     Kind = iota + 1 // not reached, timed out, broken off, overloaded (5xx, 429)
	NotFound                    // the server or the file system has no such file, or will not give it (other 4xx)
	Credentials                 // 401, 403, 407, and certificates that do not verify
	Mismatch                    // another size or digest than was asked for
	TooLarge                    // more than MaxSize
	Offline                     // not in the cache, and Options.Offline
	Local                       // the cache or a local file could not be read or written
	Invalid                     // the request itself: no or a bad URL, a bad digest
)

// String is a short name in words.
func (k Kind) String() string {
	names := [...]string{"unknown", "network", "not found", "credentials", "mismatch", "too large", "offline", "local", "invalid"}
	if int(k) < len(names) {
		return names[k]
	}
	return names[0]
}

// Attempt is one address that was tried, with the last thing that went wrong there.
type Attempt struct {
	URL  string // without password
	Kind Kind
	Err  error
}

// Error says that a file could not be had, and why not from each of its addresses. It unwraps to the attempts' errors.
// A canceled context is not an Error of its own kind: it is in the chain, for errors.Is.
type Error struct {
	URL      string // the first address of the request, without password
	Digest   string // what was asked for, "" when it was not known
	Kind     Kind   // the gravest of the attempts': Mismatch, TooLarge, Credentials, Local, Offline, NotFound, Network, in this order
	Attempts []Attempt
}

func (e *Error) Error() string {
	if len(e.Attempts) == 1 && e.Attempts[0].URL == e.URL {
		return fmt.Sprintf("fetching %s: %v", e.URL, e.Attempts[0].Err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "fetching %s", e.URL)
	if len(e.Attempts) > 1 {
		fmt.Fprintf(&b, ": none of %d addresses has it", len(e.Attempts))
	}
	for _, a := range e.Attempts {
		if a.URL == "" {
			fmt.Fprintf(&b, ": %v", a.Err)
			continue
		}
		fmt.Fprintf(&b, "; %s: %v", a.URL, a.Err)
	}
	return b.String()
}

// Unwrap returns the errors of the attempts.
func (e *Error) Unwrap() []error {
	list := make([]error, len(e.Attempts))
	for i, a := range e.Attempts {
		list[i] = a.Err
	}
	return list
}

// newError makes an Error of attempts, of which there is at least one.
func newError(url, digest string, attempts []Attempt) *Error {
	e := &Error{URL: url, Digest: digest, Attempts: attempts, Kind: attempts[0].Kind}
	for _, k := range []Kind{Mismatch, TooLarge, Credentials, Local, Offline, NotFound, Network} {
		for _, a := range attempts {
			if a.Kind == k {
				e.Kind = k
				return e
			}
		}
	}
	return e
}

// failure is an error with its kind, and whether trying again may help.
type failure struct {
	kind  Kind
	again bool
	err   error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func fail(kind Kind, format string, args ...any) *failure {
	return &failure{kind: kind, err: fmt.Errorf(format, args...)}
}

// broken is a failure of the network that may be over when one tries again.
func broken(format string, args ...any) *failure {
	return &failure{kind: Network, again: true, err: fmt.Errorf(format, args...)}
}
