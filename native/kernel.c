/* The engine's inner loops: which pairs of rows may score over their limits, and what they score.

   A row x is stored as int8 components q with x close to scale * q, and an error bound E in units of
   scale^2, so that for every two rows

       score(x, y) <= scale^2 * (q_x . q_y + E_x + E_y) + slack.

   lightmine/engine/quantization.py has the derivation. A tile computes q_x . q_y, compares it with what
   the limits of both rows leave, and keeps the few pairs that pass; the products are never written out.
   Those pairs are scored in float32, and then, if that does not rule them out, exactly: products in
   float64, added in 32 lanes and then by halves (lightmine/summation.py), so every variant and NumPy
   give the same bits.

   Layout of compressed rows: panels of 16 rows, [panel][k / 4][16][4], k padded to a multiple of 64.
   Every pointer and size is checked by lightmine/engine/native.py before the call. */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(_WIN32)
#define API __declspec(dllexport)
#else
#define API __attribute__((visibility("default")))
#endif

#if defined(__x86_64__)
#define X86 1
#include <immintrin.h>
#elif defined(__aarch64__)
#define ARM 1
#include <arm_neon.h>
#endif

#define ABI_VERSION 1
#define PANEL 16         /* rows of a panel */
#define BLOCK 32         /* left rows of a tile */
#define CHUNK 32         /* panels of a tile: 512 right rows, which stay in the second-level cache */
#define REFRESH 16       /* tiles after which the bounds of a chunk's columns are read again */
#define LANES 32         /* of the exact sum */
#define LOCKS 1024       /* one for each row number modulo LOCKS */
#define UNLIMITED (-(1 << 30))
#define LARGEST_LIMIT (1 << 28)

enum { PORTABLE, AVX2, AVX_VNNI, AVX512_VNNI, AMX, NEON_DOT, VARIANTS };

typedef struct {
    const int8_t *left_panels, *right_panels;
    const int32_t *left_errors, *right_errors; /* E of each place */
    const int32_t *right_sums;                 /* sum of the components of each place */
    const float *x, *y;                        /* the rows themselves, n x d and m x d */
    const int32_t *left_rows, *right_rows;     /* the row at each place */
    float *left_bounds, *right_bounds;         /* of each row, or NULL */
    float *min_score;                          /* one number */
    float *left_best, *right_best;             /* best scores of each row, k numbers as a heap, or NULL */
    int32_t *left_counts, *right_counts;       /* how many of them there are */
    uint8_t *locks;                            /* LOCKS bytes */
    double max_score, unit, slack, rough_slack;
    int32_t components, dimension, left_k, right_k, self_join, variant;
} Join;

typedef struct {
    int64_t proposed, rough, exact; /* pairs that passed the bound, the float32 score, the exact score */
} Counts;

/* Vectors of the compiler: one source for AVX-512, AVX2, NEON and machines without. */
typedef float f32x8 __attribute__((vector_size(32)));
typedef float f32x16 __attribute__((vector_size(64)));
typedef double f64x8 __attribute__((vector_size(64)));

static inline float load_float(const float *p) {
    uint32_t bits = __atomic_load_n((const uint32_t *)p, __ATOMIC_RELAXED);
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static inline void store_float(float *p, float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    __atomic_store_n((uint32_t *)p, bits, __ATOMIC_RELAXED);
}

/* ---- scores of one pair ------------------------------------------------------------------------- */

static inline __attribute__((always_inline)) float rough_dot(const float *a, const float *b, int d) {
    f32x16 s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0}, u, v;
    int t = 0;
#define ROUGH(s, at) memcpy(&u, a + t + at, 64), memcpy(&v, b + t + at, 64), s += u * v
    for (; t + 64 <= d; t += 64) {
        ROUGH(s0, 0);
        ROUGH(s1, 16);
        ROUGH(s2, 32);
        ROUGH(s3, 48);
    }
    for (; t + 16 <= d; t += 16) ROUGH(s0, 0);
    s0 = (s0 + s1) + (s2 + s3);
    float sum = 0, lanes[16];
    memcpy(lanes, &s0, 64);
    for (int l = 0; l < 8; l++) lanes[l] += lanes[l + 8];
    for (int l = 0; l < 4; l++) lanes[l] += lanes[l + 4];
    sum = (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]);
    for (; t < d; t++) sum += a[t] * b[t];
    return sum;
}

/* The sum of the products of two rows, in the documented order. */
static inline __attribute__((always_inline)) double lane_sum(const float *a, const float *b, int d) {
    f64x8 lanes[4];
    f32x8 u, v;
    int t = 32, l;
    float first[2][LANES] = {{0}};
    memcpy(first[0], a, 4 * (size_t)(d < LANES ? d : LANES));
    memcpy(first[1], b, 4 * (size_t)(d < LANES ? d : LANES));
    for (l = 0; l < 4; l++) {
        memcpy(&u, first[0] + 8 * l, 32), memcpy(&v, first[1] + 8 * l, 32);
        lanes[l] = __builtin_convertvector(u, f64x8) * __builtin_convertvector(v, f64x8);
    }
    for (; t + 32 <= d; t += 32)
        for (l = 0; l < 4; l++) {
            memcpy(&u, a + t + 8 * l, 32), memcpy(&v, b + t + 8 * l, 32);
            lanes[l] += __builtin_convertvector(u, f64x8) * __builtin_convertvector(v, f64x8);
        }
    if (t < d) {
        float rest[2][LANES] = {{0}};
        memcpy(rest[0], a + t, 4 * (size_t)(d - t)), memcpy(rest[1], b + t, 4 * (size_t)(d - t));
        for (l = 0; l < 4; l++) {
            memcpy(&u, rest[0] + 8 * l, 32), memcpy(&v, rest[1] + 8 * l, 32);
            lanes[l] += __builtin_convertvector(u, f64x8) * __builtin_convertvector(v, f64x8);
        }
    }
    lanes[0] += lanes[2], lanes[1] += lanes[3];
    lanes[0] += lanes[1];
    for (l = 0; l < 4; l++) lanes[0][l] += lanes[0][l + 4];
    lanes[0][0] += lanes[0][2], lanes[0][1] += lanes[0][3];
    return lanes[0][0] + lanes[0][1];
}

