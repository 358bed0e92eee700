/* Calls every function of kernel.c with random sizes and compares what it gives with plain loops; `make sanitize`
   builds it with AddressSanitizer and UndefinedBehaviorSanitizer, with ThreadSanitizer, and with buffers that end
   where a page ends that may not be read (sanitizers do not see what AMX reads).

       stress ROUNDS THREADS */

#define _GNU_SOURCE
#include "kernel.c"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#ifdef GUARDED
#include <sys/mman.h>
#endif

#define MOST_THREADS 16
static const char *const names[VARIANTS] = {"portable", "avx2", "avx-vnni", "avx512-vnni", "amx", "neon-dotprod"};
static uint64_t seed;

static void fail(const char *what, int64_t a, int64_t b) {
    printf("wrong: %s (%lld, %lld)\n", what, (long long)a, (long long)b);
    exit(1);
}

static uint32_t draw(uint32_t below) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((seed >> 32) * (uint64_t)below >> 32);
}

static double normal(void) {
    double sum = -6;
    for (int i = 0; i < 12; i++) sum += draw(1 << 20) / (double)(1 << 20);
    return sum;
}

/* A size near those of panels, blocks and groups of components. */
static int32_t near_edge(int32_t most) {
    static const int32_t edges[] = {1, 16, 32, 48, 64, 96, 128, 512, 1024};
    int32_t size = draw(2) ? (int32_t)draw((uint32_t)most) + 1 : edges[draw(9)] + (int32_t)draw(3) - 1;
    return size < 1 ? 1 : size > most ? most : size;
}

/* Every buffer is exactly as large as the call needs. */
static void *buffer(size_t size) {
#ifdef GUARDED
    size_t pages = (size + 4095) / 4096 * 4096;
    char *start = mmap(NULL, pages + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED || mprotect(start + pages, 4096, PROT_NONE)) abort();
    return start + pages - size;
#else
    return calloc(size ? size : 1, 1);
#endif
}

static void release(void *start, size_t size) {
#ifdef GUARDED
    size_t pages = (size + 4095) / 4096 * 4096;
    munmap((char *)start - (pages - size), pages + 4096);
#else
    (void)size;
    free(start);
#endif
}

/* ---- the parts of a join ------------------------------------------------------------------------- */

typedef struct {
    int32_t n, places;
    float *rows;
    int8_t *panels;
    int32_t *errors, *sums, *numbers;
    float *bounds, *best;
    int32_t *counts;
} Side;

static Side new_side(int32_t n, int32_t d, int32_t p, int32_t k, int variant, double scale, int32_t qmax, int32_t list) {
    Side s = {.n = n, .places = (n + 31) / 32 * 32};
    s.rows = buffer(4 * (size_t)n * d);
    int kind = (int)draw(4);
    for (int32_t i = 0; i < n; i++) {
        float *row = s.rows + (size_t)i * d;
        double norm = 0;
        if (i && (kind == 1 || draw(6) == 0)) { /* a copy */
            memcpy(row, s.rows + (size_t)draw((uint32_t)i) * d, 4 * (size_t)d);
            continue;
        }
        for (int32_t t = 0; t < d; t++) {
            double size = kind == 2 ? pow(10, -(double)draw(8)) : 1;
            row[t] = (float)(normal() * size + (kind == 3 ? 2 : 0));
        }
        if (draw(5) == 0) row[draw((uint32_t)d)] += 30;
        for (int32_t t = 0; t < d; t++) norm += (double)row[t] * row[t];
        for (int32_t t = 0; t < d; t++) row[t] = norm > 0 ? (float)(row[t] / sqrt(norm)) : t == 0;
    }
    s.panels = buffer((size_t)s.places * k);
    s.errors = buffer(4 * (size_t)s.places);
    s.sums = buffer(4 * (size_t)s.places);
    s.numbers = buffer(4 * (size_t)s.places);
    for (int32_t i = 0; i < s.places; i++) s.errors[i] = -(1 << 29), s.numbers[i] = i < n ? i : 0;
    float *block = buffer(4 * (size_t)n * p);
    for (int32_t i = 0; i < n; i++) memcpy(block + (size_t)i * p, s.rows + (size_t)i * d, 4 * (size_t)p);
    lightmine_quantize(variant, block, n, p, k, scale, qmax, 0, 1 + 1e-6, p < d, 0, s.panels, s.errors, s.sums);
    release(block, 4 * (size_t)n * p);
    s.bounds = buffer(4 * (size_t)n);
    s.best = buffer(4 * (size_t)n * (list ? list : 1));
    s.counts = buffer(4 * (size_t)n);
    for (int32_t i = 0; i < n; i++) s.bounds[i] = -INFINITY;
    return s;
}

