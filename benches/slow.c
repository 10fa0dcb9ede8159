/* A read-only view of a folder in which every call takes as long as on a file system over a network.
 *
 *     cc -O2 -o slow slow.c
 *     slow FOLDER MOUNTPOINT MICROSECONDS       (root; ends when MOUNTPOINT is unmounted)
 *
 * Speaks the kernel's FUSE protocol itself, so that nothing has to be installed. Look-up, attributes,
 * open, read, opening and reading a folder each wait; as on NFS, names and attributes stay known for a
 * minute, and closing costs nothing. Calls wait side by side, as many as there are; one thread answers,
 * so that the second core is left to what is measured. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>

enum {
    REQUEST = 64 << 10, /* the kernel refuses smaller buffers than it may fill */
    WAITING = 1024,     /* bytes of a request that waits: a name is at most 255 */
    DEPTH = 4096,       /* requests that wait; far more than anything here asks at once */
    REPLY = 1 << 20,
    VALID_SECONDS = 60,
    SECOND = 1000000000,
};

static int device;
static const char *source;
static int64_t delay; /* nanoseconds */

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * (int64_t)SECOND + t.tv_nsec;
}

static void die(const char *what) { perror(what); exit(1); }

/* A node is the address of its path; paths live as long as the process. */
static const char *path_of(uint64_t node) { return node == FUSE_ROOT_ID ? source : (const char *)(uintptr_t)node; }

static void fill_attributes(struct fuse_attr *attr, const struct stat *st) {
    *attr = (struct fuse_attr){
        .ino = st->st_ino, .size = st->st_size, .blocks = st->st_blocks, .mode = st->st_mode, .nlink = st->st_nlink,
        .uid = st->st_uid, .gid = st->st_gid, .blksize = st->st_blksize,
        .atime = st->st_atim.tv_sec, .mtime = st->st_mtim.tv_sec, .ctime = st->st_ctim.tv_sec,
        .atimensec = st->st_atim.tv_nsec, .mtimensec = st->st_mtim.tv_nsec, .ctimensec = st->st_ctim.tv_nsec,
    };
}

static int look_up(const struct fuse_in_header *in, void *out) {
    const char *name = (const char *)(in + 1);
    struct fuse_entry_out *entry = out;
    struct stat st;
    char *path;
    if (asprintf(&path, "%s/%s", path_of(in->nodeid), name) < 0) return -ENOMEM;
    if (lstat(path, &st)) {
        int error = errno;
        free(path);
        return -error;
    }
    *entry = (struct fuse_entry_out){
        .nodeid = (uintptr_t)path, .entry_valid = VALID_SECONDS, .attr_valid = VALID_SECONDS};
    fill_attributes(&entry->attr, &st);
    return sizeof *entry;
}

static int attributes(const struct fuse_in_header *in, void *out) {
    struct fuse_attr_out *reply = out;
    struct stat st;
    if (lstat(path_of(in->nodeid), &st)) return -errno;
    *reply = (struct fuse_attr_out){.attr_valid = VALID_SECONDS};
    fill_attributes(&reply->attr, &st);
    return sizeof *reply;
}

static int open_node(const struct fuse_in_header *in, void *out) {
    struct fuse_open_out *reply = out;
    *reply = (struct fuse_open_out){0};
    if (in->opcode == FUSE_OPENDIR) {
        DIR *folder = opendir(path_of(in->nodeid));
        if (!folder) return -errno;
        reply->fh = (uintptr_t)folder;
    } else {
        int fd = open(path_of(in->nodeid), O_RDONLY);
        if (fd < 0) return -errno;
        reply->fh = fd;
    }
    return sizeof *reply;
}

static int read_file(const struct fuse_in_header *in, void *out) {
    const struct fuse_read_in *read = (const void *)(in + 1);
    ssize_t got = pread(read->fh, out, read->size < REPLY ? read->size : REPLY, read->offset);
    return got < 0 ? -errno : got;
}

static int read_folder(const struct fuse_in_header *in, void *out) {
    const struct fuse_read_in *read = (const void *)(in + 1);
    DIR *folder = (DIR *)(uintptr_t)read->fh;
    size_t room = read->size < REPLY ? read->size : REPLY, used = 0;
    seekdir(folder, read->offset);
    for (struct dirent *entry; (entry = readdir(folder));) {
        size_t length = strlen(entry->d_name);
        size_t padded = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + length);
        if (used + padded > room) break;
        struct fuse_dirent *reply = (void *)((char *)out + used);
        memset(reply, 0, padded);
        reply->ino = entry->d_ino, reply->off = entry->d_off, reply->type = entry->d_type, reply->namelen = length;
        memcpy(reply->name, entry->d_name, length);
        used += padded;
    }
    return used;
}