static inline __attribute__((always_inline)) float exact_score(const float *a, const float *b, int d) {
    float score = (float)lane_sum(a, b, d);
    score = score > 1 ? 1 : score < -1 ? -1 : score;
    return score + 0.0f; /* no negative zero */
}

/* ---- bounds of rows ----------------------------------------------------------------------------- */

/* The row's k-th best score so far becomes its bound. A score of -1 may have been cut up to it: no bound. */
static void raise_bound(float *best, int32_t *count, int32_t k, float score, float *bound) {
    int32_t at = *count, child;
    if (at < k) {
        best[at] = score;
        for (; at && best[(at - 1) / 2] > best[at]; at = (at - 1) / 2) {
            float above = best[(at - 1) / 2];
            best[(at - 1) / 2] = best[at], best[at] = above;
        }
        if (++*count < k) return;
    } else {
        if (score <= best[0]) return;
        for (at = 0; (child = 2 * at + 1) < k; at = child) {
            if (child + 1 < k && best[child + 1] < best[child]) child++;
            if (best[child] >= score) break;
            best[at] = best[child];
        }
        best[at] = score;
    }
    if (best[0] > -1 && best[0] > load_float(bound)) store_float(bound, best[0]);
}

static void list_score(uint8_t *locks, float *all, int32_t *counts, int32_t k, float *bounds, int32_t row,
                       float score) {
    uint8_t *lock = locks + row % LOCKS;
    if (score < load_float(bounds + row)) return;
    while (__atomic_test_and_set(lock, __ATOMIC_ACQUIRE)) {
    }
    raise_bound(all + (size_t)row * k, counts + row, k, score, bounds + row);
    __atomic_clear(lock, __ATOMIC_RELEASE);
}

static inline int admits(const Join *join, int32_t left, int32_t right, float score) {
    if (score < load_float(join->min_score)) return 0;
    if (!join->left_bounds && !join->right_bounds) return 1;
    return (join->left_bounds && score >= load_float(join->left_bounds + left)) ||
           (join->right_bounds && score >= load_float(join->right_bounds + right));
}

/* ---- the tile: BLOCK left rows beside some panels ------------------------------------------------ */

typedef struct {
    const int8_t *rows;     /* [BLOCK][components], for variants of unsigned rows with `offset` added */
    const int8_t *panels;   /* the first panel; their number is even */
    const int32_t *starts;  /* what each column's sum begins with: its error, less the offset's share */
    const int32_t *row_limits, *row_errors; /* [BLOCK] */
    const int32_t *column_limits;           /* or NULL where no right row has a bound */
    int32_t components, panels_count;
} Tile;

/* Writes row << 16 | column of each pair that may reach its limit; returns how many. */
typedef int32_t (*TileFunction)(const Tile *tile, uint32_t *hits);

static int32_t tile_portable(const Tile *tile, uint32_t *hits) {
    int32_t n = 0, k = tile->components;
    for (int32_t p = 0; p < tile->panels_count; p++)
        for (int32_t i = 0; i < BLOCK; i++) {
            const int8_t *a = tile->rows + (size_t)i * k, *b = tile->panels + (size_t)p * PANEL * k;
            int32_t sums[PANEL];
            memcpy(sums, tile->starts + p * PANEL, sizeof sums);
            for (int32_t t = 0; t < k; t += 4, b += 4 * PANEL)
                for (int j = 0; j < PANEL; j++)
                    sums[j] += a[t] * b[4 * j] + a[t + 1] * b[4 * j + 1] + a[t + 2] * b[4 * j + 2] +
                               a[t + 3] * b[4 * j + 3];
            for (int j = 0; j < PANEL; j++) {
                int32_t limit = tile->row_limits[i];
                if (tile->column_limits) {
                    int32_t other = tile->column_limits[p * PANEL + j] - tile->row_errors[i];
                    limit = other < limit ? other : limit;
                }
                if (sums[j] >= limit) hits[n++] = (uint32_t)i << 16 | (uint32_t)(p * PANEL + j);
            }
        }
    return n;
}

#ifdef X86

#define EMIT(mask, i, column)                                                        \
    for (uint32_t m_ = (mask); m_; m_ &= m_ - 1)                                     \
    hits[n++] = (uint32_t)(i) << 16 | (uint32_t)((column) + __builtin_ctz(m_))

/* Two products are added in int16: right for components up to 63, and rows with 64 added. */
#define ADD_AVX2(sum, a, b) sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), ones))
#define ADD_AVX_VNNI(sum, a, b) sum = _mm256_dpbusd_avx_epi32(sum, a, b)

