package image

import (
	"context"
	"crypto/sha256"
	"encoding"
	"encoding/json"
	"hash"
	"hash/crc32"
)

// KindPrefix is the kind of what is on the shelf about the beginnings of layers.
const KindPrefix = "prefixes"

// maxPrefixes bounds prefixes as text.
const maxPrefixes = 8 << 20

// prefixes are how far a layer's tar is hashed behind each of its segments, so that of a layer in which one segment is
// another only what follows it is hashed again: without them a small change costs unpacking all that is in its layer.
type prefixes struct {
	Keys   []string      `json:"keys"` // of the segments
	States []prefixState `json:"states"`
}

// prefixState is the state of a rawHash.
type prefixState struct {
	SHA256 []byte `json:"sha256"` // as crypto/sha256 marshals it
	Size   int64  `json:"size"`
	CRC    uint32 `json:"crc"`
}

// rawHash hashes, counts and checks the tar of a layer. The zero value begins one.
type rawHash struct {
	hash.Hash
	n       int64
	crc     uint32
	states  []prefixState // behind each segment so far
	resumed bool          // those were hashed by somebody else
}

// Write takes everything.
func (r *rawHash) Write(b []byte) (int, error) {
	r.n += int64(len(b))
	r.crc = crc32.Update(r.crc, crc32.IEEETable, b)
	return r.Hash.Write(b)
}

// prefixName is the key of the prefixes of layers that begin with the same two segments, of which the first are the
// directories; "" for layers that are too short to have any.
func (l *Layer) prefixName() string {
	if len(l.keys) < 3 {
		return ""
	}
	return hexSum("prefixes", l.codec.id, l.keys[0], l.keys[1])
}

// resume is the hash behind as many of the first segments as were hashed before.
func (l *Layer) resume() *rawHash {
	name := l.prefixName()
	if name == "" {
		return &rawHash{}
	}
	var known prefixes
	b, err := ReadEntry(l.shelf, KindPrefix, name, maxPrefixes)
	if err != nil || json.Unmarshal(b, &known) != nil {
		return &rawHash{}
	}
	n := 0
	for n < min(len(known.Keys), len(known.States), len(l.keys)) && known.Keys[n] == l.keys[n] {
		n++
	}
	h := sha256.New()
	if n == 0 || h.(encoding.BinaryUnmarshaler).UnmarshalBinary(known.States[n-1].SHA256) != nil {
		return &rawHash{}
	}
	return &rawHash{Hash: h, n: known.States[n-1].Size, crc: known.States[n-1].CRC, states: known.States[:n], resumed: true}
}

// keepPrefixes keeps the states behind all segments of the layer.
func (l *Layer) keepPrefixes(states []prefixState) error {
	name := l.prefixName()
	if name == "" {
		return nil
	}
	b, err := json.Marshal(prefixes{Keys: l.keys, States: states})
	if err != nil || len(b) >= maxPrefixes {
		return err
	}
	return putEntry(l.shelf, KindPrefix, name, b)
}

// hashRaw hashes the layer's tar, from where h is.
func (l *Layer) hashRaw(ctx context.Context, segments []Segment, fresh func(key string) bool, h *rawHash) (*rawHash, error) {
	if h.Hash == nil {
		h.Hash = sha256.New()
	}
	for i := len(h.states); i < len(segments); i++ {
		if err := l.hashSegment(ctx, h, segments[i], l.keys[i], fresh(l.keys[i])); err != nil {
			return nil, err
		}
		state, err := h.Hash.(encoding.BinaryMarshaler).MarshalBinary()
		if err != nil {
			return nil, err
		}
		h.states = append(h.states, prefixState{SHA256: state, Size: h.n, CRC: h.crc})
	}
	_, err := h.Write(make([]byte, tarEnd))
	return h, err
}