static void end_side(Side *s, int32_t d, int32_t k, int32_t list) {
    release(s->rows, 4 * (size_t)s->n * d), release(s->panels, (size_t)s->places * k);
    release(s->errors, 4 * (size_t)s->places), release(s->sums, 4 * (size_t)s->places);
    release(s->numbers, 4 * (size_t)s->places), release(s->bounds, 4 * (size_t)s->n);
    release(s->best, 4 * (size_t)s->n * (list ? list : 1)), release(s->counts, 4 * (size_t)s->n);
}

static float plain_score(const float *a, const float *b, int32_t d) {
    double lanes[LANES] = {0};
    for (int32_t t = 0; t < d; t++) lanes[t % LANES] += (double)a[t] * b[t];
    for (int half = LANES / 2; half; half /= 2)
        for (int l = 0; l < half; l++) lanes[l] += lanes[l + half];
    float score = (float)lanes[0];
    return (score > 1 ? 1 : score < -1 ? -1 : score) + 0.0f;
}

/* ---- several threads mine one join ------------------------------------------------------------------ */

typedef struct {
    const Join *join;
    int32_t n, m, rows, columns, next; /* `next` tile, shared */
    uint8_t *seen;                     /* of each pair, how often it was found: one writer each, if all is right */
    float *scores;
} Shared;

static void mine_tile(Shared *shared, int32_t row, int32_t column) {
    const Join *join = shared->join;
    int32_t row_end = row + shared->rows < shared->n ? row + shared->rows : shared->n;
    int32_t column_end = column + shared->columns < shared->m ? column + shared->columns : shared->m;
    int64_t capacity = lightmine_tile_pairs() + row % 3, cursor = 0, scratch_bytes;
    scratch_bytes = lightmine_scratch(row_end - row, join->components);
    uint8_t *scratch = buffer((size_t)scratch_bytes);
    int32_t *left = buffer(4 * (size_t)capacity), *right = buffer(4 * (size_t)capacity);
    float *score = buffer(4 * (size_t)capacity);
    Counts counts = {0};
    int64_t found = 0;
    while (cursor >= 0) {
        int64_t count = lightmine_strip(join, row, row_end, column, column_end, &cursor, scratch, left, right, score,
                                        capacity, &counts);
        if (count < 0 || count > capacity) fail("count", count, capacity);
        for (int64_t e = 0; e < count; e++) {
            size_t at = (size_t)left[e] * shared->m + right[e];
            if (left[e] < 0 || left[e] >= shared->n || right[e] < 0 || right[e] >= shared->m) fail("pair", left[e], right[e]);
            shared->seen[at]++, shared->scores[at] = score[e];
        }
        found += count;
        if (count && join->left_bounds && !join->self_join) { /* as a selection does meanwhile */
            int64_t *starts = buffer(8 * ((size_t)shared->n + 1));
            int32_t *order = buffer(4 * (size_t)count);
            uint64_t *keys = buffer(8 * (size_t)count);
            uint8_t *mask = buffer((size_t)count);
            lightmine_top_k(left, right, score, count, join->left_k, shared->n, starts, order, keys, mask, join->left_bounds);
            release(starts, 8 * ((size_t)shared->n + 1)), release(order, 4 * (size_t)count);
            release(keys, 8 * (size_t)count), release(mask, (size_t)count);
        }
    }
    if (counts.exact != found || counts.rough < counts.exact || counts.proposed < counts.rough) fail("counts", found, counts.exact);
    release(scratch, (size_t)scratch_bytes), release(left, 4 * (size_t)capacity);
    release(right, 4 * (size_t)capacity), release(score, 4 * (size_t)capacity);
}

static void *mine(void *given) {
    Shared *shared = given;
    int32_t across = (shared->m + shared->columns - 1) / shared->columns;
    int32_t down = (shared->n + shared->rows - 1) / shared->rows;
    for (;;) {
        int32_t tile = __atomic_fetch_add(&shared->next, 1, __ATOMIC_RELAXED);
        if (tile >= across * down) return NULL;
        mine_tile(shared, tile / across * shared->rows, tile % across * shared->columns);
    }
}

