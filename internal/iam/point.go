package iam

import (
	"cmp"
	"math"
	"strconv"
	"strings"
	"time"
)

// A point is a number or an instant: whole + nano/1e9, in seconds since 1970
// where it is an instant. It is exact, so that equal means equal.
type point struct {
	whole int64
	nano  int32 // 0 … 999,999,999
}

func (p point) compare(q point) int {
	return cmp.Or(cmp.Compare(p.whole, q.whole), cmp.Compare(p.nano, q.nano))
}

// parseNumber takes a decimal number: a sign if negative, digits, and if there
// is a point, digits behind it. What it cannot hold exactly it refuses: over 64
// bits, or more than nine decimals that are not zero.
func parseNumber(s string) (point, bool) {
	digits, negative := strings.CutPrefix(s, "-")
	whole, decimals, pointed := strings.Cut(digits, ".")
	if !allDigits(whole) || pointed && !allDigits(decimals) {
		return point{}, false
	}
	n, err := strconv.ParseInt(s[:len(s)-len(digits)+len(whole)], 10, 64)
	nano, ok := parseNano(decimals)
	if err != nil || !ok {
		return point{}, false
	}
	if negative && nano > 0 {
		if n == math.MinInt64 {
			return point{}, false
		}
		return point{n - 1, 1e9 - nano}, true
	}
	return point{n, nano}, true
}

// parseNano reads decimals as billionths.
func parseNano(decimals string) (int32, bool) {
	decimals = strings.TrimRight(decimals, "0")
	if len(decimals) > 9 {
		return 0, false
	}
	var nano int32
	for i := range 9 {
		nano *= 10
		if i < len(decimals) {
			nano += int32(decimals[i] - '0')
		}
	}
	return nano, true
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// parseDate takes an instant in one of the six forms of the W3C note on date
// and time formats (2026, 2026-01, 2026-01-02, 2026-01-02T03:04Z, …:05Z and
// …:05.6Z, with Z or +hh:mm), or as seconds since 1970. Four digits are a year.
func parseDate(s string) (point, bool) {
	if isYear := len(s) == 4 && allDigits(s); !isYear && (len(s) < 5 || s[4] != '-') {
		return parseNumber(s)
	}
	d := dateReader{rest: s, ok: true}
	year, month, day := d.digits(4, 0, 9999), 1, 1
	var seconds, nano int
	if d.skip("-") {
		month = d.digits(2, 1, 12)
		if d.skip("-") {
			day = d.digits(2, 1, 31)
			if d.skip("T") {
				seconds, nano = d.clock()
			}
		}
	}
	t := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	ok := d.ok && d.rest == "" && t.Day() == day
	return point{t.Unix() + int64(seconds), int32(nano)}, ok
}

// A dateReader takes fields off the front of a text.
type dateReader struct {
	rest string
	ok   bool
}

func (d *dateReader) skip(s string) bool {
	rest, ok := strings.CutPrefix(d.rest, s)
	d.rest = rest
	return ok
}

// digits reads a field of exactly so many digits.
func (d *dateReader) digits(width, least, most int) int {
	if len(d.rest) < width || !allDigits(d.rest[:width]) {
		d.ok = false
		return least
	}
	n, _ := strconv.Atoi(d.rest[:width]) // four digits at most
	d.rest = d.rest[width:]
	d.ok = d.ok && n >= least && n <= most
	return n
}

// clock reads hh:mm[:ss[.s]] and the zone, and gives the seconds since the
// day began in Greenwich.
func (d *dateReader) clock() (seconds, nano int) {
	seconds = d.digits(2, 0, 23) * 3600
	d.ok = d.skip(":") && d.ok
	seconds += d.digits(2, 0, 59) * 60
	if d.skip(":") {
		seconds += d.digits(2, 0, 59)
		if d.skip(".") {
			nano = d.decimals()
		}
	}
	return seconds - d.zone(), nano
}

func (d *dateReader) decimals() int {
	n := len(d.rest) - len(strings.TrimLeft(d.rest, "0123456789"))
	nano, ok := parseNano(d.rest[:n])
	d.rest = d.rest[n:]
	d.ok = d.ok && ok && n > 0
	return int(nano)
}

// zone reads Z or +hh:mm, in seconds east of Greenwich.
func (d *dateReader) zone() int {
	sign := 1
	switch {
	case d.skip("Z"):
		return 0
	case d.skip("-"):
		sign = -1
	case d.skip("+"):
	default:
		d.ok = false
	}
	hours := d.digits(2, 0, 23)
	d.ok = d.skip(":") && d.ok
	return sign * (hours*3600 + d.digits(2, 0, 59)*60)
}
