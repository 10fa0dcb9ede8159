/* crc32c with SSE 4.2, for the least-work programs. */
#include <nmmintrin.h>
#include <stdint.h>
#include <string.h>

/* crc32c: three lanes hide the instruction's latency of three cycles; a table moves the checksum of
 * one lane past the zeros that stand for the next. Two lane lengths: for pictures and for sidecars. */
enum { LONG_LANE = 8192, SHORT_LANE = 256 };
static uint32_t past_long[4][256], past_short[4][256];

static void fill_past(uint32_t table[4][256], size_t zeros) {
    for (int byte = 0; byte < 4; byte++)
        for (uint32_t value = 0; value < 256; value++) {
            uint64_t crc = (uint64_t)value << (8 * byte);
            for (size_t n = 0; n < zeros; n += 8) crc = _mm_crc32_u64(crc, 0);
            table[byte][value] = crc;
        }
}

static inline uint32_t past(uint32_t table[4][256], uint32_t crc) {
    return table[0][crc & 255] ^ table[1][crc >> 8 & 255] ^ table[2][crc >> 16 & 255] ^ table[3][crc >> 24];
}

static inline uint64_t word(const char *p) { uint64_t w; memcpy(&w, p, 8); return w; }

static inline uint64_t three_lanes(uint64_t a, const char *p, size_t lane, uint32_t table[4][256]) {
    uint64_t b = 0, c = 0;
    for (size_t i = 0; i < lane; i += 8) {
        a = _mm_crc32_u64(a, word(p + i));
        b = _mm_crc32_u64(b, word(p + lane + i));
        c = _mm_crc32_u64(c, word(p + 2 * lane + i));
    }
    return past(table, past(table, a) ^ b) ^ c;
}

static uint32_t masked_crc32c(const char *p, size_t n) {
    uint64_t crc = 0xffffffff;
    for (; n >= 3 * LONG_LANE; p += 3 * LONG_LANE, n -= 3 * LONG_LANE)
        crc = three_lanes(crc, p, LONG_LANE, past_long);
    for (; n >= 3 * SHORT_LANE; p += 3 * SHORT_LANE, n -= 3 * SHORT_LANE)
        crc = three_lanes(crc, p, SHORT_LANE, past_short);
    for (; n >= 8; p += 8, n -= 8) crc = _mm_crc32_u64(crc, word(p));
    for (; n; p++, n--) crc = _mm_crc32_u8(crc, *p);
    uint32_t plain = ~(uint32_t)crc;
    return (plain >> 15 | plain << 17) + 0xa282ead8; /* TFRecord's mask */
}
