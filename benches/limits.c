/* The least a program can do for each job of shardpack: what the kernel and the memory allow here.
 *
 *     cc -O3 -march=native -pthread -o limits limits.c
 *
 *     limits walk DIR                           list every file and take its size, one thread
 *     limits readall DIR THREADS                list, then open, fstat, read and close every file
 *     limits pack tar|tfrecord DIR OUT THREADS  the same, framed into shards of 150 MB
 *     limits frame tar|tfrecord DIR OUT THREADS the same from memory: only the sizes are the files'
 *     limits write FILE MIB THREADS             sequential O_DIRECT writes, one file a thread
 *     limits touch MIB                          fault memory in and give it back
 *
 * The packers neither size, shuffle, checksum tars, group, check names, index nor prove anything.
 * Linux on x86-64 with SSE 4.2. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "crc32c.h"

enum { MIB = 1 << 20, BUFFER = 8 * MIB, SHARD = 150000000, MAX_THREADS = 256 };

static void die(const char *what) { perror(what); exit(1); }

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void write_all(int fd, const char *bytes, size_t n) {
    while (n) {
        ssize_t done = write(fd, bytes, n);
        if (done < 0) die("write");
        bytes += done, n -= done;
    }
}

/* The files of a tree, sorted by path within each folder. */
typedef struct { char **path; size_t n, room; } list;
static list files;
static size_t root_length, bytes_seen;

static void push(list *l, char *path) {
    if (l->n == l->room) l->path = realloc(l->path, (l->room = l->room ? 2 * l->room : 4096) * sizeof *l->path);
    l->path[l->n++] = path;
}

static int by_path(const void *a, const void *b) { return strcmp(*(char **)a, *(char **)b); }

static void walk(const char *folder, int with_sizes) {
    DIR *dir = opendir(folder);
    if (!dir) die(folder);
    size_t folder_length = strlen(folder), first = files.n;
    list folders = {0};
    for (struct dirent *entry; (entry = readdir(dir));) {
        const char *name = entry->d_name;
        if (!strcmp(name, ".") || !strcmp(name, "..")) continue;
        size_t length = strlen(name) + 1;
        char *path = malloc(folder_length + 1 + length);
        memcpy(path, folder, folder_length);
        path[folder_length] = '/';
        memcpy(path + folder_length + 1, name, length);
        if (entry->d_type == DT_DIR) { push(&folders, path); continue; }
        struct stat st;
        if (with_sizes && !fstatat(dirfd(dir), name, &st, 0)) bytes_seen += st.st_size;
        push(&files, path);
    }
    closedir(dir);
    qsort(files.path + first, files.n - first, sizeof *files.path, by_path);
    qsort(folders.path, folders.n, sizeof *folders.path, by_path);
    for (size_t i = 0; i < folders.n; i++) walk(folders.path[i], with_sizes);
}

/* Threads: each job is a function of its thread's number. */
static int threads = 1;

static void run(void *(*job)(void *)) {
    pthread_t thread[MAX_THREADS];
    for (long i = 0; i < threads; i++)
        if (pthread_create(&thread[i], 0, job, (void *)i)) die("pthread_create");
    for (int i = 0; i < threads; i++) pthread_join(thread[i], 0);
}

static int open_sized(const char *path, size_t *size) {
    struct stat st;
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &st)) die(path);
    *size = st.st_size;
    return fd;
}

/* Sizes taken before the clock starts; then files are not read, and whatever is in memory stands for them. */
static size_t *sizes;

static void take_sizes(void) {
    sizes = malloc(files.n * sizeof *sizes);
    for (size_t i = 0; i < files.n; i++) close(open_sized(files.path[i], &sizes[i]));
}

