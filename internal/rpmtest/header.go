package rpmtest

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
)

// I18N is a header string of the type that has translations.
type I18N string

// Types of header entries.
const (
	typeInt16       = 3
	typeInt32       = 4
	typeInt64       = 5
	typeString      = 6
	typeBin         = 7
	typeStringArray = 8
	typeI18N        = 9
)

const (
	regionSignatures = 62
	regionImmutable  = 63
)

// header is a header to be written: values by tag, of the types that Package.Override names.
type header map[uint32]any

func (h header) override(values map[uint32]any) {
	for tag, v := range values {
		if v == nil {
			delete(h, tag)
		} else {
			h[tag] = v
		}
	}
}

// marshal is the header with its magic, all entries inside one region.
func (h header) marshal(region uint32) ([]byte, error) {
	var index, data []byte
	for _, tag := range slices.Sorted(maps.Keys(h)) {
		typ, count, align, raw, err := encode(h[tag])
		if err != nil {
			return nil, fmt.Errorf("writing header tag %d: %w", tag, err)
		}
		for len(data)%align != 0 {
			data = append(data, 0)
		}
		index = appendEntry(index, tag, typ, uint32(len(data)), count)
		data = append(data, raw...)
	}
	entries := len(h) + 1
	first := appendEntry(nil, region, typeBin, uint32(len(data)), 16)
	data = appendEntry(data, region, typeBin, uint32(-16*entries), 16)

	out := []byte{0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0}
	out = binary.BigEndian.AppendUint32(out, uint32(entries))
	out = binary.BigEndian.AppendUint32(out, uint32(len(data)))
	return slices.Concat(out, first, index, data), nil
}

func appendEntry(b []byte, tag, typ, offset, count uint32) []byte {
	for _, v := range []uint32{tag, typ, offset, count} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}

func encode(value any) (typ, count uint32, align int, raw []byte, err error) {
	align = 1
	switch v := value.(type) {
	case string:
		return typeString, 1, 1, append([]byte(v), 0), nil
	case I18N:
		return typeI18N, 1, 1, append([]byte(v), 0), nil
	case []string:
		for _, s := range v {
			raw = append(append(raw, s...), 0)
		}
		return typeStringArray, uint32(len(v)), 1, raw, nil
	case []uint16:
		for _, n := range v {
			raw = binary.BigEndian.AppendUint16(raw, n)
		}
		return typeInt16, uint32(len(v)), 2, raw, nil
	case []uint32:
		for _, n := range v {
			raw = binary.BigEndian.AppendUint32(raw, n)
		}
		return typeInt32, uint32(len(v)), 4, raw, nil
	case []uint64:
		for _, n := range v {
			raw = binary.BigEndian.AppendUint64(raw, n)
		}
		return typeInt64, uint32(len(v)), 8, raw, nil
	case []byte:
		return typeBin, uint32(len(v)), 1, v, nil
	}
	return 0, 0, 0, nil, fmt.Errorf("values of type %T are not written", value)
}
