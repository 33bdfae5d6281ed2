// Package api is the vocabulary of the KMS protocol: the request and the
// answer of every operation, the enums, the error codes and the constraints.
//
// Nearly all of it is generated from the service's own description
// (model/kms.json) and from what the description leaves out or gets wrong
// (model/overlay.json). Generated code reads, checks and writes JSON without
// reflection; the pieces it is put together from are written by hand: decode.go,
// validate.go and encode.go.
//
// The package knows what a well-formed request looks like and nothing about
// what a request means: that is the work of package action.
package api

//go:generate go run ./gen
