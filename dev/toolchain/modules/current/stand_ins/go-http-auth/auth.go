// Package auth stands in for a fork of go-http-auth that is in no module proxy. It lets nobody in: whoever wants basic
// or digest authentication of this build is refused instead of waved through.
package auth

import "net/http"

// BasicAuth knows nobody.
type BasicAuth struct {
	Realm   string
	Secrets func(user, realm string) string
}

// RequireAuth refuses the request.
func (*BasicAuth) RequireAuth(w http.ResponseWriter, _ *http.Request) { refuse(w) }

// CheckSecret says that no password is right.
func CheckSecret(_, _ string) bool { return false }

// DigestAuth knows nobody.
type DigestAuth struct{}

// NewDigestAuthenticator makes one that knows nobody.
func NewDigestAuthenticator(string, func(user, realm string) string) *DigestAuth { return &DigestAuth{} }

// CheckAuth names no user.
func (*DigestAuth) CheckAuth(*http.Request) (string, *string) { return "", nil }

// RequireAuth refuses the request.
func (*DigestAuth) RequireAuth(w http.ResponseWriter, _ *http.Request) { refuse(w) }

// RequireAuthStale refuses the request.
func (*DigestAuth) RequireAuthStale(w http.ResponseWriter, _ *http.Request) { refuse(w) }

// DigestAuthParams reads nothing.
func DigestAuthParams(string) map[string]string { return nil }

func refuse(w http.ResponseWriter) {
	http.Error(w, "this build cannot authenticate anybody", http.StatusUnauthorized)
}