static int release(const struct fuse_in_header *in) {
    const struct fuse_release_in *release = (const void *)(in + 1);
    if (in->opcode == FUSE_RELEASEDIR) closedir((DIR *)(uintptr_t)release->fh);
    else close(release->fh);
    return 0;
}

static int file_system(void *out) {
    struct fuse_statfs_out *reply = out;
    struct statfs s;
    if (statfs(source, &s)) return -errno;
    *reply = (struct fuse_statfs_out){.st = {
        .blocks = s.f_blocks, .bfree = s.f_bfree, .bavail = s.f_bavail, .files = s.f_files, .ffree = s.f_ffree,
        .bsize = s.f_bsize, .namelen = s.f_namelen, .frsize = s.f_frsize}};
    return sizeof *reply;
}

static int start(const struct fuse_in_header *in, void *out) {
    const struct fuse_init_in *kernel = (const void *)(in + 1);
    struct fuse_init_out *reply = out;
    /* Without FUSE_PARALLEL_DIROPS the look-ups of one folder would queue in the kernel. */
    *reply = (struct fuse_init_out){
        .major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION, .max_readahead = kernel->max_readahead,
        .flags = FUSE_PARALLEL_DIROPS, .max_background = DEPTH, .congestion_threshold = DEPTH, .max_write = 4096};
    return sizeof *reply;
}

/* Length of the reply's body in `out`, or an error as a negative number. */
static int answer(const struct fuse_in_header *in, void *out) {
    switch (in->opcode) {
    case FUSE_INIT: return start(in, out);
    case FUSE_LOOKUP: return look_up(in, out);
    case FUSE_GETATTR: return attributes(in, out);
    case FUSE_OPEN: case FUSE_OPENDIR: return open_node(in, out);
    case FUSE_READ: return read_file(in, out);
    case FUSE_READDIR: return read_folder(in, out);
    case FUSE_RELEASE: case FUSE_RELEASEDIR: return release(in);
    case FUSE_STATFS: return file_system(out);
    default: return -ENOSYS; /* the kernel remembers and does not ask again */
    }
}

static void reply(const struct fuse_in_header *in) {
    static char bytes[sizeof(struct fuse_out_header) + REPLY + 4096];
    struct fuse_out_header *out = (void *)bytes;
    if (in->opcode == FUSE_FORGET || in->opcode == FUSE_BATCH_FORGET || in->opcode == FUSE_INTERRUPT) return;
    int length = answer(in, out + 1);
    *out = (struct fuse_out_header){
        .len = sizeof *out + (length > 0 ? length : 0), .error = length < 0 ? length : 0, .unique = in->unique};
    if (write(device, bytes, out->len) < 0 && errno != ENOENT && errno != ENODEV) die("reply");
}

static int waits(const struct fuse_in_header *in) {
    switch (in->opcode) {
    case FUSE_LOOKUP: case FUSE_GETATTR: case FUSE_OPEN: case FUSE_OPENDIR: case FUSE_READ: case FUSE_READDIR: return 1;
    default: return 0;
    }
}

/* Every call waits equally long, so the first to come is the first to be answered. */
static void serve(void) {
    static struct { int64_t due; char bytes[WAITING]; } queue[DEPTH];
    static char request[REQUEST];
    for (size_t first = 0, end = 0;;) {
        while (first < end && queue[first % DEPTH].due <= now()) reply((void *)queue[first++ % DEPTH].bytes);
        if (end - first == DEPTH) continue;
        ssize_t length = read(device, request, REQUEST);
        if (length < 0 && errno == ENODEV) return; /* unmounted */
        if (length < 0 && errno != EAGAIN && errno != EINTR && errno != ENOENT) die("/dev/fuse");
        if (length > 0 && waits((void *)request) && length <= WAITING) {
            memcpy(queue[end % DEPTH].bytes, request, length);
            queue[end++ % DEPTH].due = now() + delay;
        } else if (length > 0) {
            reply((void *)request);
        } else {
            int64_t left = first < end ? queue[first % DEPTH].due - now() : SECOND;
            struct timespec timeout = {left / SECOND, left % SECOND};
            if (left > 0) ppoll(&(struct pollfd){.fd = device, .events = POLLIN}, 1, &timeout, 0);
        }
    }
}

int main(int n, char **args) {
    if (n != 4) {
        fprintf(stderr, "usage: slow FOLDER MOUNTPOINT MICROSECONDS\n");
        return 2;
    }
    source = realpath(args[1], 0);
    if (!source) die(args[1]);
    delay = atol(args[3]) * 1000;
    device = open("/dev/fuse", O_RDWR | O_NONBLOCK);
    if (device < 0) die("/dev/fuse");
    char options[80];
    snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", device);
    if (mount("slow", args[2], "fuse.slow", MS_RDONLY | MS_NOSUID | MS_NODEV, options)) die(args[2]);
    prctl(PR_SET_TIMERSLACK, 1); /* wake when asked to, not 50 us later */
    serve();
}
