//go:build !race

package iam_test

import "time"

// limit is how long one pattern may take on one resource.
const limit = time.Millisecond
