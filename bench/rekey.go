package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// A steady load that leaves the machine room: what a saturated one would tell is how two programs
// share processors.
const (
	rekeyRate  = 2000 // GenerateDataKey a second
	rekeyConns = 16
)

// rekey measures new root keys for a store of many keys, and what who uses keys meanwhile notices.
func (b *bench) rekey() error {
	t, err := b.newTrent("rekey", false)
	if err != nil {
		return err
	}
	defer func() { _ = t.stop() }()
	ids, err := b.create(t, b.keys, 64, 0)
	if err != nil {
		return err
	}
	steady := load{target: "GenerateDataKey", body: `{"KeyId":"` + ids[0] + `","KeySpec":"AES_256"}`, conns: rekeyConns, extra: []string{
		"-rate", strconv.Itoa(rekeyRate), "-duration", "5s",
	}}
	before, err := b.drive(t.process, t, steady)
	if err != nil {
		return err
	}
	began := time.Now()
	took := make(chan time.Duration, 1)
	failed := make(chan error, 1)
	go func() {
		var made json.RawMessage
		failed <- b.call(t, &made, "rekey")
		took <- time.Since(began)
	}()
	var during []result
	for underWay := true; underWay; {
		r, err := b.drive(t.process, t, load{target: steady.target, body: steady.body, conns: steady.conns, extra: []string{"-rate", strconv.Itoa(rekeyRate), "-duration", "1s", "-warmup", "0s"}})
		if err != nil {
			return err
		}
		during = append(during, r)
		select {
		case err := <-failed:
			if err != nil {
				return err
			}
			underWay = false
		default:
		}
	}
	if len(during) > 1 {
		during = during[:len(during)-1] // the last one went on when it had ended
	}
	m := medians(during)
	fmt.Fprintf(b.out, "rekey of %d keys: %.1f s; GenerateDataKey at %d a second: p50 %.0f µs, p99 %.0f µs before; p50 %.0f µs, p99 %.0f µs meanwhile (medians of %d seconds), %.2f ×\n",
		b.keys, (<-took).Seconds(), rekeyRate, before.P50, before.P99, m.P50, m.P99, len(during), m.P99/before.P99)
	return nil
}