static void *read_files(void *unused) {
    enum { BATCH = 16 }; /* files taken at once, so that the counter costs nothing */
    static size_t next;
    char *buffer = aligned_alloc(4096, BUFFER);
    size_t bytes = 0, size;
    for (size_t i; (i = __atomic_fetch_add(&next, BATCH, __ATOMIC_RELAXED)) < files.n;)
        for (size_t end = i + BATCH < files.n ? i + BATCH : files.n; i < end; i++) {
            int fd = open_sized(files.path[i], &size);
            for (ssize_t got; size && (got = read(fd, buffer, size < BUFFER ? size : BUFFER)) > 0; size -= got)
                bytes += got;
            close(fd);
        }
    __atomic_fetch_add(&bytes_seen, bytes, __ATOMIC_RELAXED);
    return unused;
}

/* Framing. Both write what must stand before `size` bytes of payload and return its length. */
static int tar;
static const char *out_folder;

static size_t tar_header(char *h, const char *name, size_t size) {
    memset(h, 0, 512);
    strncpy(h, name, 99);
    memcpy(h + 100, "0000644\0000000000\0000000000", 23); /* mode, uid, gid */
    for (int i = 10; i >= 0; i--, size >>= 3) h[124 + i] = '0' + (size & 7);
    memset(h + 136, '0', 11); /* mtime */
    h[156] = '0';
    memcpy(h + 257, "ustar\00000", 8);
    memset(h + 148, ' ', 8);
    unsigned sum = 0;
    for (int i = 0; i < 512; i++) sum += (unsigned char)h[i];
    for (int i = 5; i >= 0; i--, sum >>= 3) h[148 + i] = '0' + (sum & 7);
    h[154] = 0;
    return 512;
}

static size_t put_varint(char *p, uint64_t v) {
    size_t n = 0;
    for (; v > 127; v >>= 7) p[n++] = v | 128;
    p[n++] = v;
    return n;
}

/* A field of tf.train.Features, up to where its only value of `size` bytes starts. */
static size_t feature_header(char *p, const char *name, size_t size) {
    char scratch[10], *start = p;
    size_t name_length = strlen(name);
    size_t value = 1 + put_varint(scratch, size) + size, feature = 1 + put_varint(scratch, value) + value;
    *p++ = 0x0a, p += put_varint(p, 2 + name_length + 1 + put_varint(scratch, feature) + feature);
    *p++ = 0x0a, p += put_varint(p, name_length);
    p = mempcpy(p, name, name_length);
    *p++ = 0x12, p += put_varint(p, feature);
    *p++ = 0x0a, p += put_varint(p, value);
    *p++ = 0x0a, p += put_varint(p, size);
    return p - start;
}

static size_t example_header(char *h, const char *name, size_t size) {
    char features[1536], *p = features;
    size_t name_length = strnlen(name, 1024);
    p += feature_header(p, "__key__", name_length);
    p = mempcpy(p, name, name_length);
    p += feature_header(p, "image", size);
    char *example = h + 12;
    *example++ = 0x0a, example += put_varint(example, p - features + size);
    example = mempcpy(example, features, p - features);
    uint64_t length = example - (h + 12) + size;
    memcpy(h, &length, 8);
    uint32_t crc = masked_crc32c(h, 8);
    memcpy(h + 8, &crc, 4);
    return example - h;
}

static size_t finish_record(char *record, size_t length) {
    if (tar) {
        size_t padding = -length & 511;
        memset(record + length, 0, padding);
        return length + padding;
    }
    uint32_t crc = masked_crc32c(record + 12, length - 12);
    memcpy(record + length, &crc, 4);
    return length + 4;
}

static int next_shard(int fd, long thread, int number) {
    static const char end[1024];
    if (fd >= 0 && tar) write_all(fd, end, sizeof end);
    if (fd >= 0) close(fd);
    if (number < 0) return -1;
    char path[4096];
    snprintf(path, sizeof path, "%s/%ld-%05d.%s", out_folder, thread, number, tar ? "tar" : "tfrecord");
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0) die(path);
    return fd;
}