/* 4 rows beside one panel: 8 sums of 8 columns each. */
#define TILE_256(name, target_, ADD)                                                                  \
    __attribute__((target(target_))) static int32_t name(const Tile *tile, uint32_t *hits) {          \
        int32_t n = 0, k = tile->components;                                                          \
        const __m256i ones = _mm256_set1_epi16(1);                                                    \
        (void)ones;                                                                                   \
        for (int32_t p = 0; p < tile->panels_count; p++)                                              \
            for (int32_t i = 0; i < BLOCK; i += 4) {                                                  \
                const int8_t *a = tile->rows + (size_t)i * k, *b = tile->panels + (size_t)p * PANEL * k; \
                __m256i s[4][2];                                                                      \
                for (int r = 0; r < 4; r++)                                                           \
                    for (int h = 0; h < 2; h++)                                                       \
                        s[r][h] = _mm256_loadu_si256((const __m256i *)(tile->starts + p * PANEL + 8 * h)); \
                for (int32_t t = 0; t < k; t += 4, b += 4 * PANEL) {                                  \
                    __m256i b0 = _mm256_loadu_si256((const __m256i *)b);                              \
                    __m256i b1 = _mm256_loadu_si256((const __m256i *)(b + 32));                       \
                    _Pragma("GCC unroll 4") for (int r = 0; r < 4; r++) {                             \
                        int32_t four;                                                                 \
                        memcpy(&four, a + (size_t)r * k + t, 4);                                      \
                        __m256i v = _mm256_set1_epi32(four);                                          \
                        ADD(s[r][0], v, b0);                                                          \
                        ADD(s[r][1], v, b1);                                                          \
                    }                                                                                 \
                }                                                                                     \
                for (int r = 0; r < 4; r++)                                                           \
                    for (int h = 0; h < 2; h++) {                                                     \
                        __m256i limit = _mm256_set1_epi32(tile->row_limits[i + r]);                   \
                        if (tile->column_limits) {                                                    \
                            __m256i other = _mm256_loadu_si256(                                       \
                                (const __m256i *)(tile->column_limits + p * PANEL + 8 * h));          \
                            other = _mm256_sub_epi32(other, _mm256_set1_epi32(tile->row_errors[i + r])); \
                            limit = _mm256_min_epi32(limit, other);                                   \
                        }                                                                             \
                        __m256i under = _mm256_cmpgt_epi32(limit, s[r][h]);                           \
                        uint32_t mask = ~(uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(under)) & 255; \
                        EMIT(mask, i + r, p * PANEL + 8 * h);                                         \
                    }                                                                                 \
            }                                                                                         \
        return n;                                                                                     \
    }
TILE_256(tile_avx2, "avx2", ADD_AVX2)
#if defined(__clang__) ? __clang_major__ >= 12 : __GNUC__ >= 11
#define HAS_AVX_VNNI 1
TILE_256(tile_avx_vnni, "avx2,avxvnni", ADD_AVX_VNNI)
#endif

#define AVX512 "avx512f,avx512bw,avx512vl,avx512dq"

/* Which of 32 sums reach their limits. The limits of columns are in registers: writing hits may not reload them. */
__attribute__((target(AVX512))) static inline uint32_t over_512(__m512i s0, __m512i s1, int32_t row_limit,
                                                                 int32_t row_error, int columns, __m512i c0,
                                                                 __m512i c1) {
    __m512i limit = _mm512_set1_epi32(row_limit), other = limit;
    if (columns) {
        __m512i error = _mm512_set1_epi32(row_error);
        other = _mm512_min_epi32(limit, _mm512_sub_epi32(c1, error));
        limit = _mm512_min_epi32(limit, _mm512_sub_epi32(c0, error));
    }
    __mmask16 m0 = _mm512_cmpge_epi32_mask(s0, limit), m1 = _mm512_cmpge_epi32_mask(s1, other);
    return (uint32_t)_mm512_kunpackw(m1, m0);
}

/* 8 rows beside two panels: 16 sums of 16 columns each. */
__attribute__((target(AVX512 ",avx512vnni"))) static int32_t tile_avx512_vnni(const Tile *tile,
                                                                               uint32_t *hits) {
    int32_t n = 0, k = tile->components, panels = tile->panels_count;
    const int32_t *row_limits = tile->row_limits, *row_errors = tile->row_errors, *columns = tile->column_limits;
    for (int32_t p = 0; p < panels; p += 2) {
        __m512i c0 = _mm512_setzero_si512(), c1 = c0;
        if (columns) c0 = _mm512_loadu_si512(columns + p * PANEL), c1 = _mm512_loadu_si512(columns + (p + 1) * PANEL);
        for (int32_t i = 0; i < BLOCK; i += 8) {
            const int8_t *a = tile->rows + (size_t)i * k, *b = tile->panels + (size_t)p * PANEL * k;
            const int8_t *c = b + (size_t)PANEL * k;
            __m512i s[8][2];
            for (int r = 0; r < 8; r++) {
                s[r][0] = _mm512_loadu_si512(tile->starts + p * PANEL);
                s[r][1] = _mm512_loadu_si512(tile->starts + (p + 1) * PANEL);
            }
            for (int32_t t = 0; t < k; t += 4, b += 64, c += 64) {
                __m512i b0 = _mm512_loadu_si512(b), b1 = _mm512_loadu_si512(c);
                _Pragma("GCC unroll 8") for (int r = 0; r < 8; r++) {
                    int32_t four;
                    memcpy(&four, a + (size_t)r * k + t, 4);
                    __m512i v = _mm512_set1_epi32(four);
                    s[r][0] = _mm512_dpbusd_epi32(s[r][0], v, b0);
                    s[r][1] = _mm512_dpbusd_epi32(s[r][1], v, b1);
                }
            }
            for (int r = 0; r < 8; r++)
                EMIT(over_512(s[r][0], s[r][1], row_limits[i + r], row_errors[i + r], columns != NULL, c0, c1), i + r,
                     p * PANEL);
        }
    }
    return n;
}

#if defined(__linux__) && (defined(__clang__) ? __clang_major__ >= 12 : __GNUC__ >= 11)
#define HAS_AMX 1
#include <sys/syscall.h>
#include <unistd.h>

/* Linux gives a process the tile registers when it asks: arch_prctl(ARCH_REQ_XCOMP_PERM, XTILEDATA). */
static int amx_granted(void) { return syscall(SYS_arch_prctl, 0x1023, 18) == 0; }

/* Palette 1; of each of eight tiles 64 bytes a row (from byte 16 on, two bytes each) and 16 rows (from 48). */
static const uint8_t amx_shape[64] = {
    1,  [16] = 64, [18] = 64, [20] = 64, [22] = 64, [24] = 64, [26] = 64, [28] = 64, [30] = 64,
    [48] = 16,     [49] = 16, [50] = 16, [51] = 16, [52] = 16, [53] = 16, [54] = 16, [55] = 16,
};

