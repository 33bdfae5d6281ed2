package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"syscall"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// bbolt believes its file: it follows page numbers and offsets without looking,
// into panics, faults, and recursion without end; and a commit to a tree that
// is damaged in one place may damage it in others. So all that bbolt steers by
// is read here, with bounds, before bbolt maps the file: meta pages, free list,
// and the trees down to the places and the order of the keys. That costs about
// 0.4 ms for a thousand records. Of what may rot unseen, only keys and values
// are left, and those are for seal to find.

// The page kinds of bbolt, and sizes in bytes.
const (
	branchPage   = 0x01
	leafPage     = 0x02
	freelistPage = 0x10

	headerSize  = 16
	elementSize = 16 // in branches and leaves alike
	metaSize    = 64

	metaMagic   = 0xED0CDAED
	metaVersion = 2
)

// bbolt writes integers as the processor has them. All that we build for is
// little-endian, and so is the format.
var order = binary.LittleEndian

// inspect checks the file at path, size bytes long, and makes sure that what
// it found is on disk.
func inspect(path string, file *os.File, size int64) error {
	if size == 0 {
		return damage(path, "it is empty")
	}
	m, err := newestMeta(file)
	if err != nil {
		return damage(path, "%v", err)
	}
	if err := checkPages(file, m, size); err != nil {
		return damage(path, "%v", err)
	}
	if err := settle(file, m); err != nil {
		return fmt.Errorf("%s cannot be written: %w", path, err)
	}
	return nil
}

// meta is one of the two pages that bbolt writes by turns to commit. The one
// with the higher transaction counts; if it was torn, the other.
type meta struct {
	slot     int64 // 0 or 1, its page number
	bytes    [metaSize]byte
	pageSize uint32
	root     uint64 // the page of the bucket of buckets
	freelist uint64
	pages    uint64 // how many there are: page numbers are below
	tx       uint64
}

func newestMeta(file *os.File) (meta, error) {
	m0, err0 := readMeta(file, 0)
	m1, err1 := readMeta(file, 1)
	switch {
	case err0 != nil && err1 != nil:
		return meta{}, err0
	case err1 != nil || err0 == nil && m0.tx > m1.tx:
		return m0, nil
	default:
		return m1, nil
	}
}

func readMeta(file *os.File, slot int64) (meta, error) {
	m := meta{slot: slot}
	if _, err := file.ReadAt(m.bytes[:], slot*pageSize+headerSize); err != nil {
		return m, errors.New("it is too short")
	}
	if order.Uint32(m.bytes[0:]) != metaMagic || order.Uint32(m.bytes[4:]) != metaVersion {
		return m, errors.New("it is no bbolt file")
	}
	sum := fnv.New64a()
	sum.Write(m.bytes[:56])
	if sum.Sum64() != order.Uint64(m.bytes[56:]) {
		return m, errors.New("the checksum of its meta page is wrong")
	}
	m.pageSize = order.Uint32(m.bytes[8:])
	m.root = order.Uint64(m.bytes[16:])
	m.freelist = order.Uint64(m.bytes[32:])
	m.pages = order.Uint64(m.bytes[40:])
	m.tx = order.Uint64(m.bytes[48:])
	return m, nil
}

// settle writes the meta page that counts over itself and syncs. The process
// that wrote it may have been killed before the sync, or have seen the sync
// fail: then it is in the page cache, looks like any other, and may be gone
// after a power cut. Until it is known to stay, nobody may act on it. The
// pages that it points to were synced before it was written.
func settle(file *os.File, m meta) error {
	if _, err := file.WriteAt(m.bytes[:], m.slot*pageSize+headerSize); err != nil {
		return err
	}
	return syscall.Fdatasync(int(file.Fd()))
}

// skeleton is the walk over all pages that are in use.
type skeleton struct {
	file  *os.File
	pages uint64
	used  []bool // pages met so far; none may be met twice

	spare [][]byte // buffers for pages, of those that are done with
}