/* The k-th best score of a row (a column) among those that count, or minus infinity. */
static float kth_best(const float *all, const uint8_t *valid, int32_t count, size_t step, int32_t k) {
    float last = INFINITY;
    int32_t above = 0;
    while (1) { /* the best score under the last one, and how many have it */
        float best = -INFINITY;
        int32_t equal = 0;
        for (int32_t j = 0; j < count; j++) {
            float s = all[j * step];
            if (!valid[j * step] || s >= last) continue;
            if (s > best) best = s, equal = 0;
            equal += s == best;
        }
        if (!equal) return -INFINITY;
        if ((above += equal) >= k) return best;
        last = best;
    }
}

static void check_join(const Join *join, const Shared *shared, const Side *x, const Side *y, float least) {
    int32_t n = x->n, m = y->n;
    float *exact = malloc(4 * (size_t)n * m);
    uint8_t *valid = malloc((size_t)n * m);
    for (int32_t i = 0; i < n; i++)
        for (int32_t j = 0; j < m; j++) {
            size_t at = (size_t)i * m + j;
            exact[at] = plain_score(x->rows + (size_t)i * join->dimension, y->rows + (size_t)j * join->dimension, join->dimension);
            valid[at] = (double)exact[at] <= join->max_score && !(join->self_join && i == j);
            if (shared->seen[at] > 1) fail("found twice", i, j);
            if (!shared->seen[at]) continue;
            if (!valid[at] || exact[at] < least || (join->self_join && i > j)) fail("found", i, j);
            if (memcmp(&exact[at], &shared->scores[at], 4)) fail("score", i, j);
        }
    for (int32_t i = 0; i < n; i++) {
        float own = join->left_bounds ? kth_best(exact + (size_t)i * m, valid + (size_t)i * m, m, 1, join->left_k) : -INFINITY;
        if (join->left_bounds && join->left_bounds[i] > own) fail("bound", i, 0);
        for (int32_t j = join->self_join ? i + 1 : 0; j < m; j++) {
            size_t at = (size_t)i * m + j;
            int wanted = !join->left_bounds && !join->right_bounds;
            if (join->left_bounds) wanted |= exact[at] >= own;
            if (join->right_bounds) wanted |= exact[at] >= kth_best(exact + j, valid + j, n, (size_t)m, join->right_k);
            if (wanted && valid[at] && exact[at] >= least && !shared->seen[at]) fail("lost", i, j);
        }
    }
    free(exact), free(valid);
}

static void test_join(int variant, int threads) {
    int32_t d = near_edge(140), p = draw(3) ? d : near_edge(d), k = (p + 63) / 64 * 64;
    int32_t qmax = variant == AVX2 ? 63 : 127, self_join = (int32_t)draw(2), lists = (int32_t)draw(4);
    int32_t left_k = self_join || lists & 1 ? (int32_t)draw(6) + 1 : 0, right_k = lists & 2 ? (int32_t)draw(6) + 1 : 0;
    if (self_join) left_k = right_k = lists ? left_k : 0;
    double scale = (float)(0.2 / qmax * (draw(4) + 1) / sqrt(sqrt(d)));
    Side x = new_side(near_edge(draw(8) ? 110 : 90), d, p, k, variant, scale, qmax, left_k), y = x;
    if (!self_join) y = new_side(near_edge(draw(12) ? 110 : 1100), d, p, k, variant, scale, qmax, right_k);
    float least = draw(2) ? -INFINITY : (float)(draw(200) / 100.0 - 1);
    uint8_t *locks = buffer(LOCKS);
    float *min_score = buffer(4);
    *min_score = least;
    int best = (int)draw(2);
    Join join = {
        x.panels, y.panels, x.errors, y.errors, y.sums, x.rows, y.rows, x.numbers, y.numbers,
        left_k ? x.bounds : NULL, right_k ? y.bounds : NULL, min_score, best && left_k ? x.best : NULL,
        best && right_k ? y.best : NULL, best && left_k ? x.counts : NULL, best && right_k ? y.counts : NULL, locks,
        draw(3) ? INFINITY : 0.5, scale * scale, 1.2e-7, 1e-6 * (d + 20), k, d, left_k, right_k, self_join, variant,
    };
    size_t pairs = (size_t)x.n * y.n;
    Shared shared = {&join, x.n, y.n, near_edge(100), near_edge(32) * 32, 0, calloc(pairs, 1), malloc(4 * pairs)};
    pthread_t running[MOST_THREADS];
    for (int t = 1; t < threads; t++) pthread_create(running + t, NULL, mine, &shared);
    mine(&shared);
    for (int t = 1; t < threads; t++) pthread_join(running[t], NULL);
    check_join(&join, &shared, &x, &y, least);
    free(shared.seen), free(shared.scores);
    release(locks, LOCKS), release(min_score, 4);
    end_side(&x, d, k, left_k);
    if (!self_join) end_side(&y, d, k, right_k);
}

