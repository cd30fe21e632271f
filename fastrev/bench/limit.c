/* Reverse Brownian motion as fast as a hand-written kernel does it: the limit for fastrev's.

       x <- x + a x + s z,    a = h / t,    s = sqrt(2 D |h|),    float32

   The work is that of fastrev: Philox4x32-10 (Salmon et al., SC11) with the counter
   (stream, id / 2 low, id high, block) and the seed as key, two words of each counter for each of
   two particles, or, with ARS defined, ARS4x32-7 (same paper) with id / 4, a word for each of four;
   four words for their normals in eight steps, by four Box-Muller pairs whose angles come from the
   words of others' radii, and whose logarithm, sine and cosine are polynomials with errors of
   2^-23 to 2^-28; tiles of particles that stay in L1 cache over all steps.  Unlike fastrev it does
   one model and keeps the noise in registers.

   A vector holds LANES floats, or half as many 64-bit lanes whose low halves are Philox's words: a
   32 x 32 -> 64 multiply reads low halves only, and its result holds both halves of the product.
   Arithmetic is that of GCC's and Clang's vector types; intrinsics serve where these have none. */

#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512BW__)
#include <immintrin.h>
#define BYTES 64
#define GROUPS 2 /* vectors of particles at once; twice as many Philox chains hide latency */
#elif defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#define BYTES 32
#define GROUPS 1
#else
#define BYTES 16
#define GROUPS 1
#endif

#define LANES (BYTES / 4)
#define TILE 1024
#define WORDS 4 /* for eight steps */
#define STREAM_INITIAL 0x00000000u
#define STREAM_STEP 0x01000000u

#define VECTOR __attribute__((vector_size(BYTES), may_alias))
typedef float vf VECTOR;
typedef int32_t vi VECTOR;
typedef uint32_t vu VECTOR;
typedef uint64_t vq VECTOR;

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

/* multiply: of the low halves; swap: halves change places; last: a with its high halves ^ b ^ k;
   root: square root; size: max(|x|, 1/4) */

#define HIGH 0xFFFFFFFF00000000u

#if BYTES == 64

INLINE vq multiply(vq a, vq b) { return (vq)_mm512_mul_epu32((__m512i)a, (__m512i)b); }
INLINE vq swap(vq a) { return (vq)_mm512_rol_epi64((__m512i)a, 32); }
INLINE vu last(vq a, vq b, vq k)
{
    return (vu)_mm512_mask_ternarylogic_epi32((__m512i)a, 0xAAAA, (__m512i)b, (__m512i)k, 0x96);
}
INLINE vf root(vf x) { return (vf)_mm512_sqrt_ps((__m512)x); }
INLINE vf size(vf x) { return (vf)_mm512_range_ps((__m512)x, _mm512_set1_ps(0.25f), 0xB); }

#else

INLINE vq swap(vq a) { return a >> 32 | a << 32; }
INLINE vu last(vq a, vq b, vq k) { return (vu)(a ^ ((b ^ k) & HIGH)); }

#if BYTES == 32

INLINE vq multiply(vq a, vq b) { return (vq)_mm256_mul_epu32((__m256i)a, (__m256i)b); }
INLINE vf root(vf x) { return (vf)_mm256_sqrt_ps((__m256)x); }
INLINE vf size(vf x)
{
    return (vf)_mm256_max_ps((__m256)(vf)((vu)x & 0x7FFFFFFFu), _mm256_set1_ps(0.25f));
}

#else

INLINE vq multiply(vq a, vq b) { return (a & 0xFFFFFFFFu) * (b & 0xFFFFFFFFu); }
INLINE vf root(vf x)
{
    for (int l = 0; l < LANES; l++)
        x[l] = sqrtf(x[l]);
    return x;
}
INLINE vf size(vf x)
{
    for (int l = 0; l < LANES; l++)
        x[l] = fmaxf(fabsf(x[l]), 0.25f);
    return x;
}

#endif
#endif

INLINE vf from_signed(vu w) { return __builtin_convertvector((vi)w, vf); }

/* sqrt(-2 ln u) over sqrt(2 ln 2 2^-23), u = size(w) 2^-31 for w as a signed number: the bits of 1
   less those of u are n, and with u = 2^e m, 1 <= m < 2, -2 ln u = 2 ln 2 2^-23 (n + P(m - 3/2)) */
INLINE vf radius(vu w)
{
    vu known = (vu)size(from_signed(w));
    vu n = 0x3F800000u + (31u << 23) - known;
    vf h = (vf)((known & 0x007FFFFFu) | 0x3F800000u) - 1.5f;
    vf p = -127644.8984375f * h + 212390.65625f;
    p = p * h + -312636.125f;
    p = p * h + 591624.875f;
    p = p * h + -1195803.75f;
    p = p * h + 2689699.25f;
    p = p * h + 320485.15625f;
    p = p * h + -712719.75f;
    return root(p + from_signed(n));
}