func checkPages(file *os.File, m meta, size int64) error {
	if m.pageSize != pageSize {
		return fmt.Errorf("its pages are of %d bytes, not %d", m.pageSize, pageSize)
	}
	if m.pages > uint64(size)/pageSize {
		return fmt.Errorf("it has %d bytes and should have %d pages: it was cut off", size, m.pages)
	}
	// A cold disk is much faster in order than by the tree. The kernel may decline.
	_ = unix.Fadvise(int(file.Fd()), 0, int64(m.pages)*pageSize, unix.FADV_WILLNEED)
	s := skeleton{file: file, pages: m.pages, used: make([]bool, m.pages)}
	if err := s.checkFreelist(m.freelist); err != nil {
		return err
	}
	return s.checkRoot(m.root)
}

// A page is read as a whole, with the pages that it overflows into.
type page struct {
	kind  uint16
	count int
	bytes []byte
}

func parse(b []byte) page {
	return page{kind: order.Uint16(b[8:]), count: int(order.Uint16(b[10:])), bytes: b}
}

// read returns a page and marks it as met.
func (s *skeleton) read(id uint64) (page, error) {
	if err := s.use(id); err != nil {
		return page{}, err
	}
	first := s.buffer()
	if _, err := s.file.ReadAt(first, int64(id)*pageSize); err != nil {
		return page{}, err
	}
	p := parse(first)
	more := uint64(order.Uint32(first[12:]))
	if order.Uint64(first[0:]) != id || more >= s.pages-id {
		return page{}, fmt.Errorf("the header of page %d is wrong", id)
	}
	if more == 0 {
		return p, nil
	}
	for i := range more {
		if err := s.use(id + 1 + i); err != nil {
			return page{}, err
		}
	}
	p.bytes = make([]byte, (1+more)*pageSize)
	_, err := s.file.ReadAt(p.bytes, int64(id)*pageSize)
	return p, err
}

func (s *skeleton) buffer() []byte {
	n := len(s.spare)
	if n == 0 {
		return make([]byte, pageSize)
	}
	b := s.spare[n-1]
	s.spare = s.spare[:n-1]
	return b
}

// done takes the buffer of a page back, of which nothing is looked at any more.
func (s *skeleton) done(p page) {
	if len(p.bytes) == pageSize {
		s.spare = append(s.spare, p.bytes)
	}
}

func (s *skeleton) use(id uint64) error {
	if id < 2 || id >= s.pages {
		return fmt.Errorf("page %d is outside of it", id)
	}
	if s.used[id] {
		return fmt.Errorf("page %d is used twice", id)
	}
	s.used[id] = true
	return nil
}

// checkFreelist marks the free pages as met, so that none of them turns up in
// a tree as well: it would be overwritten.
func (s *skeleton) checkFreelist(id uint64) error {
	p, err := s.read(id)
	if err != nil {
		return err
	}
	if p.kind != freelistPage {
		return fmt.Errorf("page %d is not the free list", id)
	}
	ids := p.bytes[headerSize:]
	n := uint64(p.count)
	if n == 0xFFFF { // then the first entry is the number
		n, ids = order.Uint64(ids), ids[8:]
	}
	if n > uint64(len(ids))/8 {
		return fmt.Errorf("a free list of %d pages does not fit", n)
	}
	for i := range n {
		if err := s.use(order.Uint64(ids[8*i:])); err != nil {
			return err
		}
	}
	return nil
}

// checkRoot walks the trees of all buckets. There are two, so their entries
// fit in one leaf.
func (s *skeleton) checkRoot(id uint64) error {
	p, err := s.read(id)
	if err != nil {
		return err
	}
	if p.kind != leafPage {
		return errors.New("it has too many buckets to be a store of trent")
	}
	for i := range p.count {
		e, err := p.element(i)
		if err != nil {
			return err
		}
		if e.flags != 1 || len(e.value) < 16 {
			return errors.New("the list of its buckets is wrong")
		}
		if err := s.checkBucket(order.Uint64(e.value), e.value[16:]); err != nil {
			return err
		}
	}
	return nil
}

// checkBucket checks a bucket with its root at the page id. A small one has no
// page of its own, but a leaf within its entry: inline.
func (s *skeleton) checkBucket(id uint64, inline []byte) error {
	if id != 0 {
		return s.checkTree(id, nil, nil)
	}
	if len(inline) < headerSize {
		return errors.New("a bucket is too short")
	}
	p := parse(inline)
	if p.kind != leafPage {
		return errors.New("a small bucket is no leaf")
	}
	return s.checkPage(p, nil, nil)
}

