package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"trent/internal/vitals"
)

// metricsTimeout bounds how long one reader of the metrics may take, to ask and to be answered.
const metricsTimeout = 10 * time.Second

// vitalsCollector shows the vitals as they are when it is asked. Their labels name no key, no
// account and no place: what is on the board is for operators, and this is for a network.
type vitalsCollector struct {
	all                 func() []vitals.Vital
	ok, checked, goodAt *prometheus.Desc
}

func newVitalsCollector(all func() []vitals.Vital) *vitalsCollector {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("trent_vital_"+name, help, []string{"kind", "name"}, nil)
	}
	return &vitalsCollector{
		all:     all,
		ok:      desc("ok", "Whether it is in order, 1 or 0: a root of trust opens the store, the clock is believed, and so on."),
		checked: desc("checked_timestamp_seconds", "When that was looked at last."),
		goodAt:  desc("last_ok_timestamp_seconds", "When it was in order last; not there if it has not been since the start."),
	}
}

// Describe implements prometheus.Collector.
func (c *vitalsCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.ok
	ch <- c.checked
	ch <- c.goodAt
}

// Collect implements prometheus.Collector.
func (c *vitalsCollector) Collect(ch chan<- prometheus.Metric) {
	seen := make(map[string]int)
	for _, v := range c.all() {
		name, _, _ := strings.Cut(v.Name, ":")
		if seen[v.Kind+":"+name]++; seen[v.Kind+":"+name] > 1 {
			name += "#" + strconv.Itoa(seen[v.Kind+":"+name])
		}
		gauge := func(d *prometheus.Desc, value float64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, v.Kind, name)
		}
		ok := 0.0
		if v.OK {
			ok = 1
		}
		gauge(c.ok, ok)
		gauge(c.checked, seconds(v.Checked))
		if !v.GoodAt.IsZero() {
			gauge(c.goodAt, seconds(v.GoodAt))
		}
	}
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1e3 }

// serveMetrics answers on a listener of its own until the server closes; nothing without an
// address.
func (s *Server) serveMetrics() error {
	if s.config.MetricsListen == "" {
		return nil
	}
	l, err := net.Listen("tcp", s.config.MetricsListen)
	if err != nil {
		return fmt.Errorf("metrics-listen: %w", err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(newVitalsCollector(s.allVitals), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: metricsTimeout}))
	h := &http.Server{Handler: mux, ReadTimeout: metricsTimeout, WriteTimeout: metricsTimeout, MaxHeaderBytes: 8 << 10}
	s.log.Info("metrics", "address", l.Addr().String())
	s.sweeping.Go(func() {
		if err := h.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("the metrics are not served any more", "error", err)
		}
	})
	s.sweeping.Go(func() {
		<-s.stop
		ctx, cancel := context.WithTimeout(context.Background(), metricsTimeout)
		defer cancel()
		if h.Shutdown(ctx) != nil {
			_ = h.Close() // a reader that does not end is cut off
		}
	})
	return nil
}