__attribute__((target("amx-tile"))) static void amx_start(void) { _tile_loadconfig(amx_shape); }

__attribute__((target("amx-tile"))) static void amx_stop(void) { _tile_release(); }

/* 32 rows beside two panels: four sums of 16 x 16. */
__attribute__((target(AVX512 ",amx-tile,amx-int8"))) static int32_t tile_amx(const Tile *tile,
                                                                              uint32_t *hits) {
    int32_t n = 0, k = tile->components, panels = tile->panels_count;
    const int32_t *row_limits = tile->row_limits, *row_errors = tile->row_errors, *columns = tile->column_limits;
    __attribute__((aligned(64))) int32_t sums[BLOCK][2 * PANEL];
    for (int32_t p = 0; p < panels; p += 2) {
        __m512i c0 = _mm512_setzero_si512(), c1 = c0;
        if (columns) c0 = _mm512_loadu_si512(columns + p * PANEL), c1 = _mm512_loadu_si512(columns + (p + 1) * PANEL);
        const int8_t *b = tile->panels + (size_t)p * PANEL * k, *c = b + (size_t)PANEL * k;
        const int8_t *a = tile->rows, *a1 = a + (size_t)PANEL * k;
        _tile_loadd(0, tile->starts + p * PANEL, 0);
        _tile_loadd(1, tile->starts + (p + 1) * PANEL, 0);
        _tile_loadd(2, tile->starts + p * PANEL, 0);
        _tile_loadd(3, tile->starts + (p + 1) * PANEL, 0);
        for (int32_t t = 0; t < k; t += 64) {
            _tile_loadd(4, a + t, (size_t)k);
            _tile_loadd(5, a1 + t, (size_t)k);
            _tile_loadd(6, b + (size_t)t * PANEL, 64);
            _tile_loadd(7, c + (size_t)t * PANEL, 64);
            _tile_dpbssd(0, 4, 6);
            _tile_dpbssd(1, 4, 7);
            _tile_dpbssd(2, 5, 6);
            _tile_dpbssd(3, 5, 7);
        }
        _tile_stored(0, sums[0], 4 * 2 * PANEL);
        _tile_stored(1, sums[0] + PANEL, 4 * 2 * PANEL);
        _tile_stored(2, sums[PANEL], 4 * 2 * PANEL);
        _tile_stored(3, sums[PANEL] + PANEL, 4 * 2 * PANEL);
        for (int32_t i = 0; i < BLOCK; i++)
            EMIT(over_512(_mm512_load_si512(sums[i]), _mm512_load_si512(sums[i] + PANEL), row_limits[i], row_errors[i],
                          columns != NULL, c0, c1), i, p * PANEL);
    }
    return n;
}
#endif
#endif

#ifdef ARM
/* 4 rows beside one panel, four products and sums an instruction. */
__attribute__((target("+dotprod"))) static int32_t tile_neon_dot(const Tile *tile, uint32_t *hits) {
    int32_t n = 0, k = tile->components;
    for (int32_t p = 0; p < tile->panels_count; p++)
        for (int32_t i = 0; i < BLOCK; i += 4) {
            const int8_t *a = tile->rows + (size_t)i * k, *b = tile->panels + (size_t)p * PANEL * k;
            int32x4_t s[4][4];
            for (int r = 0; r < 4; r++)
                for (int q = 0; q < 4; q++) s[r][q] = vld1q_s32(tile->starts + p * PANEL + 4 * q);
            for (int32_t t = 0; t < k; t += 4, b += 4 * PANEL) {
                int8x16_t v[4];
                for (int r = 0; r < 4; r++) {
                    int32_t four;
                    memcpy(&four, a + (size_t)r * k + t, 4);
                    v[r] = vreinterpretq_s8_s32(vdupq_n_s32(four));
                }
                for (int q = 0; q < 4; q++) {
                    int8x16_t columns = vld1q_s8(b + 16 * q);
                    for (int r = 0; r < 4; r++) s[r][q] = vdotq_s32(s[r][q], columns, v[r]);
                }
            }
            for (int r = 0; r < 4; r++)
                for (int q = 0; q < 4; q++) {
                    int32x4_t limit = vdupq_n_s32(tile->row_limits[i + r]);
                    if (tile->column_limits) {
                        int32x4_t other = vld1q_s32(tile->column_limits + p * PANEL + 4 * q);
                        limit = vminq_s32(limit, vsubq_s32(other, vdupq_n_s32(tile->row_errors[i + r])));
                    }
                    uint32x4_t over = vcgeq_s32(s[r][q], limit);
                    if (vmaxvq_u32(over) == 0) continue;
                    uint32_t lanes[4];
                    vst1q_u32(lanes, over);
                    for (int j = 0; j < 4; j++)
                        if (lanes[j])
                            hits[n++] = (uint32_t)(i + r) << 16 | (uint32_t)(p * PANEL + 4 * q + j);
                }
        }
    return n;
}
#endif

/* ---- pairs that passed the bound ----------------------------------------------------------------- */

typedef struct {
    int32_t *left, *right;
    float *score;
    int64_t count;
} Found;

/* Puts the pairs of a tile in the order of their left rows, which then stay in the first-level cache. */
static void sort_hits(const uint32_t *hits, int32_t n, uint32_t *sorted) {
    int32_t starts[BLOCK + 1] = {0};
    for (int32_t h = 0; h < n; h++) starts[(hits[h] >> 16) + 1]++;
    for (int32_t i = 0; i < BLOCK; i++) starts[i + 1] += starts[i];
    for (int32_t h = 0; h < n; h++) sorted[starts[hits[h] >> 16]++] = hits[h];
}

