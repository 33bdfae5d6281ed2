package disk

import (
	"bytes"
	"math/rand/v2"
	"slices"
)

// Sector is what a disk writes whole or not at all, in bytes.
const Sector = 512

// A Platter is what a disk may hold. What was synced is there; of what was not, any
// sectors are, in any order.
type Platter struct {
	durable []byte // without zeros at the end, as far as size
	size    int64
	pending map[int64][]version // by sector, oldest first
	sizes   []int64             // that were not synced
}

// A version is what was written to a sector. After a sync that failed, the kernel counts it as
// written, and no later sync brings it to the disk; which of them are there nobody knows.
type version struct {
	data     []byte
	doubtful bool
}

// NewPlatter holds content, synced.
func NewPlatter(content []byte) *Platter {
	return &Platter{durable: slices.Clone(bytes.TrimRight(content, "\x00")), size: int64(len(content)), pending: make(map[int64][]version)}
}

// Do does what was recorded.
func (p *Platter) Do(op Op) {
	switch op.Kind {
	case Written:
		p.write(op.Data, op.At)
	case Resized:
		p.sizes = append(p.sizes, op.Size)
	case Synced:
		p.sync()
	case SyncFailed:
		for _, versions := range p.pending {
			for i := range versions {
				versions[i].doubtful = true
			}
		}
	}
}

// write splits a write into sectors, each with what was there around it.
func (p *Platter) write(data []byte, at int64) {
	for len(data) > 0 {
		sector := at / Sector
		next := make([]byte, Sector)
		copy(next, p.latest(sector))
		n := copy(next[at%Sector:], data)
		p.pending[sector] = append(p.pending[sector], version{data: next})
		data, at = data[n:], at+int64(n)
	}
}

// latest is what a reader would see of a sector.
func (p *Platter) latest(sector int64) []byte {
	if versions := p.pending[sector]; len(versions) > 0 {
		return versions[len(versions)-1].data
	}
	if at := sector * Sector; at < int64(len(p.durable)) {
		return p.durable[at:min(at+Sector, int64(len(p.durable)))]
	}
	return nil
}

func (p *Platter) sync() {
	for _, size := range p.sizes {
		p.durable, p.size = cut(p.durable, size), size
	}
	p.sizes = nil
	for sector, versions := range p.pending {
		if last := versions[len(versions)-1]; !last.doubtful {
			p.durable = put(p.durable, last.data, sector*Sector)
			delete(p.pending, sector)
		}
	}
	p.size = max(p.size, int64(len(p.durable)))
}

// An Image is a file: Content, and zeros up to Size bytes.
type Image struct {
	Content []byte
	Size    int64
}

// Image is what the disk may hold if the power is cut now: each choice of sectors is
// possible, and the random source makes one.
func (p *Platter) Image(random *rand.Rand) Image {
	content, size := slices.Clone(p.durable), p.size
	if n := random.IntN(len(p.sizes) + 1); n > 0 {
		size = p.sizes[n-1]
		content = cut(content, size)
	}
	share := random.Float64() // of sectors that have been written
	for _, sector := range p.unsynced() {
		versions := p.pending[sector]
		switch {
		case random.Float64() < share:
			content = put(content, versions[len(versions)-1].data, sector*Sector)
		case random.IntN(4) == 0: // an older version, or the same: the disk reorders
			content = put(content, versions[random.IntN(len(versions))].data, sector*Sector)
		}
	}
	return Image{content, max(size, int64(len(content)))}
}

// Unsynced is how many sectors wait.
func (p *Platter) Unsynced() int { return len(p.pending) }

// unsynced lists sectors in order, so that a random source gives the same image again.
func (p *Platter) unsynced() []int64 {
	var all []int64
	for sector := range p.pending {
		all = append(all, sector)
	}
	slices.Sort(all)
	return all
}

func cut(b []byte, size int64) []byte { return b[:min(size, int64(len(b)))] }

func put(b, data []byte, at int64) []byte {
	if end := at + int64(len(data)); end > int64(len(b)) {
		b = append(b, make([]byte, end-int64(len(b)))...)
	}
	copy(b[at:], data)
	return b
}