static void *pack_files(void *thread) {
    long me = (long)thread;
    char *buffer = aligned_alloc(4096, BUFFER);
    size_t filled = 0, in_shard = SHARD, size;
    int shard = -1, number = 0;
    for (size_t i = files.n * me / threads; i < files.n * (me + 1) / threads; i++) {
        int fd = sizes ? (size = sizes[i], -1) : open_sized(files.path[i], &size);
        if (size > BUFFER - MIB - 8192) { errno = EFBIG; die(files.path[i]); }
        if (in_shard + size + 8192 > SHARD) {
            if (shard >= 0) write_all(shard, buffer, filled);
            shard = next_shard(shard, me, number++), filled = in_shard = 0;
        }
        char *record = buffer + filled, *p = record;
        p += (tar ? tar_header : example_header)(p, files.path[i] + root_length, size);
        for (size_t left = size; left;) {
            ssize_t got = sizes ? (ssize_t)left : read(fd, p, left);
            if (got <= 0) die(files.path[i]);
            p += got, left -= got;
        }
        if (!sizes) close(fd);
        size_t length = finish_record(record, p - record);
        filled += length, in_shard += length;
        __atomic_fetch_add(&bytes_seen, size, __ATOMIC_RELAXED);
        if (filled >= MIB) write_all(shard, buffer, filled), filled = 0; /* while it is still in the cache */
    }
    if (shard >= 0) write_all(shard, buffer, filled), next_shard(shard, me, -1);
    return 0;
}

static size_t write_mib;

static void *write_direct(void *thread) {
    enum { BLOCK = 4 * MIB };
    char path[4096], *block = aligned_alloc(4096, BLOCK);
    uint64_t noise = 88172645463325252 + (long)thread; /* xorshift: blocks that no disk compresses */
    for (size_t i = 0; i < BLOCK; i += 8) {
        noise ^= noise << 13, noise ^= noise >> 7, noise ^= noise << 17;
        memcpy(block + i, &noise, 8);
    }
    snprintf(path, sizeof path, "%s.%ld", out_folder, (long)thread);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_DIRECT, 0644);
    if (fd < 0) die(path);
    for (size_t done = 0; done < write_mib * MIB / threads; done += BLOCK) {
        write_all(fd, block, BLOCK);
        __atomic_fetch_add(&bytes_seen, BLOCK, __ATOMIC_RELAXED);
    }
    if (fsync(fd)) die(path);
    return 0;
}

int main(int n, char **args) {
    const char *job = n > 2 ? args[1] : "";
    double start = now();
    fill_past(past_long, LONG_LANE), fill_past(past_short, SHORT_LANE);
    int last = atoi(args[n - 1]);
    if (last > 0 && last <= MAX_THREADS) threads = last;
    if (!strcmp(job, "walk")) walk(args[2], 1);
    else if (!strcmp(job, "readall") && n == 4) walk(args[2], 0), run(read_files);
    else if ((!strcmp(job, "pack") || !strcmp(job, "frame")) && n == 6) {
        tar = !strcmp(args[2], "tar"), root_length = strlen(args[3]) + 1, out_folder = args[4];
        mkdir(out_folder, 0755), walk(args[3], 0);
        if (*job == 'f') take_sizes(), start = now();
        run(pack_files);
    } else if (!strcmp(job, "write") && n == 5) out_folder = args[2], write_mib = atol(args[3]), run(write_direct);
    else if (!strcmp(job, "touch")) {
        int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE;
        if (mmap(0, atol(args[2]) * MIB, PROT_READ | PROT_WRITE, flags, -1, 0) == MAP_FAILED) die("mmap");
    } else { fprintf(stderr, "usage: see the head of limits.c\n"); return 2; }
    printf("{\"files\": %zu, \"bytes\": %zu, \"seconds\": %.4f}\n", files.n, bytes_seen, now() - start);
}