/* Scores pairs of a tile and keeps those that may be in the answer. */
static inline __attribute__((always_inline)) void score_hits(const Join *join, const uint32_t *hits, int32_t n,
                                                             int32_t row, int32_t rows_end, int32_t column,
                                                             int32_t columns_end, Found *found,
                                                             Counts *counts) {
    int d = join->dimension;
    for (int32_t h = 0; h < n; h++) {
        int32_t i = row + (int32_t)(hits[h] >> 16), j = column + (int32_t)(hits[h] & 0xffff);
        if (h + 4 < n) {
            int32_t ahead = column + (int32_t)(hits[h + 4] & 0xffff);
            if (ahead < columns_end) {
                const char *p = (const char *)(join->y + (size_t)join->right_rows[ahead] * d);
                for (int line = 0; line < d * 4; line += 256) __builtin_prefetch(p + line);
            }
        }
        if (i >= rows_end || j >= columns_end || (join->self_join && j <= i)) continue;
        int32_t left = join->left_rows[i], right = join->right_rows[j];
        if (join->self_join && left > right) {
            int32_t other = left;
            left = right, right = other;
        }
        const float *a = join->x + (size_t)left * d, *b = join->y + (size_t)right * d;
        counts->proposed++;
        if (!admits(join, left, right, rough_dot(a, b, d) + (float)join->rough_slack)) continue;
        counts->rough++;
        float score = exact_score(a, b, d);
        if (!admits(join, left, right, score) || (double)score > join->max_score) continue;
        counts->exact++;
        found->left[found->count] = left, found->right[found->count] = right;
        found->score[found->count++] = score;
        if (join->left_best)
            list_score(join->locks, join->left_best, join->left_counts, join->left_k, join->left_bounds, left,
                       score);
        if (join->right_best)
            list_score(join->locks, join->right_best, join->right_counts, join->right_k, join->right_bounds,
                       right, score);
    }
}

typedef void (*ScoreFunction)(const Join *, const uint32_t *, int32_t, int32_t, int32_t, int32_t, int32_t,
                              Found *, Counts *);
#define SCORE_HITS(name, attributes)                                                                  \
    attributes static void name(const Join *join, const uint32_t *hits, int32_t n, int32_t row,        \
                                int32_t rows_end, int32_t column, int32_t columns_end, Found *found,   \
                                Counts *counts) {                                                      \
        score_hits(join, hits, n, row, rows_end, column, columns_end, found, counts);                  \
    }
SCORE_HITS(score_portable, )
#ifdef X86
SCORE_HITS(score_avx2, __attribute__((target("avx2,fma"))))
SCORE_HITS(score_avx512, __attribute__((target(AVX512 ",avx2,fma"))))
#endif

/* ---- a strip: some left rows beside some right rows ------------------------------------------------ */

static int32_t raw_limit(const Join *join, double limit) {
    double raw = (limit - join->slack) / join->unit - 1e-6;
    if (!(raw > UNLIMITED)) return UNLIMITED;
    if (raw > LARGEST_LIMIT) return LARGEST_LIMIT;
    int32_t floor = (int32_t)raw;
    return floor > raw ? floor - 1 : floor;
}

static TileFunction tile_function(int32_t variant) {
    switch (variant) {
#ifdef X86
    case AVX2: return tile_avx2;
#ifdef HAS_AVX_VNNI
    case AVX_VNNI: return tile_avx_vnni;
#endif
    case AVX512_VNNI: return tile_avx512_vnni;
#ifdef HAS_AMX
    case AMX: return tile_amx;
#endif
#endif
#ifdef ARM
    case NEON_DOT: return tile_neon_dot;
#endif
    case PORTABLE: return tile_portable;
    }
    return NULL;
}

static ScoreFunction score_function(int32_t variant) {
#ifdef X86
    if (variant == AVX512_VNNI || variant == AMX) return score_avx512;
    if (variant == AVX2 || variant == AVX_VNNI) return score_avx2;
#endif
    (void)variant;
    return score_portable;
}

static int32_t offset_of(int32_t variant) {
    return variant == AVX2 ? 64 : variant == AVX_VNNI || variant == AVX512_VNNI ? 128 : 0;
}

/* What a strip of `rows` left rows needs beside its arguments, in bytes. */
API int64_t lightmine_scratch(int32_t rows, int32_t components) {
    int64_t padded = (rows + BLOCK - 1) / BLOCK * BLOCK;
    return padded * (components + 8) + (int64_t)CHUNK * PANEL * 8 + (int64_t)BLOCK * CHUNK * PANEL * 8 + 64;
}

/* The most pairs that one tile finds: the room that `capacity` has to leave. */
API int64_t lightmine_tile_pairs(void) { return (int64_t)BLOCK * CHUNK * PANEL; }

/* Mines the left places [row, row_end) beside the right places [column, column_end), `column` a multiple
   of 16. Goes on from *cursor (0 at first), which is -1 when it is done; stops before where `capacity`
   might not do. Returns the number of pairs written. */