// checkTree checks the page id and what is below. Its first key must be low, by which the page
// above knows it, and all below high, if these are not nil. bbolt finds a page by its first key
// when it writes the page above anew: were that another, a commit would do damage.
func (s *skeleton) checkTree(id uint64, low, high []byte) error {
	p, err := s.read(id)
	if err != nil {
		return err
	}
	if p.kind != leafPage && p.kind != branchPage || p.count == 0 && (p.kind == branchPage || low != nil) {
		return fmt.Errorf("page %d is not of a tree", id)
	}
	if err := s.checkPage(p, low, high); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	s.done(p)
	return nil
}

// checkPage checks the elements of a page, and what is below them. bbolt packs them:
// the first begins behind the table of elements, and each where the one before it
// ends. So a length that has changed is found, which would cut a path off.
func (s *skeleton) checkPage(p page, low, high []byte) error {
	var last element
	end := headerSize + p.count*elementSize
	for i := range p.count {
		e, err := p.element(i)
		if err != nil {
			return err
		}
		if e.at != end || e.flags != 0 {
			return errors.New("its elements are not as bbolt writes them")
		}
		end += len(e.key) + len(e.value)
		if i == 0 && low != nil && !bytes.Equal(e.key, low) || high != nil && bytes.Compare(e.key, high) >= 0 || i > 0 && bytes.Compare(e.key, last.key) <= 0 {
			return errors.New("its keys are out of order")
		}
		if i > 0 && p.kind == branchPage {
			if err := s.checkTree(last.child, last.key, e.key); err != nil {
				return err
			}
		}
		last = e
	}
	if p.kind == branchPage {
		return s.checkTree(last.child, last.key, high)
	}
	return nil
}

// An element is a key with a value, in leaves, or with a child, in branches.
type element struct {
	at    int // where the key begins in the page
	flags uint32
	key   []byte
	value []byte
	child uint64
}

func (p page) element(i int) (e element, err error) {
	at := headerSize + i*elementSize
	if at+elementSize > len(p.bytes) {
		return e, errors.New("an element is outside of its page")
	}
	b := p.bytes[at:]
	var pos, keySize, valueSize uint64
	if p.kind == leafPage {
		e.flags = order.Uint32(b[0:])
		pos = uint64(order.Uint32(b[4:]))
		keySize = uint64(order.Uint32(b[8:]))
		valueSize = uint64(order.Uint32(b[12:]))
	} else {
		pos = uint64(order.Uint32(b[0:]))
		keySize = uint64(order.Uint32(b[4:]))
		e.child = order.Uint64(b[8:])
	}
	if keySize == 0 || pos+keySize+valueSize > uint64(len(b)) {
		return e, errors.New("an element is outside of its page")
	}
	e.at = at + int(pos)
	e.key = b[pos : pos+keySize]
	e.value = b[pos+keySize : pos+keySize+valueSize]
	return e, nil
}

// checkFormat refuses a bbolt file of something else, or of another version.
func checkFormat(path string, db *bbolt.DB) error {
	return db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(storeBucket)
		if b == nil || tx.Bucket(recordsBucket) == nil {
			return damage(path, "it is a bbolt file, but not of trent")
		}
		got := b.Get(formatKey)
		if len(got) == 0 {
			return damage(path, "it does not say its format")
		}
		if got[0] != format {
			return fmt.Errorf("%s is of format %d and this trent knows only format %d: run the version that wrote it", path, got[0], format)
		}
		return nil
	})
}

// CheckMetas says whether one of the two meta pages of a store file is damaged. Such a file
// opens, as the other page says: that is what they are for, when the power fails while one is
// written. But if it was the newer one, the last commit is gone; and a page that the disk has
// bent looks just the same. It takes no lock.
func CheckMetas(path string) error {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	for slot := range int64(2) {
		if _, err := readMeta(file, slot); err != nil {
			return fmt.Errorf("page %d of %s is damaged (%w): the store opens by the other meta page, and its last commit may be lost", slot, path, err)
		}
	}
	return nil
}
