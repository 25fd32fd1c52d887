package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// maxReason is how much of a registry's own words an error repeats.
const maxReason = 300

// RegistryError says that a registry was not reached or did not do what it was asked.
type RegistryError struct {
	Registry string // host and port
	Status   int    // of HTTP; 0 when there was no answer
	Err      error  // may hold requests with their queries: print the RegistryError, not this
}

// Error names no credentials and no queries of URLs, which may be signatures.
func (e *RegistryError) Error() string {
	switch e.Status {
	case 0:
		return fmt.Sprintf("reaching registry %s: %s", e.Registry, reason(e.Err))
	case http.StatusUnauthorized:
		return fmt.Sprintf("registry %s wants other credentials (log in with podman login or docker login): %s", e.Registry, reason(e.Err))
	case http.StatusForbidden:
		return fmt.Sprintf("registry %s forbids it to these credentials: %s", e.Registry, reason(e.Err))
	}
	return fmt.Sprintf("registry %s: %s", e.Registry, reason(e.Err))
}

func (e *RegistryError) Unwrap() error { return e.Err }

// localError is an error of what is sent, in the midst of a request.
type localError struct{ error }

func (e *localError) Unwrap() error { return e.error }

// RegistryErrorOf is err as a *RegistryError of the registry, if err comes from one; else err itself. Reading an
// artifact gives errors that are not yet so.
func RegistryErrorOf(registry string, err error) error {
	return registryError(context.Background(), registry, err)
}

func registryError(ctx context.Context, registry string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if local := (*localError)(nil); errors.As(err, &local) {
		return local.error
	}
	if known := (*RegistryError)(nil); errors.As(err, &known) {
		return err
	}
	if answer := (*transport.Error)(nil); errors.As(err, &answer) {
		return &RegistryError{Registry: registry, Status: answer.StatusCode, Err: err}
	}
	var request *url.Error
	var network net.Error
	if errors.As(err, &request) || errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return &RegistryError{Registry: registry, Err: err}
	}
	return err
}

// reason is what went wrong, in one short line without the queries of URLs.
func reason(err error) string {
	if answer := (*transport.Error)(nil); errors.As(err, &answer) {
		return short(answer.Error())
	}
	if request := (*url.Error)(nil); errors.As(err, &request) {
		return short(fmt.Sprintf("%s %s: %v", request.Op, bareURL(request.URL), innermost(request.Err)))
	}
	return short(err.Error())
}

// innermost keeps a nested request's URL from being printed whole.
func innermost(err error) string {
	if request := (*url.Error)(nil); errors.As(err, &request) {
		return fmt.Sprintf("%s %s: %v", request.Op, bareURL(request.URL), innermost(request.Err))
	}
	return err.Error()
}

func bareURL(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return "(unreadable URL)"
	}
	u.RawQuery, u.Fragment, u.User = "", "", nil
	return u.String()
}

func short(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > maxReason {
		return strings.ToValidUTF8(s[:maxReason], "") + " ..."
	}
	return s
}