API int64_t lightmine_strip(const Join *join, int32_t row, int32_t row_end, int32_t column,
                            int32_t column_end, int64_t *cursor, uint8_t *scratch, int32_t *left,
                            int32_t *right, float *score, int64_t capacity, Counts *counts) {
    TileFunction tile_of = tile_function(join->variant);
    ScoreFunction score_of = score_function(join->variant);
    int32_t k = join->components, offset = offset_of(join->variant), rows = row_end - row;
    int32_t blocks = (rows + BLOCK - 1) / BLOCK, padded = blocks * BLOCK;
    int32_t panels = (column_end - column + PANEL - 1) / PANEL;
    int32_t chunks = (panels + CHUNK - 1) / CHUNK;
    uint8_t *aligned = (uint8_t *)(((uintptr_t)scratch + 63) & ~(uintptr_t)63);
    int32_t *starts = (int32_t *)aligned, *column_limits = starts + CHUNK * PANEL;
    int32_t *row_limits = column_limits + CHUNK * PANEL, *row_errors = row_limits + padded;
    uint32_t *hits = (uint32_t *)(row_errors + padded);
    uint32_t *sorted = hits + (size_t)BLOCK * CHUNK * PANEL;
    int8_t *packed = (int8_t *)(sorted + (size_t)BLOCK * CHUNK * PANEL);
    Found found = {left, right, score, 0};
    int64_t at = *cursor;

    for (int32_t i = 0; i < padded; i++) {
        int32_t place = i < rows ? row + i : row_end - 1;
        const int8_t *from = join->left_panels + (size_t)(place / PANEL) * PANEL * k + place % PANEL * 4;
        int8_t *to = packed + (size_t)i * k;
        for (int32_t t = 0; t < k; t += 4, from += 4 * PANEL) memcpy(to + t, from, 4);
        if (offset)
            for (int32_t t = 0; t < k; t++) to[t] = (int8_t)(uint8_t)(to[t] + offset);
    }
#ifdef HAS_AMX
    if (join->variant == AMX) amx_start();
#endif
    for (; at < (int64_t)chunks * blocks; at++) {
        int32_t chunk = (int32_t)(at / blocks), block = (int32_t)(at % blocks);
        int32_t first = column + chunk * CHUNK * PANEL, top = row + block * BLOCK;
        int32_t count = panels - chunk * CHUNK < CHUNK ? panels - chunk * CHUNK : CHUNK;
        if (capacity - found.count < (int64_t)BLOCK * CHUNK * PANEL) break;
        /* Of a self join only pairs above the diagonal count. */
        if (join->self_join && first + count * PANEL <= top + 1) continue;
        float least = load_float(join->min_score);
        /* Bounds of columns rise while many rows pass them. */
        if (block % REFRESH == 0 || at == *cursor) {
            if (count % 2)
                for (int32_t j = count * PANEL; j < (count + 1) * PANEL; j++)
                    starts[j] = column_limits[j] = UNLIMITED;
            for (int32_t j = 0; j < count * PANEL; j++) {
                int32_t place = first + j;
                starts[j] = join->right_errors[place] - offset * join->right_sums[place];
                if (join->right_bounds) {
                    float bound = load_float(join->right_bounds + join->right_rows[place]);
                    column_limits[j] = raw_limit(join, bound > least ? bound : least);
                }
            }
        }
        for (int32_t i = block * BLOCK; i < (block + 1) * BLOCK; i++) {
            int32_t place = i < rows ? row + i : row_end - 1;
            float bound = least;
            row_errors[i] = join->left_errors[place];
            if (join->left_bounds) {
                float own = load_float(join->left_bounds + join->left_rows[place]);
                bound = own > least ? own : least;
            } else if (join->right_bounds) {
                row_limits[i] = INT32_MAX;
                continue;
            }
            row_limits[i] = raw_limit(join, bound) - row_errors[i];
        }
        Tile tile = {packed + (size_t)block * BLOCK * k, join->right_panels + (size_t)(first / PANEL) * PANEL * k,
                     starts, row_limits + block * BLOCK, row_errors + block * BLOCK,
                     join->right_bounds ? column_limits : NULL, k, (count + 1) / 2 * 2};
        int32_t n = tile_of(&tile, hits);
        sort_hits(hits, n, sorted);
        score_of(join, sorted, n, top, row_end, first, column_end, &found, counts);
    }
#ifdef HAS_AMX
    if (join->variant == AMX) amx_stop();
#endif
    *cursor = at < (int64_t)chunks * blocks ? at : -1;
    return found.count;
}

/* One tile of a variant, for its proof and for tests: as TileFunction, BLOCK rows of which have been given
   as int8 components. Returns -1 where this library has no such variant. */
API int32_t lightmine_tile(int32_t variant, const int8_t *rows, const int8_t *panels, const int32_t *sums,
                           const int32_t *errors, const int32_t *row_limits, const int32_t *row_errors,
                           const int32_t *column_limits, int32_t components, int32_t panels_count,
                           int8_t *packed, int32_t *starts, uint32_t *hits) {
    TileFunction function = tile_function(variant);
    int32_t offset = offset_of(variant);
    if (!function) return -1;
    for (size_t t = 0; t < (size_t)BLOCK * components; t++) packed[t] = (int8_t)(uint8_t)(rows[t] + offset);
    for (int32_t j = 0; j < panels_count * PANEL; j++) starts[j] = errors[j] - offset * sums[j];
    Tile tile = {packed, panels, starts, row_limits, row_errors, column_limits, components, panels_count};
#ifdef HAS_AMX
    if (variant == AMX) amx_start();
#endif
    int32_t n = function(&tile, hits);
#ifdef HAS_AMX
    if (variant == AMX) amx_stop();
#endif
    return n;
}

/* ---- compressing rows -------------------------------------------------------------------------- */

/* Quantizes `count` rows of rotated coordinates (count x p) into places from `first` on: components into
   panels, error bounds and sums of components beside them. A row's error bound is

       E = N e + e^2 / 2 + r^2 / 2,   e = |u - scale q| + rotation,   r^2 = N^2 - (|u| - rotation)^2

   with N the largest norm of a row, and r = 0 where nothing is left out. */
