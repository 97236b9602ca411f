//go:build servers

// Package servers names the programs that are built, so that `go mod tidy` keeps what they need.
package servers

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
)