/* Two standard normals with the sign of the radius's word: the low bits of the angle's place it in
   the half circle at pi s/2, whose cosine and sine, with the factor that the radius lacks, are
   C(s^2), s S(s^2). */
INLINE void normal_pair(vu w_radius, vu w_angle, vf *z0, vf *z1)
{
    vf r = (vf)((vu)radius(w_radius) ^ (w_radius & 0x80000000u));
    vf s = (vf)((w_angle & 0x007FFFFFu) | 0x40000000u) - 3.0f;
    vf v = s * s;
    vf c = 3.488062816359161e-07f * v + -8.459892342216335e-06f;
    c = c * v + 0.00010311432561138645f;
    c = c * v + -0.0005015240167267621f;
    c = c * v + 0.0004065207904204726f;
    vf q = 6.135430652420837e-08f * v + -1.8994960555573925e-06f;
    q = q * v + 3.23951717291493e-05f;
    q = q * v + -0.00026259760488756f;
    q = q * v + 0.0006385613814927638f;
    *z0 = r * c;
    *z1 = r * s * q;
}

/* The word of an angle by those of two other pairs' radii: of the first, the last bytes lead. */
INLINE vu angle(vu first, vu second)
{
#if BYTES == 64
    const __m512i order = _mm512_set4_epi32(0x0C0C0E0D, 0x08080A09, 0x04040605, 0x00000201);
    return (vu)_mm512_shuffle_epi8((__m512i)first, order) ^ second;
#else
    return (first << 24 | (first & 0xFFu) << 16 | (first >> 8 & 0xFFFFu)) ^ second;
#endif
}

/* random_words: the words of GROUPS x LANES particles of a tile, from its l-th on, of block number
   `block` */

#ifdef ARS

#if BYTES == 64 && defined(__VAES__)
INLINE vq aes(vq s, vq k) { return (vq)_mm512_aesenc_epi128((__m512i)s, (__m512i)k); }
INLINE vq aes_last(vq s, vq k) { return (vq)_mm512_aesenclast_epi128((__m512i)s, (__m512i)k); }
#elif BYTES == 32 && defined(__VAES__)
INLINE vq aes(vq s, vq k) { return (vq)_mm256_aesenc_epi128((__m256i)s, (__m256i)k); }
INLINE vq aes_last(vq s, vq k) { return (vq)_mm256_aesenclast_epi128((__m256i)s, (__m256i)k); }
#else
#error "no instruction for rounds of AES in vectors"
#endif

INLINE void random_words(uint64_t first, int l, uint64_t block, uint64_t stream, uint64_t seed,
                         vu w[GROUPS][WORDS])
{
    vq key, sum, state[WORDS * GROUPS];
    for (int k = 0; k < LANES / 2; k++) {
        key[k] = k % 2 ? 0 : seed;
        sum[k] = k % 2 ? 0xBB67AE8584CAA73Bu : 0x9E3779B97F4A7C15u;
    }
    UNROLL for (int j = 0; j < WORDS * GROUPS; j++) {
        uint64_t id = (uint32_t)(first + l) / 4 + j / WORDS * (LANES / 4);
        vq counter;
        for (int k = 0; k < LANES / 2; k++) /* no tile crosses 2^32 */
            counter[k] = k % 2 ? first >> 32 | (4 * block + j % WORDS) << 32
                               : stream | (id + k / 2) << 32;
        state[j] = counter ^ key;
    }
    UNROLL for (int round = 0; round < 6; round++) {
        key += sum;
        UNROLL for (int j = 0; j < WORDS * GROUPS; j++) state[j] = aes(state[j], key);
    }
    key += sum;
    UNROLL for (int j = 0; j < WORDS * GROUPS; j++)
        w[j / WORDS][j % WORDS] = (vu)aes_last(state[j], key);
}

#else

#define COUNTERS (WORDS / 2)