static inline __attribute__((always_inline)) void quantize_rows(const float *u, int64_t count, int32_t p,
                                                                int32_t k, double scale, int32_t qmax,
                                                                double rotation, double norm, int32_t leaves_out,
                                                                int64_t first, int8_t *panels, int32_t *errors,
                                                                int32_t *sums) {
    float inverse = (float)(1 / scale), step = (float)scale, most = (float)qmax;
    for (int64_t r = 0; r < count; r++, u += p) {
        int64_t place = first + r;
        int8_t *to = panels + (size_t)(place / PANEL) * PANEL * k + place % PANEL * 4;
        double error = 0, inside = 0;
        int32_t sum = 0;
        for (int32_t t = 0; t < p; t++) {
            float q = u[t] * inverse;
            q = q > most ? most : q < -most ? -most : q;
            q = (q + 12582912.0f) - 12582912.0f; /* to the nearest whole number */
            double rest = (double)u[t] - (double)step * q;
            int32_t whole = (int32_t)q;
            error += rest * rest, inside += (double)u[t] * u[t];
            sum += whole;
            to[(size_t)(t / 4) * 4 * PANEL + t % 4] = (int8_t)whole;
        }
        double e = __builtin_sqrt(error) * (1 + 1e-9) + rotation;
        double kept = __builtin_sqrt(inside) * (1 - 1e-9) - rotation;
        double left_out = leaves_out ? norm * norm - (kept > 0 ? kept * kept : 0) : 0;
        double bound = norm * e + e * e / 2 + (left_out > 0 ? left_out : 0) / 2;
        double raw = bound * (1 + 1e-9) / ((double)step * step) + 1;
        errors[place] = raw < 1 << 29 ? (int32_t)raw : 1 << 29;
        sums[place] = sum;
    }
}

#define QUANTIZE(name, attributes)                                                                        \
    attributes static void name(const float *u, int64_t count, int32_t p, int32_t k, double scale,         \
                                int32_t qmax, double rotation, double norm, int32_t leaves_out,            \
                                int64_t first, int8_t *panels, int32_t *errors, int32_t *sums) {           \
        quantize_rows(u, count, p, k, scale, qmax, rotation, norm, leaves_out, first, panels, errors, sums); \
    }
QUANTIZE(quantize_portable, )
#ifdef X86
QUANTIZE(quantize_avx2, __attribute__((target("avx2,fma"))))
QUANTIZE(quantize_avx512, __attribute__((target(AVX512 ",avx2,fma"))))
#endif

API void lightmine_quantize(int32_t variant, const float *u, int64_t count, int32_t p, int32_t k,
                            double scale, int32_t qmax, double rotation, double norm, int32_t leaves_out,
                            int64_t first, int8_t *panels, int32_t *errors, int32_t *sums) {
#ifdef X86
    if (variant == AVX512_VNNI || variant == AMX) {
        quantize_avx512(u, count, p, k, scale, qmax, rotation, norm, leaves_out, first, panels, errors, sums);
        return;
    }
    if (variant == AVX2 || variant == AVX_VNNI) {
        quantize_avx2(u, count, p, k, scale, qmax, rotation, norm, leaves_out, first, panels, errors, sums);
        return;
    }
#endif
    (void)variant;
    quantize_portable(u, count, p, k, scale, qmax, rotation, norm, leaves_out, first, panels, errors, sums);
}

/* ---- scores of given pairs, and norms ------------------------------------------------------------ */

static inline __attribute__((always_inline)) void scores_of(const float *x, const float *y, int32_t d,
                                                            const int64_t *left, const int64_t *right,
                                                            int64_t count, float *out) {
    for (int64_t i = 0; i < count; i++)
        out[i] = exact_score(x + (size_t)left[i] * d, y + (size_t)right[i] * d, d);
}

static inline __attribute__((always_inline)) void norms_of(const float *x, int64_t rows, int32_t d,
                                                           double *out) {
    for (int64_t i = 0; i < rows; i++) out[i] = __builtin_sqrt(lane_sum(x + (size_t)i * d, x + (size_t)i * d, d));
}

#define SCORES(suffix, attributes)                                                                        \
    attributes static void scores_##suffix(const float *x, const float *y, int32_t d, const int64_t *left, \
                                           const int64_t *right, int64_t count, float *out) {              \
        scores_of(x, y, d, left, right, count, out);                                                       \
    }                                                                                                      \
    attributes static void norms_##suffix(const float *x, int64_t rows, int32_t d, double *out) {          \
        norms_of(x, rows, d, out);                                                                         \
    }
SCORES(portable, )
#ifdef X86
SCORES(avx2, __attribute__((target("avx2,fma"))))
SCORES(avx512, __attribute__((target(AVX512 ",avx2,fma"))))
#endif

/* The exact scores of pairs: row left[i] of x with row right[i] of y. */
API void lightmine_scores(int32_t variant, const float *x, const float *y, int32_t d, const int64_t *left,
                          const int64_t *right, int64_t count, float *out) {
#ifdef X86
    if (variant == AVX512_VNNI || variant == AMX) {
        scores_avx512(x, y, d, left, right, count, out);
        return;
    }
    if (variant == AVX2 || variant == AVX_VNNI) {
        scores_avx2(x, y, d, left, right, count, out);
        return;
    }
#endif
    (void)variant;
    scores_portable(x, y, d, left, right, count, out);
}

/* The norms of rows, summed in the documented order. */
API void lightmine_norms(int32_t variant, const float *x, int64_t rows, int32_t d, double *out) {
#ifdef X86
    if (variant == AVX512_VNNI || variant == AMX) {
        norms_avx512(x, rows, d, out);
        return;
    }
    if (variant == AVX2 || variant == AVX_VNNI) {
        norms_avx2(x, rows, d, out);
        return;
    }
#endif
    (void)variant;
    norms_portable(x, rows, d, out);
}

/* ---- selection --------------------------------------------------------------------------------- */

/* A score as an integer that sorts the other way round: the best score is the least. */
static inline uint32_t descending(float score) {
    uint32_t bits;
    memcpy(&bits, &score, 4);
    return ~(bits & 0x80000000u ? ~bits : bits | 0x80000000u);
}

