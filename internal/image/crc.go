package image

// crcPoly is the polynomial of CRC-32 (IEEE 802.3), lowest power in the highest bit.
const crcPoly = 0xedb88320

// combineCRC is the CRC-32 of a text A followed by a text B of n bytes, from those of A and B. Appending n bytes
// multiplies A's remainder by x^(8n); the initial and final inversions cancel.
func combineCRC(a, b uint32, n int64) uint32 {
	const one, x8 = 1 << 31, 1 << 23
	power, square := uint32(one), uint32(x8)
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			power = mulCRC(power, square)
		}
		square = mulCRC(square, square)
	}
	return mulCRC(power, a) ^ b
}

// mulCRC multiplies two polynomials over GF(2) modulo crcPoly.
func mulCRC(a, b uint32) uint32 {
	var p uint32
	for bit := uint32(1) << 31; bit != 0; bit >>= 1 {
		if a&bit != 0 {
			p ^= b
		}
		if b&1 != 0 {
			b = b>>1 ^ crcPoly
		} else {
			b >>= 1
		}
	}
	return p
}