INLINE void random_words(uint64_t first, int l, uint64_t block, uint64_t stream, uint64_t seed,
                         vu w[GROUPS][WORDS])
{
    const vq m0 = (vq){} + 0xD2511F53u, m1 = (vq){} + 0xCD9E8D57u;
    vq c0[COUNTERS * GROUPS], c1[COUNTERS * GROUPS], c2[COUNTERS * GROUPS], c3[COUNTERS * GROUPS];
    UNROLL for (int j = 0; j < COUNTERS * GROUPS; j++) {
        vq lane;
        for (int k = 0; k < LANES / 2; k++)
            lane[k] = j / COUNTERS * (LANES / 2) + k;
        c0[j] = (vq){} + stream;
        c1[j] = lane + (uint32_t)(first + l) / 2;
        c2[j] = (vq){} + (first >> 32); /* no tile crosses 2^32 */
        c3[j] = (vq){} + (2 * block + j % COUNTERS);
    }
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    UNROLL for (int round = 0; round < 9; round++) {
        UNROLL for (int j = 0; j < COUNTERS * GROUPS; j++) {
            vq p0 = multiply(c0[j], m0), p1 = multiply(c2[j], m1);
            c0[j] = swap(p1) ^ c1[j] ^ (uint64_t)k0;
            c1[j] = p1;
            c2[j] = swap(p0) ^ c3[j] ^ (uint64_t)k1;
            c3[j] = p0;
        }
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    UNROLL for (int j = 0; j < COUNTERS * GROUPS; j++) {
        vq p0 = multiply(c0[j], m0), p1 = multiply(c2[j], m1);
        vu *pair = &w[j / COUNTERS][2 * (j % COUNTERS)];
        pair[0] = last(p1, swap(c1[j]), (vq){} + ((uint64_t)k0 << 32));
        pair[1] = last(p0, swap(c3[j]), (vq){} + ((uint64_t)k1 << 32));
    }
}

#endif

typedef struct {
    float *out;
    int64_t n, blocks;
    const float *a, *s;
    float std;
    uint64_t seed;
    int64_t *next; /* the tile that nobody has begun */
} Work;

/* The eight normals of GROUPS x LANES particles of a tile in a block, from its l-th on. */
INLINE void normals(uint64_t first, int l, uint64_t block, uint64_t stream, uint64_t seed,
                    vf z[GROUPS][8])
{
    vu w[GROUPS][WORDS];
    random_words(first, l, block, stream, seed, w);
    UNROLL for (int g = 0; g < GROUPS; g++) {
        UNROLL for (int k = 0; k < 4; k++) {
            vu word = angle(w[g][(k + 1) % 4], w[g][(k + 2) % 4]);
            normal_pair(w[g][k], word, &z[g][2 * k], &z[g][2 * k + 1]);
        }
    }
}

/* At the start the eight normals of sixteen addresses serve 128 particles, sixteen after sixteen. */
INLINE void start_tile(float *x, const Work *work, uint64_t first)
{
    uint64_t shared = first >> 32 << 32 | (uint32_t)first / 8;
    for (int l = 0; l < TILE / 8; l += GROUPS * LANES) {
        vf z[GROUPS][8];
        normals(shared, l, 0, STREAM_INITIAL, work->seed, z);
        for (int g = 0; g < GROUPS; g++) {
            int v = l + g * LANES;
            for (int k = 0; k < 8; k++)
                *(vf *)&x[v / 16 * 128 + k * 16 + v % 16] = z[g][k] * work->std;
        }
    }
}

INLINE void eight_steps(float *x, const Work *work, uint64_t first, uint64_t block)
{
    const float *a = work->a + 8 * block, *s = work->s + 8 * block;
    for (int l = 0; l < TILE; l += GROUPS * LANES) {
        vf z[GROUPS][8];
        normals(first, l, block, STREAM_STEP, work->seed, z);
        UNROLL for (int g = 0; g < GROUPS; g++) {
            vf v = *(vf *)&x[l + g * LANES];
            UNROLL for (int k = 0; k < 8; k++) v = v + v * a[k] + z[g][k] * s[k];
            *(vf *)&x[l + g * LANES] = v;
        }
    }
}

static void *tiles(void *argument)
{
    const Work work = *(const Work *)argument;
    float x[TILE] __attribute__((aligned(BYTES)));
    for (;;) {
        int64_t first = TILE * __atomic_fetch_add(work.next, 1, __ATOMIC_RELAXED);
        if (first >= work.n)
            return 0;
        start_tile(x, &work, first);
        for (int64_t block = 0; block < work.blocks; block++)
            eight_steps(x, &work, first, block);
        int64_t count = work.n - first < TILE ? work.n - first : TILE;
        memcpy(work.out + first, x, count * sizeof(float));
    }
}

int lanes(void) { return LANES; }

/* n particles from N(0, std^2) through 8 x blocks steps on some threads; final values to `out`. */
void reverse_brownian(float *out, int64_t n, const float *a, const float *s, int64_t blocks,
                      float std, uint64_t seed, int threads)
{
    int64_t next = 0;
    Work work = {out, n, blocks, a, s, std, seed, &next};
    pthread_t others[threads];
    int started = 0;
    while (started < threads - 1 && !pthread_create(&others[started], 0, tiles, &work))
        started++;
    tiles(&work);
    while (started > 0)
        pthread_join(others[--started], 0);
}