/* The k-th least of some distinct numbers, from 0; reorders them. */
static uint64_t kth(uint64_t *values, int64_t count, int64_t k) {
    int64_t low = 0, high = count - 1;
    while (low < high) {
        uint64_t pivot = values[low + (high - low) / 2];
        int64_t i = low, j = high;
        while (i <= j) {
            while (values[i] < pivot) i++;
            while (values[j] > pivot) j--;
            if (i <= j) {
                uint64_t other = values[i];
                values[i++] = values[j], values[j--] = other;
            }
        }
        if (k <= j)
            high = j;
        else if (k >= i)
            low = i;
        else
            break;
    }
    return values[k];
}

/* Marks the best k entries of each row; of equal scores the lower `others` are best. `starts` has n + 1
   numbers, `order` one for each entry, `keys` one for each entry of the longest row at least.
   Raises bounds[row] (or NULL) to the k-th best score of rows with more than k entries. */
API void lightmine_top_k(const int32_t *rows, const int32_t *others, const float *scores, int64_t count,
                         int32_t k, int64_t n, int64_t *starts, int32_t *order, uint64_t *keys,
                         uint8_t *mask, float *bounds) {
    memset(starts, 0, sizeof *starts * (size_t)(n + 1));
    for (int64_t e = 0; e < count; e++) starts[rows[e] + 1]++;
    for (int64_t r = 0; r < n; r++) starts[r + 1] += starts[r];
    for (int64_t e = 0; e < count; e++) order[starts[rows[e]]++] = (int32_t)e;
    for (int64_t r = n; r > 0; r--) starts[r] = starts[r - 1];
    starts[0] = 0;
    for (int64_t r = 0; r < n; r++) {
        const int32_t *own = order + starts[r];
        int64_t length = starts[r + 1] - starts[r];
        if (length <= k) {
            for (int64_t e = 0; e < length; e++) mask[own[e]] = 1;
            continue;
        }
        for (int64_t e = 0; e < length; e++)
            keys[e] = (uint64_t)descending(scores[own[e]]) << 32 | (uint32_t)others[own[e]];
        uint64_t last = kth(keys, length, k - 1);
        for (int64_t e = 0; e < length; e++) {
            float score = scores[own[e]];
            uint64_t key = (uint64_t)descending(score) << 32 | (uint32_t)others[own[e]];
            mask[own[e]] = key <= last;
            if (key == last && bounds && score > -1 && score > load_float(bounds + r)) store_float(bounds + r, score);
        }
    }
}

typedef struct {
    uint32_t first, second, third, at;
} Key;

static inline int before(const Key *a, const Key *b) {
    if (a->first != b->first) return a->first < b->first;
    return a->second != b->second ? a->second < b->second : a->third < b->third;
}

/* The order of entries by three numbers each, written to `order`. `keys` has room for twice as many keys. */
API void lightmine_order(const uint32_t *first, const uint32_t *second, const uint32_t *third, int64_t count,
                         Key *keys, int32_t *order) {
    Key *from = keys, *to = keys + count;
    for (int64_t e = 0; e < count; e++) from[e] = (Key){first[e], second[e], third[e], (uint32_t)e};
    for (int64_t width = 1; width < count; width *= 2) {
        for (int64_t start = 0; start < count; start += 2 * width) {
            int64_t middle = start + width < count ? start + width : count;
            int64_t end = start + 2 * width < count ? start + 2 * width : count;
            int64_t i = start, j = middle;
            for (int64_t e = start; e < end; e++)
                to[e] = i < middle && (j >= end || !before(from + j, from + i)) ? from[i++] : from[j++];
        }
        Key *other = from;
        from = to, to = other;
    }
    for (int64_t e = 0; e < count; e++) order[e] = (int32_t)from[e].at;
}

/* ---- what this processor has --------------------------------------------------------------------- */

#ifdef X86
static void cpuid(uint32_t leaf, uint32_t sub, uint32_t out[4]) {
    __asm__ volatile("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3]) : "a"(leaf), "c"(sub));
}

static uint64_t saved_registers(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}
#endif

API int32_t lightmine_abi(void) { return ABI_VERSION; }
API int32_t lightmine_join_bytes(void) { return (int32_t)sizeof(Join); }

/* Whether this library has a variant and this processor can run it. */
API int32_t lightmine_can(int32_t variant) {
    if (!tile_function(variant)) return 0;
#ifdef X86
    uint32_t one[4], seven[4], more[4];
    cpuid(0, 0, one);
    if (one[0] < 7) return variant == PORTABLE;
    cpuid(1, 0, one), cpuid(7, 0, seven), cpuid(7, 1, more);
    uint64_t saved = one[2] >> 27 & 1 ? saved_registers() : 0; /* what the system keeps at a switch */
    int avx2 = (saved & 0x6) == 0x6 && (one[2] >> 12 & 1) && (seven[1] >> 5 & 1); /* with fma */
    /* f, dq, bw, vl */
    int avx512 = avx2 && (saved & 0xe6) == 0xe6 && (seven[1] >> 16 & 1) && (seven[1] >> 17 & 1) &&
                 (seven[1] >> 30 & 1) && (seven[1] >> 31 & 1);
    switch (variant) {
    case AVX2: return avx2;
    case AVX_VNNI: return avx2 && (more[0] >> 4 & 1);
    case AVX512_VNNI: return avx512 && (seven[2] >> 11 & 1);
#ifdef HAS_AMX
    case AMX:
        return avx512 && (saved & 0x60000) == 0x60000 && (seven[3] >> 24 & 1) && (seven[3] >> 25 & 1) &&
               amx_granted();
#endif
    }
#endif
#if defined(ARM) && defined(__linux__)
    if (variant == NEON_DOT) {
        extern unsigned long getauxval(unsigned long);
        return (int32_t)(getauxval(16) >> 20 & 1); /* HWCAP_ASIMDDP */
    }
#elif defined(ARM) && defined(__APPLE__)
    if (variant == NEON_DOT) return 1; /* every Apple processor of this kind has it */
#elif defined(ARM)
    if (variant == NEON_DOT) return 0;
#endif
    return variant == PORTABLE;
}
