package crypt_test

import (
	"fmt"
	"testing"

	"trent/internal/crypt"
	"trent/internal/secret"
)

var usual = map[string]string{"tenant": "a", "table": "invoices"}

func BenchmarkSeal(b *testing.B) {
	for _, n := range []int{32, 4096} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			k, plain := newKey(b, cluster, materialA), crypt.Random(n)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.Seal(plain, usual); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, n := range []int{32, 4096} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			k := newKey(b, cluster, materialA)
			raw, err := k.Seal(crypt.Random(n), usual)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				blob, err := crypt.ParseBlob(raw)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := k.Open(blob, usual); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkMaterialID(b *testing.B) {
	m := secret.New(materialA)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := crypt.MaterialIDOf(keyID, m); err != nil {
			b.Fatal(err)
		}
	}
}
