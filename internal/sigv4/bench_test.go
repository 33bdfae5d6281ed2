package sigv4_test

import (
	"context"
	"testing"

	"trent/internal/sigv4"
)

// BenchmarkVerify is a typical request of an SDK: seven signed headers, a body
// of a few dozen bytes, the signing key in the cache.
func BenchmarkVerify(b *testing.B) {
	v, r := newVerifier(), plain()
	newSigner().sign(r, "amz-sdk-invocation-id", "amz-sdk-request", "content-length", "content-type", "host", "x-amz-date", "x-amz-target")
	mustVerify(b, v, r)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(context.Background(), r, noon); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyParallel(b *testing.B) {
	v, r := newVerifier(), signed()
	mustVerify(b, v, r)
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := v.Verify(context.Background(), r, noon); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkRefuse is what a request without a right signature costs.
func BenchmarkRefuse(b *testing.B) {
	v := newVerifier()
	known, unknown := pair()
	for _, c := range []struct {
		name    string
		request *sigv4.Request
	}{{"known", known}, {"unknown", unknown}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(context.Background(), c.request, noon); err == nil {
					b.Fatal("verified")
				}
			}
		})
	}
}