/* ---- the other functions ---------------------------------------------------------------------------- */

static void test_tile(int variant) {
    int32_t k = 64 * ((int32_t)draw(6) + 1), panels = 2 * ((int32_t)draw(CHUNK / 2) + 1), m = panels * PANEL;
    int32_t qmax = variant == AVX2 ? 63 : 127;
    int8_t *rows = buffer((size_t)BLOCK * k), *columns = buffer((size_t)m * k), *packed = buffer((size_t)BLOCK * k);
    int32_t *sums = buffer(4 * (size_t)m), *errors = buffer(4 * (size_t)m), *starts = buffer(4 * (size_t)m);
    int32_t *limits = buffer(4 * BLOCK), *own = buffer(4 * BLOCK), *others = buffer(4 * (size_t)m);
    uint32_t *hits = buffer(4 * (size_t)BLOCK * m);
    int extreme = (int)draw(2);
    for (int32_t t = 0; t < BLOCK * k; t++) rows[t] = (int8_t)(extreme ? (draw(2) ? qmax : -qmax) : (int)draw(2 * qmax + 1) - qmax);
    for (int32_t j = 0; j < m; j++)
        for (int32_t t = 0; t < k; t++) {
            int8_t q = (int8_t)(extreme ? (draw(2) ? qmax : -qmax) : (int)draw(2 * qmax + 1) - qmax);
            columns[(size_t)(j / PANEL) * PANEL * k + t / 4 * 4 * PANEL + j % PANEL * 4 + t % 4] = q;
            sums[j] += q;
        }
    for (int32_t j = 0; j < m; j++) errors[j] = (int32_t)draw(1 << 20), others[j] = (int32_t)draw(1 << 21) - (1 << 20);
    for (int32_t i = 0; i < BLOCK; i++) limits[i] = (int32_t)draw(1 << 21) - (1 << 19), own[i] = (int32_t)draw(1 << 20);
    int limited = (int)draw(2);
    int32_t n = lightmine_tile(variant, rows, columns, sums, errors, limits, own, limited ? others : NULL, k, panels,
                               packed, starts, hits);
    uint8_t *seen = calloc((size_t)BLOCK * m, 1);
    for (int32_t h = 0; h < n; h++) seen[(hits[h] >> 16) * (size_t)m + (hits[h] & 0xffff)]++;
    for (int32_t i = 0; i < BLOCK; i++)
        for (int32_t j = 0; j < m; j++) {
            int32_t sum = errors[j], limit = limits[i];
            const int8_t *b = columns + (size_t)(j / PANEL) * PANEL * k + j % PANEL * 4;
            for (int32_t t = 0; t < k; t++) sum += rows[(size_t)i * k + t] * b[t / 4 * 4 * PANEL + t % 4];
            if (limited && others[j] - own[i] < limit) limit = others[j] - own[i];
            if (seen[i * (size_t)m + j] != (sum >= limit)) fail("tile", i, j);
        }
    free(seen);
    release(rows, (size_t)BLOCK * k), release(columns, (size_t)m * k), release(packed, (size_t)BLOCK * k);
    release(sums, 4 * (size_t)m), release(errors, 4 * (size_t)m), release(starts, 4 * (size_t)m);
    release(limits, 4 * BLOCK), release(own, 4 * BLOCK), release(others, 4 * (size_t)m);
    release(hits, 4 * (size_t)BLOCK * m);
}

