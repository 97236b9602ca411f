//go:build servers

// Package servers names the program that is built, so that `go mod tidy` keeps what it needs.
package servers

import _ "go.etcd.io/etcd/server/v3"
