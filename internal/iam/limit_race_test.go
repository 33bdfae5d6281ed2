//go:build race

package iam_test

import "time"

// limit is wider under the race detector, which makes every step dearer.
const limit = 20 * time.Millisecond