static void test_scores(int variant) {
    int32_t n = near_edge(40), m = near_edge(40), d = near_edge(1100), count = (int32_t)draw(100);
    float *x = buffer(4 * (size_t)n * d), *y = buffer(4 * (size_t)m * d), *out = buffer(4 * (size_t)count);
    int64_t *left = buffer(8 * (size_t)count), *right = buffer(8 * (size_t)count);
    double *norms = buffer(8 * (size_t)n);
    for (int32_t t = 0; t < n * d; t++) x[t] = (float)(normal() / sqrt(d));
    for (int32_t t = 0; t < m * d; t++) y[t] = (float)(normal() / sqrt(d));
    for (int32_t e = 0; e < count; e++) left[e] = draw((uint32_t)n), right[e] = draw((uint32_t)m);
    lightmine_scores(variant, x, y, d, left, right, count, out);
    for (int32_t e = 0; e < count; e++) {
        float score = plain_score(x + left[e] * d, y + right[e] * d, d);
        if (memcmp(&score, out + e, 4)) fail("scores", e, d);
    }
    lightmine_norms(variant, x, n, d, norms);
    for (int32_t i = 0; i < n; i++) {
        double sum = 0;
        for (int32_t t = 0; t < d; t++) sum += (double)x[i * d + t] * x[i * d + t];
        if (fabs(norms[i] - sqrt(sum)) > 1e-12) fail("norms", i, d);
    }
    release(x, 4 * (size_t)n * d), release(y, 4 * (size_t)m * d), release(out, 4 * (size_t)count);
    release(left, 8 * (size_t)count), release(right, 8 * (size_t)count), release(norms, 8 * (size_t)n);
}

static void test_selection(void) {
    int32_t n = near_edge(20), k = (int32_t)draw(5) + 1, count = 0;
    size_t most = (size_t)n * 40;
    int32_t *rows = buffer(4 * most), *others = buffer(4 * most), *order = buffer(4 * most);
    float *scores = buffer(4 * most), *bounds = buffer(4 * (size_t)n);
    int64_t *starts = buffer(8 * ((size_t)n + 1));
    uint8_t *mask = buffer(most);
    uint64_t *keys = buffer(8 * 40); /* a row has at most 40 entries */
    for (int32_t r = 0; r < n; r++)
        for (int32_t o = 0; o < 40; o++)
            if (draw(3) == 0) rows[count] = r, others[count] = o, scores[count++] = (float)(draw(9) / 4.0 - 1);
    for (int32_t e = count - 1; e > 0; e--) { /* shuffled */
        int32_t f = (int32_t)draw((uint32_t)e + 1), a = rows[e], b = others[e];
        float s = scores[e];
        rows[e] = rows[f], others[e] = others[f], scores[e] = scores[f];
        rows[f] = a, others[f] = b, scores[f] = s;
    }
    for (int32_t r = 0; r < n; r++) bounds[r] = -INFINITY;
    lightmine_top_k(rows, others, scores, count, k, n, starts, order, keys, mask, bounds);
    for (int32_t e = 0; e < count; e++) {
        int32_t better = 0;
        for (int32_t f = 0; f < count; f++)
            better += rows[f] == rows[e] && (scores[f] > scores[e] || (scores[f] == scores[e] && others[f] < others[e]));
        if (mask[e] != (better < k)) fail("top_k", e, better);
        if (mask[e] && bounds[rows[e]] > scores[e]) fail("bounds", e, rows[e]);
    }
    uint32_t *numbers = buffer(4 * most);
    for (int32_t e = 0; e < count; e++) numbers[e] = draw(4);
    uint32_t *room = buffer(32 * (size_t)count);
    lightmine_order(numbers, (uint32_t *)rows, (uint32_t *)others, count, (Key *)room, order);
    for (int32_t e = 1; e < count; e++) {
        int32_t a = order[e - 1], b = order[e];
        int less = numbers[a] != numbers[b] ? numbers[a] < numbers[b] : rows[a] != rows[b] ? rows[a] < rows[b] : others[a] < others[b];
        if (!less) fail("order", a, b);
    }
    release(rows, 4 * most), release(others, 4 * most), release(order, 4 * most), release(scores, 4 * most);
    release(bounds, 4 * (size_t)n), release(starts, 8 * ((size_t)n + 1)), release(mask, most), release(keys, 8 * 40);
    release(numbers, 4 * most), release(room, 32 * (size_t)count);
}

int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : 20, threads = argc > 2 ? atoi(argv[2]) : 1;
    if (threads < 1 || threads > MOST_THREADS) return 2;
    for (int variant = 0; variant < VARIANTS; variant++) {
        if (!lightmine_can(variant)) {
            printf("%s: not on this processor\n", names[variant]);
            continue;
        }
        for (int round = 0; round < rounds; round++) {
            seed = (uint64_t)round * 1000003 + 12345;
            test_join(variant, threads);
            if (threads == 1) test_tile(variant), test_scores(variant), test_selection();
        }
        printf("%s: %d rounds on %d threads are right\n", names[variant], rounds, threads);
    }
    return 0;
}
