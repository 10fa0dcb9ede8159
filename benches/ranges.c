/* The least a client of S3 can do: whole objects by ranged GETs over kept connections, thrown away.
 *
 *     cc -O3 -march=native -pthread -o ranges ranges.c
 *
 *     ranges HOST:PORT CONNECTIONS RANGE_MIB PATH...     PATH is /bucket/key
 *
 * Plain HTTP/1.1, unsigned, so the server must let anyone in. One thread a connection, ranges taken
 * in the order of the paths. It checks the status and counts the bytes, and looks at none of them.
 * Linux. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MIB = 1 << 20, BUFFER = MIB / 4, MAX_CONNECTIONS = 256, MAX_HEAD = 16384 };

static void die(const char *what) { perror(what); exit(1); }
static void bad(const char *what, const char *path) { fprintf(stderr, "%s: %s\n", path, what); exit(1); }

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

typedef struct { const char *path; size_t start, end; } range;
static range *ranges;
static size_t count, next_range, bytes_seen;
static struct sockaddr_in server;
static const char *host;

static int dial(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&server, sizeof server)) die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static void send_all(int fd, const char *text, size_t n) {
    while (n) {
        ssize_t sent = send(fd, text, n, MSG_NOSIGNAL);
        if (sent <= 0) die("send");
        text += sent, n -= sent;
    }
}

static size_t length_of(const char *head, const char *path) {
    const char *field = strcasestr(head, "\r\ncontent-length:");
    if (!field) bad("no Content-Length", path);
    return strtoull(field + 17, 0, 10);
}

/* Receives a head into `buffer`, which then also holds the first `*filled` bytes received in all;
 * where the body starts is returned. */
static size_t receive_head(int fd, char *buffer, size_t *filled, const char *path, int status) {
    for (*filled = 0; *filled < MAX_HEAD;) {
        ssize_t got = recv(fd, buffer + *filled, MAX_HEAD - *filled, 0);
        if (got <= 0) bad("the connection ended", path);
        buffer[*filled += got] = 0;
        char *end = strstr(buffer, "\r\n\r\n");
        if (!end) continue;
        if (*filled < 12 || atoi(buffer + 9) != status) bad(strtok(buffer, "\r\n"), path);
        return end + 4 - buffer;
    }
    bad("its head does not end", path);
    return 0;
}

static size_t size_of(int fd, char *buffer, const char *path) {
    char request[4096];
    int n = snprintf(request, sizeof request, "HEAD %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, host);
    if (n >= (int)sizeof request) bad("too long", path);
    send_all(fd, request, n);
    size_t filled;
    receive_head(fd, buffer, &filled, path, 200);
    return length_of(buffer, path);
}

static void *read_ranges(void *unused) {
    char *buffer = aligned_alloc(4096, BUFFER), request[4096];
    int fd = dial();
    for (size_t i; (i = __atomic_fetch_add(&next_range, 1, __ATOMIC_RELAXED)) < count;) {
        range r = ranges[i];
        int n = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s\r\nRange: bytes=%zu-%zu\r\n\r\n",
                         r.path, host, r.start, r.end - 1);
        if (n >= (int)sizeof request) bad("too long", r.path);
        send_all(fd, request, n);
        size_t filled, body = receive_head(fd, buffer, &filled, r.path, 206);
        if (length_of(buffer, r.path) != r.end - r.start) bad("not the length asked for", r.path);
        size_t left = r.end - r.start - (filled - body);
        while (left) {
            ssize_t got = recv(fd, buffer, left < BUFFER ? left : BUFFER, 0);
            if (got <= 0) bad("the connection ended", r.path);
            left -= got;
        }
        __atomic_fetch_add(&bytes_seen, r.end - r.start, __ATOMIC_RELAXED);
    }
    close(fd);
    return unused;
}

int main(int n, char **args) {
    char address[64], *port;
    int connections = n > 4 ? atoi(args[2]) : 0;
    size_t piece = n > 4 ? (size_t)atol(args[3]) * MIB : 0;
    if (connections < 1 || connections > MAX_CONNECTIONS || !piece || strlen(args[1]) >= sizeof address) {
        fprintf(stderr, "usage: see the head of ranges.c\n");
        return 2;
    }
    host = args[1];
    port = strchr(strcpy(address, host), ':');
    if (!port) bad("no port", host);
    *port++ = 0;
    server.sin_family = AF_INET, server.sin_port = htons(atoi(port));
    if (inet_pton(AF_INET, address, &server.sin_addr) != 1) bad("no IPv4 address", host);

    double start = now();
    char *buffer = malloc(MAX_HEAD + 1);
    int fd = dial();
    size_t room = 0;
    for (char **path = args + 4; path < args + n; path++) {
        size_t size = size_of(fd, buffer, *path);
        for (size_t at = 0; at < size; at += piece) {
            if (count == room) ranges = realloc(ranges, (room = room ? 2 * room : 1024) * sizeof *ranges);
            ranges[count++] = (range){*path, at, at + piece < size ? at + piece : size};
        }
    }
    close(fd);
    pthread_t thread[MAX_CONNECTIONS];
    for (int i = 0; i < connections; i++)
        if (pthread_create(&thread[i], 0, read_ranges, 0)) die("pthread_create");
    for (int i = 0; i < connections; i++) pthread_join(thread[i], 0);
    printf("{\"ranges\": %zu, \"bytes\": %zu, \"seconds\": %.4f}\n", count, bytes_seen, now() - start);
}
