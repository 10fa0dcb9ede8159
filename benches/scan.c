/* The least a reader of shards can do: every byte once, the framing, and TFRecord's checksums.
 *
 *     cc -O3 -march=native -pthread -o scan scan.c
 *
 *     scan tar|tfrecord THREADS FILE...   whole shards, each by one thread
 *     scan drain FIFO                     what a writer sends, thrown away
 *     scan feed FIFO FILE...              files spliced into a FIFO, never copied
 *
 * Reads of 1 MiB into the same memory. Checks no tar, shuffles nothing, hands out nothing.
 * Linux on x86-64 with SSE 4.2. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "crc32c.h"

enum { PIECE = 1 << 20, BUFFER = 16 << 20, BLOCK = 512, MAX_THREADS = 64 };

static char **paths;
static int count, tar;
static atomic_int next_file;
static atomic_long records, bytes;

static void die(const char *what) { perror(what); exit(1); }
static void damaged(const char *path) { fprintf(stderr, "%s: damaged\n", path); exit(1); }

static ssize_t fill(int fd, char *at) {
    ssize_t n = read(fd, at, PIECE);
    if (n < 0) die("read");
    atomic_fetch_add_explicit(&bytes, n, memory_order_relaxed);
    return n;
}

/* Headers lie on blocks, and so do pieces: none is cut. */
static void scan_tar(int fd, char *buffer) {
    size_t skip = 0; /* up to the next header */
    for (ssize_t n; (n = fill(fd, buffer));) {
        size_t at = skip;
        for (; at + BLOCK <= (size_t)n; atomic_fetch_add_explicit(&records, 1, memory_order_relaxed)) {
            if (!buffer[at]) { at = (size_t)n; break; }
            size_t size = strtoul(buffer + at + 124, NULL, 8);
            at += BLOCK + (size + BLOCK - 1) / BLOCK * BLOCK;
        }
        skip = at - (size_t)n;
    }
}

static void scan_tfrecord(int fd, char *buffer, const char *path) {
    size_t held = 0, at = 0;
    for (ssize_t n; held + PIECE <= BUFFER && (n = fill(fd, buffer + held));) {
        held += n;
        for (uint64_t size; held - at >= 12 && (memcpy(&size, buffer + at, 8), held - at >= size + 16); at += size + 16) {
            uint32_t length, payload;
            memcpy(&length, buffer + at + 8, 4);
            memcpy(&payload, buffer + at + 12 + size, 4);
            if (length != masked_crc32c(buffer + at, 8) || payload != masked_crc32c(buffer + at + 12, size)) damaged(path);
            atomic_fetch_add_explicit(&records, 1, memory_order_relaxed);
        }
        memmove(buffer, buffer + at, held -= at);
        at = 0;
    }
    if (held) damaged(path);
}

static void *work(void *unused) {
    char *buffer = malloc(BUFFER);
    for (int i; (i = atomic_fetch_add(&next_file, 1)) < count;) {
        int fd = open(paths[i], O_RDONLY);
        if (fd < 0) die(paths[i]);
        if (tar) scan_tar(fd, buffer); else scan_tfrecord(fd, buffer, paths[i]);
        close(fd);
    }
    free(buffer);
    return unused;
}

static void drain(const char *path) {
    char *buffer = malloc(PIECE);
    int fd = open(path, O_RDONLY);
    if (fd < 0) die(path);
    fcntl(fd, F_SETPIPE_SZ, PIECE);  /* from 64 KiB, at which most of the time is switches */
    while (fill(fd, buffer)) {}
    free(buffer);
}

static void feed(const char *path, int n, char **files) {
    int fifo = open(path, O_WRONLY);
    if (fifo < 0) die(path);
    fcntl(fifo, F_SETPIPE_SZ, PIECE);
    for (int i = 0; i < n; i++) {
        int fd = open(files[i], O_RDONLY);
        if (fd < 0) die(files[i]);
        ssize_t sent;
        while ((sent = splice(fd, NULL, fifo, NULL, PIECE, SPLICE_F_MOVE))) {
            if (sent < 0) die("splice");
            bytes += sent;
        }
        close(fd);
    }
}

int main(int argc, char **argv) {
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    fill_past(past_long, LONG_LANE), fill_past(past_short, SHORT_LANE);
    if (argc == 3 && !strcmp(argv[1], "drain")) {
        drain(argv[2]);
    } else if (argc > 3 && !strcmp(argv[1], "feed")) {
        feed(argv[2], argc - 3, argv + 3);
    } else if (argc > 3) {
        pthread_t threads[MAX_THREADS];
        int n = atoi(argv[2]);
        tar = !strcmp(argv[1], "tar"), paths = argv + 3, count = argc - 3;
        if (n < 1 || n > MAX_THREADS) n = 1;
        for (int i = 0; i < n; i++)
            if (pthread_create(&threads[i], NULL, work, NULL)) die("threads");
        for (int i = 0; i < n; i++) pthread_join(threads[i], NULL);
    } else {
        fprintf(stderr, "usage: scan tar|tfrecord THREADS FILE... | scan drain FIFO | scan feed FIFO FILE...\n");
        return 2;
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    double seconds = end.tv_sec - start.tv_sec + (end.tv_nsec - start.tv_nsec) * 1e-9;
    printf("{\"records\": %ld, \"bytes\": %ld, \"seconds\": %.4f}\n", records, bytes, seconds);
}
