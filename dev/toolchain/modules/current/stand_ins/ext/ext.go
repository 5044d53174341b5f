// Package ext has the extensions of Traefik's configuration in another edition. Here they are empty.
package ext

// HTTP is the extension of the HTTP configuration.
type HTTP struct{}

// Router is the extension of a router.
type Router struct{}
