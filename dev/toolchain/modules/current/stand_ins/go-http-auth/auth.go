// Package auth replaces a fork of go-http-auth that no module proxy has. It refuses every login, so basic and digest
// authentication are not usable in this build, but never let a request through.
package auth

import "net/http"

// BasicAuth refuses every user.
type BasicAuth struct {
	Realm   string
	Secrets func(user, realm string) string
}

// RequireAuth refuses the request.
func (*BasicAuth) RequireAuth(w http.ResponseWriter, _ *http.Request) { refuse(w) }

// CheckSecret returns false for every password.
func CheckSecret(_, _ string) bool { return false }

// DigestAuth refuses every user.
type DigestAuth struct{}

// NewDigestAuthenticator returns an authenticator that refuses every user.
func NewDigestAuthenticator(string, func(user, realm string) string) *DigestAuth {
	return &DigestAuth{}
}

// CheckAuth returns no user.
func (*DigestAuth) CheckAuth(*http.Request) (string, *string) { return "", nil }

// RequireAuth refuses the request.
func (*DigestAuth) RequireAuth(w http.ResponseWriter, _ *http.Request) { refuse(w) }

// RequireAuthStale refuses the request.
func (*DigestAuth) RequireAuthStale(w http.ResponseWriter, _ *http.Request) { refuse(w) }

// DigestAuthParams returns no parameters.
func DigestAuthParams(string) map[string]string { return nil }

func refuse(w http.ResponseWriter) {
	http.Error(w, "this build cannot authenticate anybody", http.StatusUnauthorized)
}
