/* A RoPE in C, checked by rope-parity: reads a probe, rotates, writes a dump.
 *
 *   cc -O2 -o rope rope.c -lm
 *   rope-parity probe config.json --out probe.safetensors
 *   ./rope probe.safetensors dump.safetensors 10000
 *   rope-parity check config.json --dump dump.safetensors
 *
 * A safetensors file is 8 bytes with the length of a JSON header, the header, and the numbers. What is read of
 * the header here is one pattern for each array: "x.0": {"dtype": "F32", "shape": [2, 320, 2, 64],
 * "data_offsets": [0, 327680]}. Little-endian machines only, as the format is. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* YOUR FUNCTION: rotate one head at one position. Channels j and d / 2 + j are pair j. */
static void rope(float *y, const float *x, int32_t position, int d, double theta) {
    for (int j = 0; j < d / 2; j++) {
        double angle = position * pow(theta, -2.0 * j / d);
        float cosine = (float)cos(angle), sine = (float)sin(angle);
        y[j] = x[j] * cosine - x[j + d / 2] * sine;
        y[j + d / 2] = x[j + d / 2] * cosine + x[j] * sine;
    }
}

typedef struct {
    long b, s, n, h;     /* batch, sequence, heads, channels; n and h are 1 for positions */
    long start, end;     /* bytes after the header */
} Entry;

static void fail(const char *why) {
    fprintf(stderr, "rope: %s\n", why);
    exit(1);
}

/* Finds an array in the header; 0 where there is none. */
static int find(const char *header, const char *name, int index, Entry *entry) {
    char key[64];
    snprintf(key, sizeof key, "\"%s.%d\":", name, index);
    const char *at = strstr(header, key);
    if (!at) return 0;
    entry->n = entry->h = 1;
    const char *shape = strstr(at, "\"shape\": ["), *offsets = strstr(at, "\"data_offsets\": [");
    if (!shape || !offsets) fail("an array without shape or offsets");
    if (sscanf(shape, "\"shape\": [%ld, %ld, %ld, %ld]", &entry->b, &entry->s, &entry->n, &entry->h) < 2 ||
        sscanf(offsets, "\"data_offsets\": [%ld, %ld]", &entry->start, &entry->end) != 2)
        fail("a shape or offsets of another form");
    return 1;
}

static void *read_all(const char *path, long *size) {
    FILE *file = fopen(path, "rb");
    if (!file) fail("the probe cannot be opened");
    fseek(file, 0, SEEK_END);
    *size = ftell(file);
    rewind(file);
    char *bytes = malloc(*size + 1);
    if (!bytes || fread(bytes, 1, *size, file) != (size_t)*size) fail("the probe cannot be read");
    fclose(file);
    return bytes;
}

int main(int argc, char **argv) {
    if (argc != 4) fail("usage: rope PROBE DUMP THETA");
    long size;
    char *bytes = read_all(argv[1], &size);
    uint64_t length;
    memcpy(&length, bytes, 8);
    if (size < 8 || length > (uint64_t)size - 8) fail("no safetensors file");
    char *numbers = bytes + 8 + length, *header = calloc(length + 1, 1);
    char *out = calloc(length + 4096, 1), *to = out;
    if (!header || !out) fail("no memory");
    memcpy(header, bytes + 8, length);

    Entry x, p;
    long offset = 0;
    int calls = 0;
    for (; find(header, "x", calls, &x); calls++, offset += x.end - x.start)
        to += sprintf(to, "%c\"y.%d\": {\"dtype\": \"F32\", \"shape\": [%ld, %ld, %ld, %ld], \"data_offsets\": [%ld, %ld]}",
                      calls ? ',' : '{', calls, x.b, x.s, x.n, x.h, offset, offset + x.end - x.start);
    to += sprintf(to, "}");
    length = to - out;

    FILE *dump = fopen(argv[2], "wb");
    if (!dump) fail("the dump cannot be written");
    fwrite(&length, 8, 1, dump);
    fwrite(out, 1, length, dump);
    for (int i = 0; i < calls; i++) {
        if (!find(header, "x", i, &x) || !find(header, "positions", i, &p)) fail("a call without positions");
        const float *from = (const float *)(numbers + x.start);
        const int32_t *positions = (const int32_t *)(numbers + p.start);
        float *y = malloc(x.end - x.start);
        for (long token = 0; token < x.b * x.s; token++)
            for (long head = token * x.n; head < (token + 1) * x.n; head++)
                rope(y + head * x.h, from + head * x.h, positions[token], (int)x.h, atof(argv[3]));
        fwrite(y, 1, x.end - x.start, dump);
        free(y);
    }
    return fclose(dump);
}
